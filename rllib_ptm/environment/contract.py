"""The contract between environments and training.

Training needs three things of an environment: its entities, who sees whom, and which actions are
allowed. A ``TeamGame`` describes an environment and starts ``Teams``, N episodes that step
together. This module knows no particular environment.

Most users write a PettingZoo ``ParallelEnv`` instead, which ``pettingzoo_game`` turns into a
``TeamGame``. A simulator that steps many episodes at once implements ``TeamGame`` itself;
``starcraft`` is an example.

Shape legend: ``N`` episodes side by side (any leading shape in ``TeamGame.view``), ``A`` agents,
``E`` entities, the agents first, ``D`` features of an entity, ``U`` actions of an agent. All masks
are bool, True = exists / may be seen / allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]
FloatArray = npt.NDArray[np.float32]
IntArray = npt.NDArray[np.int64]

# What is kept of N episodes at one time step: arrays [N, ...] by name. ``present`` [N, E] is always
# among them. The other arrays are the environment's own; ``TeamGame.view`` reads them.
Record = dict[str, np.ndarray]
PRESENT = "present"


class TeamView(NamedTuple):
    """The input of the policy.

    Attributes:
        entities: [N, E, D] float32 features, zero for absent entities.
        present: [N, E] bool, True = the entity exists in this episode, also when it is dead.
        visible: [N, A, E] bool, True = the agent sees the entity.
        action_mask: [N, A, U] bool, True = the action is allowed now.
    """

    entities: FloatArray
    present: BoolArray
    visible: BoolArray
    action_mask: BoolArray


class Column(NamedTuple):
    """A group of features that stand side by side in ``TeamView.entities``.

    Attributes:
        width: The number of its columns.
        per_slot: The last so many of them belong to one slot each, such as a one-hot number. A
            policy that gets more slots has more of these; all others mean the same in any number.
    """

    width: int
    per_slot: int = 0


class TeamSpec(NamedTuple):
    """The sizes of a game, and what its actions mean.

    Attributes:
        agents: A.
        entities: E.
        actions: U.
        columns: The groups of features by name, in their order; their widths sum to D.
        aims: [U] the entity slot that each action aims at, -1 = none; None if that is not known.
        why_no_aims: If ``aims`` is None: the reason, for messages.
        why_no_slots: If no feature tells the slot of an entity: the reason, for messages. An output
            for each action cannot know its target then.
        contact_actions: A team is in contact if one of its agents may do one of these. By default
            they are the actions that aim at an entity.
        team_moves: Actions that the team may explore together. An agent that cannot make the move
            makes the first of them instead. Empty = no joint exploration.
    """

    agents: int
    entities: int
    actions: int
    columns: Mapping[str, Column]
    aims: tuple[int, ...] | None = None
    why_no_aims: str = ""
    why_no_slots: str = ""
    contact_actions: tuple[int, ...] = ()
    team_moves: tuple[int, ...] = ()

    @property
    def in_contact(self) -> BoolArray:
        """[U] True = only a team in contact may do it."""
        if self.contact_actions:
            return np.isin(np.arange(self.actions), self.contact_actions)
        return np.array(self.aims or (-1,) * self.actions) >= 0

    @property
    def features(self) -> int:
        """D."""
        return sum(column.width for column in self.columns.values())


class Step(NamedTuple):
    """What a step of N episodes leads to.

    Attributes:
        record: The record after the step; that of the step before where ``failed``.
        reward: [N] float32, the team's reward.
        terminated: [N] bool, True = the episode is over.
        truncated: [N] bool, True = a time limit ends the episode. Both may be True: then it is
            terminated.
        success: [N] float32 from 0 to 1; it counts where an episode is over.
        failed: [N] bool, True = the environment failed, and the episode cannot continue. It has to
            be reset.
    """

    record: Record
    reward: FloatArray
    terminated: BoolArray
    truncated: BoolArray
    success: FloatArray
    failed: BoolArray


class Teams(Protocol):
    """N episodes that step together, each with a task of its own.

    An episode stays where it is until it is reset. One that is over, or was never reset, may do
    anything in ``step``.

    Attributes:
        num_envs: N.
        num_restarts: How often an environment failed and was replaced by a new one.
        last_error: What the last failure was; None before the first. Its notes
            (``BaseException.add_note``) may say where it happened: the task, the step, the seed
            that the environment got.
    """

    num_envs: int

    @property
    def num_restarts(self) -> int:
        """How often an environment failed and was replaced by a new one."""

    @property
    def last_error(self) -> Exception | None:
        """What the last failure was; None before the first."""

    def reset(self, which: IntArray, tasks: Sequence[str], seeds: Sequence[int]) -> Record:
        """Starts new episodes in some places and leaves the others unchanged.

        Args:
            which: The places, from 0 to N - 1.
            tasks: The name of a task for each of them.
            seeds: A seed for each of them, below 2**63. Equal seeds give equal episodes.

        Returns:
            The record of all N.
        """

    def step(self, actions: IntArray) -> Step:
        """Makes one step of every episode.

        Args:
            actions: [N, A].
        """

    def close(self) -> None:
        """Ends what was started."""


@runtime_checkable
class Resumable(Protocol):
    """Teams whose episodes in progress can be saved and continued exactly."""

    def get_state(self) -> dict[str, np.ndarray]:
        """The complete state of the N episodes, as plain arrays."""

    def set_state(self, state: Mapping[str, np.ndarray]) -> Record:
        """Restores what ``get_state`` returned.

        Returns:
            The record of all N.
        """


@runtime_checkable
class Rendering(Protocol):
    """Teams that draw their episodes while they play."""

    def render(self, env: int) -> npt.NDArray[np.uint8]:
        """A picture [H, W, 3] of the episode in one place."""


class PlayOptions(NamedTuple):
    """How ``TeamGame.make`` starts its episodes.

    Attributes:
        processes: The number of processes that the environments are spread over; 0 = they step in
            this process. For games whose ``can_spread`` is True.
        timeout_s: The time limit of a step in such a process, in seconds.
        render: Whether pictures are wanted; see ``Rendering``.
    """

    processes: int = 0
    timeout_s: float = 60.0
    render: bool = False


IN_THIS_PROCESS = PlayOptions()
NO_SLOTS: Mapping[str, int] = MappingProxyType({})


class TeamGame(Protocol):
    """The description of an environment with one set of tasks. It can be pickled.

    Attributes:
        name: The environment's name, for messages.
        tasks: The names of its tasks.
        spec: Its sizes.
        moving: The arrays of a record that change within an episode; the others are constant in
            it, and their last value holds for the whole episode.
        slots: Its numbers of slots, by the keys with which users set them, such as
            ``env_config.max_allies``.
        can_spread: Whether ``PlayOptions.processes`` has an effect.
        policy_settings: The keys of ``env_config`` that belong to a policy, such as its tasks and
            slots. The others are rules: policies that are compared play by the same ones.
    """

    name: str
    can_spread: bool
    policy_settings: frozenset[str]

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of its tasks."""

    @property
    def spec(self) -> TeamSpec:
        """Its sizes."""

    @property
    def moving(self) -> frozenset[str]:
        """The arrays of a record that change within an episode."""

    @property
    def slots(self) -> dict[str, int]:
        """Its numbers of slots, by the keys with which users set them."""

    def plain(self) -> dict[str, Any]:
        """Its ``env_config`` as JSON has it, with what it leaves to defaults."""

    def view(self, record: Mapping[str, np.ndarray]) -> TeamView:
        """What the policy sees of a record. Pure: it runs in play, and when a batch is drawn.

        Args:
            record: Arrays with any leading shape.
        """

    def check_machine(self) -> None:
        """Checks that this machine has what the game needs.

        Raises:
            InputError: It lacks something.
        """

    def make(self, num_envs: int, options: PlayOptions = IN_THIS_PROCESS) -> Teams:
        """Starts N environments."""

    def with_settings(
        self, changes: Mapping[str, Any], at_least: Mapping[str, int] = NO_SLOTS
    ) -> TeamGame:
        """The same game with other settings, such as other ``tasks``.

        Args:
            changes: Keys of ``env_config``. ``tasks`` may name all that the game understands.
            at_least: Numbers of slots, by the keys of ``slots``. The game has no fewer, and no
                fewer than now, where it can have more than its tasks need.

        Raises:
            InputError: It cannot be played so.
        """


