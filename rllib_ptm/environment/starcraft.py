"""StarCraft micro-battles as a ``TeamGame``: a simulator that steps many episodes at once.

Its record is the compact ``Units`` of N battles. The features, which take far more memory, are
computed when the policy needs them and when a batch is drawn.

Shape legend: see ``contract``; ``F`` enemy slots, ``E = A + F``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from rllib_ptm.checks.errors import InputError, Problems
from rllib_ptm.checks.settings import read_settings
from rllib_ptm.environment.contract import (
    IN_THIS_PROCESS,
    NO_SLOTS,
    Column,
    IntArray,
    PlayOptions,
    Record,
    Step,
    TeamSpec,
    TeamView,
)
from rllib_ptm.environment.scenes.scene import Scene
from rllib_ptm.environment.scenes.starcraft import battle_scene
from rllib_ptm.envs.starcraft.backends import BACKENDS, EnvSettings
from rllib_ptm.envs.starcraft.battles import Battles, Resumable
from rllib_ptm.envs.starcraft.outcome import decided, reward, won
from rllib_ptm.envs.starcraft.render import video_frames
from rllib_ptm.envs.starcraft.tasks import Task, parse_task
from rllib_ptm.envs.starcraft.team_frame import starts_in_team_frame
from rllib_ptm.envs.starcraft.team_view import (
    FIRST_ATTACK,
    MEDIVAC,
    STOP,
    feature_widths,
    num_actions,
)
from rllib_ptm.envs.starcraft.units import Units

# Fields of Units that change from step to step; the others are constant in an episode.
MOVING = frozenset({"health", "shield", "cooldown", "position", "can_move", "last_action", "step"})
# The features with columns that belong to one slot each.
_ONE_PER_ENEMY = ("may_do", "did_last")
_ALLIES, _ENEMIES = "env_config.max_allies", "env_config.max_enemies"
_LIMITS = "time_limits"  # in the state of the battles
_PICTURE_WIDTH = 480  # pixels


@dataclass(frozen=True)
class StarCraftGame:
    """See ``contract.TeamGame``.

    Attributes:
        settings: What ``env_config`` means.
    """

    settings: EnvSettings
    name = "multi_task_sc2"
    can_spread = False
    moving = MOVING
    policy_settings = frozenset(
        {"tasks", "max_allies", "max_enemies", "team_frame", "slot_features"}
    )

    @classmethod
    def read(cls, env_config: Mapping[str, Any]) -> StarCraftGame:
        """Reads ``env_config``.

        Raises:
            InputError: A line for each unknown key or wrong value.
        """
        return cls(read_settings(EnvSettings, env_config, "env_config"))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of the tasks."""
        return tuple(task.name for task in self.settings.parsed_tasks)

    @cached_property
    def spec(self) -> TeamSpec:
        """The sizes, and what the actions mean."""
        allies, enemies = self.settings.ally_slots, self.settings.enemy_slots
        by_slot = self.settings.slot_features
        heals = any(MEDIVAC in task.ally_types for task in self.settings.parsed_tasks)
        attacks = tuple(range(allies, allies + enemies))
        return TeamSpec(
            agents=allies,
            entities=allies + enemies,
            actions=num_actions(enemies),
            columns={
                name: Column(width, _per_slot(name, width, enemies) if by_slot else 0)
                for name, width in feature_widths(allies, enemies, by_slot).items()
            },
            aims=None if heals else (-1,) * FIRST_ATTACK + attacks,
            why_no_aims="a medivac aims the actions at allies with which others attack enemies",
            why_no_slots="" if by_slot else "env_config.slot_features is false",
            contact_actions=tuple(range(FIRST_ATTACK, num_actions(enemies))),
            team_moves=tuple(range(STOP, FIRST_ATTACK)),
        )

    @property
    def slots(self) -> dict[str, int]:
        """The numbers of slots, by the keys with which users set them."""
        return {_ALLIES: self.settings.ally_slots, _ENEMIES: self.settings.enemy_slots}

    def plain(self) -> dict[str, Any]:
        """All settings as plain values; the tasks and the slots of both sides are spelled out."""
        return self.settings.plain()

    def view(self, record: Mapping[str, np.ndarray]) -> TeamView:
        """What the policy sees of the units; see ``contract.TeamGame.view``."""
        return TeamView(*self.settings.view(Units(**record)))

    def check_machine(self) -> None:
        """Checks that this machine has what the backend needs.

        Raises:
            InputError: It lacks something.
        """
        self.settings.check_machine()

    def make(self, num_envs: int, options: PlayOptions = IN_THIS_PROCESS) -> StarCraftTeams:
        """Starts N battles."""
        battles = self.settings.make_battles(num_envs)
        kind = ResumableTeams if isinstance(battles, Resumable) else StarCraftTeams
        settings = self.settings
        return kind(battles, settings.time_limit, settings.reward_only_positive)

    def with_settings(
        self, changes: Mapping[str, Any], at_least: Mapping[str, int] = NO_SLOTS
    ) -> StarCraftGame:
        """The same game with other settings; settings that another backend lacks are dropped.

        Raises:
            InputError: It cannot be played so.
        """
        values = {**self.plain(), **changes}
        backend = values["backend"]
        if backend in BACKENDS:
            keys = {*EnvSettings.model_fields, *BACKENDS[backend].settings.key_names(), *changes}
            values = {key: value for key, value in values.items() if key in keys}
        needed = StarCraftGame.read({"tasks": values["tasks"], "backend": backend}).slots
        for key in (_ALLIES, _ENEMIES):
            name = key.removeprefix("env_config.")
            fewest = max(needed[key], self.slots[key])
            slots = fewest if changes.get(name) is None else changes[name]
            if isinstance(slots, int):  # else ``read`` says what is wrong
                if slots < fewest:
                    raise InputError(
                        f"{key}: policy and tasks need {fewest} slots at least, found {slots}"
                    )
                slots = max(slots, at_least.get(key, 0))
            values[name] = slots
        return StarCraftGame.read(values)

    def check_environment(self, env: Any) -> None:
        """Checks that the policy can act there; see ``contract.ActingRules``."""
        settings, problems = getattr(env.unwrapped, "settings", None), Problems()
        if not isinstance(settings, EnvSettings):
            raise InputError(f"env: expected an environment of parallel_env, found {env!r:.80}")
        own, found = self.plain(), settings.plain()
        keys = ["max_allies", "max_enemies", "uniform_ranges", "slot_features"]
        if own["team_frame"]:  # without it, the policy knows every frame
            keys.append("team_frame")
        for key in (key for key in keys if found[key] != own[key]):
            with problems.collect():
                raise InputError(
                    f"{key}: the policy was trained with {own[key]}, the environment has "
                    f"{found[key]}"
                )
        problems.raise_if_any()

    def check_observation(self, observation: Mapping[str, np.ndarray], agent: int) -> None:
        """Refuses a battle that starts outside of the team's frame, if that was trained in."""
        if not self.settings.team_frame:
            return
        ends = np.cumsum([column.width for column in self.spec.columns.values()])[:-1]
        parts = np.split(np.asarray(observation["entities"])[agent], ends)
        own = dict(zip(self.spec.columns, parts, strict=True))
        if own["did_last"].any() or not own["alive"].any():  # later the frame cannot be told
            return
        if not starts_in_team_frame(own["from_centre"] - own["from_team"]):  # the team's centre
            raise InputError(
                "observation: the battle is not in the team's frame, in which the policy was "
                "trained; make the environment with team_frame=True"
            )

    def pictures(self, records: Sequence[Record], task: str) -> list[npt.NDArray[np.uint8]]:
        """A picture of each record of a battle; see ``contract.Pictured``."""
        steps = [Units(**record) for record in records]
        title = parse_task(task).title_of(steps[0])
        return [np.asarray(frame) for frame in video_frames(steps, title, _PICTURE_WIDTH)]

    def scene(self, records: Sequence[Record], actions: IntArray, task: str) -> Scene:
        """The scene of a battle; see ``scenes.Staged``."""
        steps = [Units(**record) for record in records]
        return battle_scene(steps, actions, parse_task(task).title_of(steps[0]))

    def time_limit(self, task: str) -> str:
        """See ``contract.TimeLimited``."""
        rule, steps = self.settings.time_limit_steps, self.settings.time_limit(parse_task(task))
        now = rule if rule == steps else f"{rule}: {steps} steps"
        return f"env_config.time_limit_steps (now {now})"

    def composition(self, record: Mapping[str, np.ndarray], task: str) -> str:
        """The units of a battle; see ``contract.Composed``."""
        return parse_task(task).composition_of(Units(**record))


