"""Checks whether an environment keeps the contract, by playing it.

``check`` plays random episodes of every task and says in plain words what is wrong. ``check_start``
is its cheap part, which runs whenever an environment is used for training.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np

from rllib_ptm.checks.errors import shown
from rllib_ptm.checks.source_line import source_line
from rllib_ptm.environment.check_rules import (
    Breach,
    Findings,
    Moment,
    breaches_at_reset,
    breaches_of_moment,
    breaches_of_step,
    difference,
)
from rllib_ptm.environment.pettingzoo_spec import (
    SEEDS,
    TASK,
    VISIBLE,
    Description,
    describe,
    parallel_env_of,
)

logger = logging.getLogger(__name__)

MAX_STEPS = 10_000  # an episode that is longer does not end
LONG = 1_000  # steps, after which a line says that an episode is long
AT_RESET = ("observations", "infos")
IN_STEP = ("observations", "rewards", "terminations", "truncations", "infos")
RESETS_FOR_SLOTS = 10  # so many more seeds show whether the same slots are always empty


def check(
    env: Any, episodes_per_task: int = 3, seed: int = 0, *, max_steps: int = MAX_STEPS
) -> None:
    """Plays random episodes of every task, each twice, and says what breaks the contract.

    What is legal but often a mistake goes to the log as a warning.

    Args:
        env: A PettingZoo ``ParallelEnv``, or RLlib's ``ParallelPettingZooEnv`` around one. It
            stays open.
        episodes_per_task: The number of episodes with different seeds, 1 or more.
        seed: The first seed; the episodes of a task have this one and those that follow.
        max_steps: An episode that has not ended after so many steps counts as endless.

    Raises:
        InputError: A line for each kind of breach. It names the task, the step and the agent where
            the breach was found first, and how often it was found.
    """
    env = parallel_env_of(env)
    description = describe(env)
    findings = Findings()
    seeds = range(seed, seed + episodes_per_task)
    for task in description.tasks:
        episodes = [_Episode(env, description, findings, task, each) for each in seeds]
        for episode in episodes:
            episode.play(max_steps)
            if findings.endless:
                findings.report()  # more such episodes would take long and say nothing new
            episode.play_again()
        if description.resumable:
            episodes[0].resume(other_seed=seed + episodes_per_task)
        more = range(seeds.stop, seeds.stop + RESETS_FOR_SLOTS)
        episodes += [_Episode(env, description, findings, task, each) for each in more]
        _hint_at_fixed_slots(findings, description, task, episodes)
    findings.report()


def check_start(env: Any, description: Description) -> None:
    """Resets an environment once, and says what breaks the contract.

    Raises:
        InputError: A line for each breach.
    """
    findings = Findings()
    _Episode(env, description, findings, description.tasks[0], 0).start()
    findings.report()


class _StopError(Exception):
    """The environment has raised an error, which is noted; the episode cannot go on."""


class _Episode:
    """An episode with random legal actions, which is checked while it is played.

    Args:
        env: The environment.
        description: What it says of itself.
        findings: Where breaches are noted.
        task: The task.
        seed: The seed of the episode and of its actions.
    """

    def __init__(
        self, env: Any, description: Description, findings: Findings, task: str, seed: int
    ) -> None:
        self._env = env
        self._description = description
        self._findings = findings
        self._task = task
        self._seed = seed % SEEDS
        self._num_steps = 0
        self._moments: list[Moment] = []
        self._actions: list[dict[str, int]] = []  # of the steps between the moments

    @property
    def first_agents(self) -> frozenset[str]:
        """The agents at the start; empty if the environment did not start."""
        return frozenset(self._moments[0].agents if self._moments else ())

    def start(self) -> None:
        """Starts the episode and checks its first moment."""
        with suppress(_StopError):
            self._start()

    def play(self, max_steps: int) -> None:
        """Plays the episode and checks it."""
        rng = np.random.default_rng(self._seed)
        with suppress(_StopError):
            self._start()
            while self._moments[-1].living and self._num_steps < max_steps:
                before = self._moments[-1]
                actions = self._random_actions(before, rng)
                after = self._step(actions)
                self._actions.append(actions)
                self._moments.append(after)
                self._note(breaches_of_moment(after, self._description))
                self._note(breaches_of_step(before, after))
                self._hint_at_rewards(after)
                self._hint_at_blind_agents(after)
                if self._num_steps == LONG:
                    self._say_that_it_is_long(max_steps)
            if self._moments[-1].living:
                self._findings.endless = True
                self._add(
                    "endless",
                    "the episode does not end; at its end all agents are terminated or truncated "
                    "(where episodes are longer: check(env, max_steps=...))",
                )

    def play_again(self) -> None:
        """Plays the same actions again and compares: an equal seed gives an equal episode."""
        with suppress(_StopError):
            for step, expected in enumerate(self._moments):
                found = self._step(self._actions[step - 1]) if step else self._reset()
                if differs := difference(expected, found):
                    self._add(
                        "random",
                        f"{differs} differs in a second episode with the same seed, "
                        f"{self._seed}, and the same actions",
                    )
                    return

    def resume(self, other_seed: int) -> None:
        """Saves the episode in its middle, starts another, restores it and compares the rest."""
        half = (len(self._moments) - 1) // 2
        with suppress(_StopError):
            self._reset()
            for actions in self._actions[:half]:
                self._step(actions)
            with self._noting("get_state()"):
                state = {key: np.array(value) for key, value in self._env.get_state().items()}
            for key, array in state.items():
                if array.dtype.hasobject:
                    self._add(
                        "get_state",
                        f"get_state()[{key!r}] is no plain array of numbers or text; write what is "
                        f"none, such as a generator's state, with json.dumps",
                    )
                    return
            other = _Episode(self._env, self._description, self._findings, self._task, other_seed)
            other._reset()
            with self._noting("set_state()"):
                self._env.set_state(state)
            for step in range(half + 1, len(self._moments)):
                found = self._step(self._actions[step - 1])
                if differs := difference(self._moments[step], found):
                    self._add(
                        "set_state",
                        f"{differs} differs after get_state() and set_state() at step {half}",
                    )
                    return

    def _start(self) -> None:
        self._moments = [self._reset()]
        self._note(breaches_of_moment(self._moments[0], self._description))
        self._note(breaches_at_reset(self._moments[0], self._task))

    def _reset(self) -> Moment:
        self._num_steps = 0
        with self._noting("reset()"):
            told = self._env.reset(seed=self._seed, options={TASK: self._task})
        observations, infos = self._dicts("reset()", told, AT_RESET)
        return self._moment(observations, {}, {}, {}, infos)

    def _step(self, actions: dict[str, int]) -> Moment:
        self._num_steps += 1
        with self._noting("step()"):
            told = self._env.step(dict(actions))
        return self._moment(*self._dicts("step()", told, IN_STEP))

    def _dicts(self, call: str, told: Any, expected: Sequence[str]) -> Sequence[Any]:
        """What a call returned, if that is a dict for each of the expected names."""
        if not isinstance(told, tuple | list) or len(told) != len(expected):
            found = f"{len(told)} values" if isinstance(told, tuple | list) else type(told).__name__
            text = f"{call} returns {found}; expected {len(expected)}: {', '.join(expected)}"
        elif wrong := [
            f"{name} is {shown(each)}"
            for name, each in zip(expected, told, strict=True)
            if not isinstance(each, Mapping)
        ]:
            text = f"{call} returns other than dicts with agents as keys: {', '.join(wrong)}"
        else:
            return told
        self._add(f"values of {call}", text)
        raise _StopError

    def _moment(self, *told: Any) -> Moment:
        """A copy of what the environment tells now; it may change its arrays later."""
        with self._noting("state()"):
            agents, table = list(self._env.agents), np.array(self._env.state())
        return Moment(agents, table, *(copy.deepcopy(dict(each)) for each in told))

    def _random_actions(self, moment: Moment, rng: np.random.Generator) -> dict[str, int]:
        actions = self._description.spec.actions
        masks = {agent: moment.mask(agent, actions) for agent in moment.living}
        return {agent: int(rng.choice(np.flatnonzero(mask))) for agent, mask in masks.items()}

    def _hint_at_rewards(self, moment: Moment) -> None:
        if len(set(map(str, moment.rewards.values()))) > 1:
            self._findings.hint(
                "rewards",
                f"{self._where()}: the rewards differ between agents: {shown(moment.rewards)}; "
                f"the team's reward is their mean",
            )

    def _say_that_it_is_long(self, max_steps: int) -> None:
        """Says at once, not at the end, what the check waits for."""
        logger.warning(
            "%s: the episode goes on; without a time limit it may take minutes to check: it is "
            "played up to step %s",
            self._where(),
            f"{max_steps:,}",
        )

    def _hint_at_blind_agents(self, moment: Moment) -> None:
        for slot, agent in enumerate(self._description.agents):
            seen = moment.observations.get(agent)
            visible = np.asarray(seen.get(VISIBLE, ()) if isinstance(seen, Mapping) else ())
            expected = (self._description.spec.entities,)
            if agent in moment.living and visible.shape == expected and not visible[slot]:
                self._findings.hint(
                    "itself",
                    f"{self._where()}, agent {agent!r}: it does not see itself: visible[{slot}] "
                    f"is 0",
                )

    @contextmanager
    def _noting(self, call: str) -> Iterator[None]:
        """Notes an error of the environment, and stops the episode."""
        try:
            yield
        except Exception as error:
            logger.debug("where the environment failed", exc_info=error)
            line = source_line(error)
            self._add(
                f"error in {call}",
                f"{call} raises {type(error).__name__}: {error}" + (f" ({line})" if line else ""),
            )
            raise _StopError from error

    def _note(self, breaches: Iterable[Breach]) -> None:
        for kind, agent, text in breaches:
            self._add(kind, text, agent)

    def _add(self, kind: str, text: str, agent: str | None = None) -> None:
        who = "" if agent is None else f", agent {agent!r}"
        self._findings.add(kind, f"{self._where()}{who}: {text}")

    def _where(self) -> str:
        return f"task {self._task!r}, {f'step {self._num_steps}' if self._num_steps else 'reset'}"


def _hint_at_fixed_slots(
    findings: Findings, description: Description, task: str, episodes: Iterable[_Episode]
) -> None:
    """Warns if the same slots are empty at the start of all episodes of a task."""
    found = set()
    for episode in episodes:
        episode.start()
        found.add(episode.first_agents)
        if len(found) > 1:
            return
    absent = set(description.agents).difference(*found)
    if absent and any(found):
        findings.hint(
            "slots",
            f"task {task!r}: {', '.join(sorted(absent))} start in no episode; if a slot's number "
            f"means nothing, shuffle the slots in every episode",
        )
