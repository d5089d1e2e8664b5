"""A time limit on calls of remote learners, and a clear error if a learner is lost.

RLlib waits for its learners without a limit. It cannot restart a learner either: the learners have
exchanged addresses at their start. Training can only be resumed from the last checkpoint.
"""

from __future__ import annotations

from typing import Any

from ray.exceptions import RayActorError, RayTaskError
from ray.rllib.core.learner.learner_group import LearnerGroup
from ray.rllib.utils.actor_manager import FaultTolerantActorManager, RemoteCallResults

from rllib_ptm.ray_private.algorithms import replace_learner_manager


class LearnerLostError(RuntimeError):
    """A remote learner died or does not answer, and training cannot continue without it."""


def with_timeout(group: LearnerGroup, seconds: float) -> LearnerGroup:
    """Adds a time limit to all calls of remote learners; a local learner needs none."""
    if group.is_remote:
        replace_learner_manager(group, lambda learners: _TimedLearners(learners, seconds))
    return group


class _TimedLearners(FaultTolerantActorManager):
    def __init__(self, learners: list[Any], seconds: float) -> None:
        super().__init__(learners)
        self._seconds = seconds

    def healthy_actor_ids(self) -> list[int]:
        """The numbers of all learners; an error if one is lost, since all are needed."""
        ids = super().healthy_actor_ids()
        if len(ids) < self.num_actors():
            raise _lost(sorted(set(self.actor_ids()) - set(ids)), self.num_actors(), "died before")
        return ids

    def foreach_actor(self, func: Any, **kwargs: Any) -> RemoteCallResults:
        """Calls the learners, and raises the first error of any of them."""
        called = kwargs.get("remote_actor_ids") or self.actor_ids()
        self.healthy_actor_ids()
        if kwargs.get("timeout_seconds") is None:
            kwargs["timeout_seconds"] = self._seconds
        results = super().foreach_actor(func, **kwargs)
        errors = {result.actor_id: result.get() for result in results if not result.ok}
        for learner, error in errors.items():
            if isinstance(error, RayTaskError):  # it raised an error, but is alive
                self.set_actor_state(learner, healthy=True)
        died = {i: error for i, error in errors.items() if isinstance(error, RayActorError)}
        if died:
            raise _lost(sorted(died), self.num_actors(), "died") from next(iter(died.values()))
        for error in errors.values():
            raise error
        silent = sorted(set(called) - {result.actor_id for result in results})
        if silent:
            limit = f"did not answer within learner_timeout_s = {kwargs['timeout_seconds']:g} s"
            raise _lost(silent, self.num_actors(), limit)
        return results


def _lost(learners: list[int], of: int, what: str) -> LearnerLostError:
    names = " and ".join(str(learner) for learner in learners)
    return LearnerLostError(
        f"learner {names} of {of} {what}; RLlib does not restart learners: "
        f"start again from the last checkpoint"
    )