class StarCraftTeams:
    """N battles; see ``contract.Teams``.

    Args:
        battles: The battles.
        time_limit: After how many steps an undecided battle of a task is truncated.
        only_positive: SMACv2's reward (see ``outcome.reward``).
    """

    def __init__(
        self, battles: Battles, time_limit: Callable[[Task], int], only_positive: bool = False
    ) -> None:
        self.battles = battles
        self.num_envs = battles.num_battles
        self._time_limit = time_limit
        self._only_positive = only_positive
        self._limits = np.zeros(self.num_envs, np.int64)  # [N] that of each battle
        self._units: Units

    @property
    def num_restarts(self) -> int:
        """How often a game was restarted."""
        return self.battles.num_game_restarts

    @property
    def last_error(self) -> Exception | None:
        """Why a game was last restarted."""
        return self.battles.last_error

    def reset(self, which: IntArray, tasks: Sequence[str], seeds: Sequence[int]) -> Record:
        """Starts new battles in some places; see ``contract.Teams.reset``."""
        parsed = [parse_task(task) for task in tasks]
        self._limits[which] = [self._time_limit(task) for task in parsed]
        self._units = self.battles.reset(which, parsed, seeds)
        return dict(vars(self._units))

    def step(self, actions: IntArray) -> Step:
        """Plays one step of every battle; see ``contract.Teams.step``."""
        before, after = self._units, self.battles.step(actions)
        self._units = after
        is_decided = decided(after)
        return Step(
            record=dict(vars(after)),
            reward=reward(before, after, self._only_positive),
            terminated=is_decided,
            truncated=~is_decided & (after.step >= self._limits),
            success=won(after).astype(np.float32),
            failed=self.battles.failed,
        )

    def close(self) -> None:
        """Ends the battles."""
        self.battles.close()


class ResumableTeams(StarCraftTeams):
    """N battles that can be saved; see ``contract.Resumable``."""

    def get_state(self) -> dict[str, np.ndarray]:
        """The state of the battles, and their time limits."""
        assert isinstance(self.battles, Resumable)
        return {_LIMITS: self._limits.copy(), **self.battles.get_state()}

    def set_state(self, state: Mapping[str, np.ndarray]) -> Record:
        """Restores what ``get_state`` returned."""
        assert isinstance(self.battles, Resumable)
        self._limits = state[_LIMITS].copy()
        self._units = self.battles.set_state(state)
        return dict(vars(self._units))


def _per_slot(name: str, width: int, enemies: int) -> int:
    """How many columns of a feature belong to one slot each."""
    if name == "tag":
        return width
    return enemies if name in _ONE_PER_ENEMY else 0