@runtime_checkable
class ActingRules(Protocol):
    """A ``TeamGame`` that knows more of where its policy can act than the shapes tell."""

    def check_environment(self, env: Any) -> None:
        """Checks that the policy of this game can act in a PettingZoo environment.

        Raises:
            InputError: A line for each argument of the environment that does not fit.
        """

    def check_observation(self, observation: Mapping[str, np.ndarray], agent: int) -> None:
        """Checks an agent's observation.

        Raises:
            InputError: The policy was not trained for it.
        """


@runtime_checkable
class TimeLimited(Protocol):
    """A ``TeamGame`` whose time limits are settings."""

    def time_limit(self, task: str) -> str:
        """The key that sets a task's time limit, and its value now, for messages."""


@runtime_checkable
class Pictured(Protocol):
    """A ``TeamGame`` that draws an episode from its records alone."""

    def pictures(self, records: Sequence[Record], task: str) -> list[npt.NDArray[np.uint8]]:
        """A picture [H, W, 3] for each record of an episode.

        Args:
            records: The T + 1 records, without the leading ``N``.
            task: The task's name.
        """


@runtime_checkable
class Composed(Protocol):
    """A ``TeamGame`` with tasks whose episodes differ in what they are played with."""

    def composition(self, record: Mapping[str, np.ndarray], task: str) -> str:
        """What an episode was played with, such as its units; the task's name if that is fixed.

        Args:
            record: The record of one of its steps, without the leading ``N``.
            task: The task's name.
        """


class FailingEnvironmentError(RuntimeError):
    """The environment fails again and again; the message names the task, the seed and the error."""
