"""The PettingZoo environment ``multi_task_sc2_v0``: one battle with an observation per agent.

The module has the names that PettingZoo's own environments have::

    from rllib_ptm.envs import multi_task_sc2_v0

    environment = multi_task_sc2_v0.parallel_env("small_mt")

Shape legend: ``A`` ally slots (the agents), ``F`` enemy slots, ``E = A + F`` entity slots (allies
first), ``D`` entity features, ``U`` actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Discrete, MultiBinary, Space
from pettingzoo import ParallelEnv
from pettingzoo.utils.conversions import aec_wrapper_fn
from pydantic import Field

from ..checks.errors import Problems, unknown_name
from ..checks.settings import Settings, one_of, read_settings
from .parallel_actions import action_array
from .starcraft.backends import EnvSettings
from .starcraft.outcome import decided, reward, won
from .starcraft.render import Window, picture
from .starcraft.tasks import Task
from .starcraft.team_view import (
    FIRST_ATTACK,
    LARGEST_FEATURE,
    MEDIVAC,
    STOP,
    TeamView,
    num_actions,
    num_features,
)
from .starcraft.units import Units
from .task_names import task_to_play

Observation = dict[str, np.ndarray] | np.ndarray
RENDER_MODES = ("human", "rgb_array")


def parallel_env(
    tasks: str | Sequence[str] = "small_mt",
    backend: str = "smax",
    *,
    render_mode: str | None = None,
    flat: bool = False,
    max_allies: int | None = None,
    max_enemies: int | None = None,
    time_limit_steps: int | str = "auto",
    uniform_ranges: bool = False,
    reward_only_positive: bool = False,
    spawn: str = "ends",
    team_frame: bool = False,
    slot_features: bool = True,
    **backend_settings: Any,
) -> MultiTaskSC2:
    """Makes the environment. ``MultiTaskSC2`` documents the arguments.

    ``backend_settings`` are the settings that only the chosen backend has.

    Raises:
        InputError: An argument is of the wrong type or out of range.
    """
    battles = {
        "tasks": tasks,
        "backend": backend,
        "max_allies": max_allies,
        "max_enemies": max_enemies,
        "time_limit_steps": time_limit_steps,
        "uniform_ranges": uniform_ranges,
        "reward_only_positive": reward_only_positive,
        "spawn": spawn,
        "team_frame": team_frame,
        "slot_features": slot_features,
        **backend_settings,
    }
    return MultiTaskSC2(*_read_arguments(battles, {"render_mode": render_mode, "flat": flat}))


class ViewSettings(Settings):
    """The arguments of ``parallel_env`` that say how the environment shows its battles."""

    render_mode: Annotated[str, one_of(RENDER_MODES)] | None = Field(
        None, description=f"one of {', '.join(RENDER_MODES)}; null = no pictures"
    )
    flat: bool = Field(False, description="observations as one vector instead of a Dict")


def _read_arguments(
    battles: Mapping[str, Any], view: Mapping[str, Any]
) -> tuple[EnvSettings, ViewSettings]:
    """Reads the arguments of ``parallel_env``.

    Raises:
        InputError: A line for each unknown argument, wrong type or value out of range.
    """
    place, names = "parallel_env", (*EnvSettings.key_names(), *ViewSettings.key_names())
    problems = Problems()
    for key in (key for key in battles if key not in names):
        with problems.collect():
            raise unknown_name(f"{place}.{key}", key, names)
    with problems.collect():
        known = {key: battles[key] for key in battles if key in names}
        battle_settings = read_settings(EnvSettings, known, place)
    with problems.collect():
        view_settings = read_settings(ViewSettings, view, place)
    problems.raise_if_any()
    return battle_settings, view_settings


class MultiTaskSC2(ParallelEnv[str, Observation, int]):
    """A StarCraft micro-battle of a team of units against the built-in enemy.

    | Import             | `from rllib_ptm.envs import multi_task_sc2_v0`             |
    |--------------------|------------------------------------------------------------|
    | Actions            | Discrete                                                   |
    | Parallel API       | Yes                                                        |
    | Manual Control     | No                                                         |
    | Agents             | `['ally_0', ..., 'ally_{A-1}']`                            |
    | Number of agents   | A, 6 by default; a battle may have fewer                   |
    | Action Shape       | ()                                                         |
    | Action Values      | Discrete(U), U = 6 + F, 12 by default                      |
    | Observation Shape  | Dict of (E, D), (E,) and (U,); flat: (E * D + U,)          |
    | Observation Values | [-16, 16]                                                  |
    | State Shape        | (E, D)                                                     |
    | State Values       | [-16, 16]                                                  |

    Every episode draws one of the tasks, such as `5m_vs_6m`, with equal probability. A task may be
    a family, such as `3-8sz`: 3 to 8 units a side, each a stalker or a zealot. Then the episode
    draws its units, too. Arrays have the same shape for every team size, so one policy can play all
    tasks: there are A slots for allies and F slots for enemies, as many as the largest task needs,
    or as `max_allies` and `max_enemies` set. An agent is a slot. Each episode assigns its units to
    random slots. An agent without a unit is not in `agents` in that episode, and this can be any
    agent.

    The armies start on opposite sides of the map's centre, 14 map units apart, at a random angle;
    `spawn` places them differently. The battle is won when an ally that can fight is alive, and no enemy that can
    fight is. Only a medivac cannot fight.

    ### Observation Space

    | Key           | Space                     | Meaning                                       |
    |---------------|---------------------------|-----------------------------------------------|
    | `entities`    | Box(-16, 16, (E, D))      | a row per unit, allies first, then enemies; zeros where the agent does not see the unit |
    | `visible`     | MultiBinary(E)            | 1 = the agent sees this unit: both are alive and the unit is within sight range |
    | `action_mask` | MultiBinary(U), int8      | 1 = the action is allowed now                 |

    A dead agent sees nothing. The columns of `entities` are, in this order
    (`envs.starcraft.team_view.feature_widths` gives their widths):

    | Columns       | Number    | Meaning                                                       |
    |---------------|-----------|---------------------------------------------------------------|
    | `alive`       | 1         | 1 = alive                                                     |
    | `health`      | 1         | health as a fraction of the unit's maximum                    |
    | `shield`      | 1         | shield as a fraction of the unit's maximum                    |
    | `cooldown`    | 1         | time until the weapon can fire again, as a fraction of its period; 0 for enemies |
    | `from_centre` | 2         | east and north of the map's centre, in 2 map units            |
    | `from_team`   | 2         | east and north of the living allies' centre of mass, in 2 map units |
    | `side`        | 1         | 1 ally, -1 enemy                                              |
    | `unit_type`   | 9         | one-hot in the order of `envs.starcraft.units.UNIT_TYPES`     |
    | `tag`         | max(A, F) | one-hot of the slot within its own side                       |
    | `may_do`      | U         | allies: their action mask                                     |
    | `did_last`    | U         | allies: one-hot of their last action                          |

    With `slot_features=False` no column belongs to a slot, so D is the same for all A and F. `tag` is missing,
    `may_do` and `did_last` have 7 columns with all attacks as the last, and two columns follow:

    | Columns       | Number    | Meaning                                                       |
    |---------------|-----------|---------------------------------------------------------------|
    | `in_range_of` | 1         | the number of agents that may attack the unit now, or heal it, in 4; more count as 4 |
    | `aimed_at_by` | 1         | the number of agents whose last action was aimed at it, likewise; 0 for the dead |

    With `flat=True` an observation is one float32 vector: `entities` row by row (column d of
    row e has index `e * D + d`), then the action mask. This variant is for SuperSuit: all A slots
    are agents at the start. Agents without a unit observe zeros, may only choose the no-op, and
    terminate in the first step.

    SuperSuit forks processes, and JAX does not support forks: use
    `concat_vec_envs_v1(..., num_cpus=0)`, or call `multiprocessing.set_start_method("forkserver")`
    first.

    `state()` is the table of all entities, [E, D], including those that no agent sees.

    ### Action Space

    | Action | Meaning                                         | Allowed                          |
    |--------|-------------------------------------------------|----------------------------------|
    | 0      | no-op                                           | only if the agent is dead        |
    | 1      | stop                                            | if the agent is alive            |
    | 2      | move north                                      | if the point half a move ahead is on the map |
    | 3      | move south                                      | likewise                         |
    | 4      | move east                                       | likewise                         |
    | 5      | move west                                       | likewise                         |
    | 6 + k  | attack the enemy in slot k                      | if it is alive and within range; a medivac only by marines, stalkers and hydralisks |
    | 6 + k  | a medivac: heal the ally in slot k              | if it is alive, within range and biological |

    An action that is not allowed has no effect. "Within range" is nearer than the attack range; on
    StarCraft II also at exactly that range, as in SMAC. With `action_mask="smac"` (`sc2` only) the
    mask is SMAC's, which also allows what the game refuses: moves over the west and south edge,
    attacks on medivacs by all types, and healing machines. The page docs/tasks/starcraft-rules.md lists how
    the rules differ from those of SMAC, SMACv2 and REFIL.

    ### Rewards

    Every agent gets the team's reward, including the step in which it dies: what the enemies'
    health and shield lose, 10 for each kill and 200 for the win. What they regain counts against
    it, and medivacs that are left over when the battle is won count as killed. The sum is scaled
    for each battle's enemies, so that a battle that is won returns 20, and no battle more.

    With `reward_only_positive=True` a step in which the enemies regain more than they lose gives 0,
    and medivacs that are left over give nothing (SMACv2's reward). A won battle can then return
    more or less than 20.

    ### Ends

    An agent terminates in the step in which its unit dies. All agents terminate when an army has
    no unit left that can fight: it is dead, or only medivacs are left. If that happens to both
    armies at once, the battle is not won. At the time limit the living agents are truncated, and
    the battle counts as not won. The same happens if the game process dies (`sc2` only); the next
    `reset` starts a new one.

    `infos[agent]` holds the name of the `task`, its `composition` and, once the battle is over,
    whether it was `won` and the same as a number, `is_success`, 0 or 1. The composition of a family
    says what was drawn, such as `2s1z`; that of another task is the task's name.

    ### Attributes

    `tasks`: the names of the tasks that episodes draw.

    `action_aims`: [U] the row of the entity that each action aims at, -1 for none. It is None if a
    task has medivacs, which heal with the actions with which others attack.

    `team_moves`: the actions that every living agent understands in the same way: stop and moves.

    ### Arguments

    ``` python
    multi_task_sc2_v0.parallel_env(
        tasks="small_mt", backend="smax", render_mode=None, flat=False, max_allies=None,
        max_enemies=None, time_limit_steps="auto", uniform_ranges=False,
        reward_only_positive=False, spawn="ends", team_frame=False, slot_features=True,
    )
    ```

    `tasks`: a task set (`small_mt`, `medium_mt`, `large_mt`, `unseen`, `refil_3-8sz`, `smax`, ...),
    a task's name, or a list of both. A task that is in several sets of the list is played once.
    `docs/tasks/tasks.md` has all names and sets.

    `backend`: the simulator, `"smax"` or `"sc2"` (StarCraft II itself). Further arguments are the
    backend's own settings, for example `difficulty="5"` of `"sc2"`.

    `render_mode`: `"rgb_array"` for pictures from `render()`, `"human"` for a window.

    `flat`: observations as one vector instead of a Dict.

    `max_allies`, `max_enemies`: A and F; None for as many as the tasks need.

    `time_limit_steps`: the largest number of steps of an episode; `"auto"`: by the unit types and
    numbers of its task; `"smac"`: as in SMAC, SMACv2 or REFIL, where one of them has the task.

    `uniform_ranges`: SMAC's sight range 9 and shooting range 6 for all unit types, instead of the
    types' own ranges (9 and 5 for a marine).

    `reward_only_positive`: SMACv2's reward; see "Rewards" above.

    `spawn`: where the armies start.

    | Spawn                | The armies start                                                   |
    |----------------------|--------------------------------------------------------------------|
    | `"ends"`             | at opposite ends of a line through the centre, each unit within 1 of its army's point |
    | `"refil"`            | likewise, all units of a type around one point, as in REFIL        |
    | `"smax"`             | as in SMAX: at a quarter and three quarters of the map, within 2   |
    | `"surround_reflect"` | one surrounded by the other, or each other's mirror images, as in SMAX's `smacv2` scenarios |
    | `"smacv2"`           | likewise, as in SMACv2: only the allies are surrounded             |

    `walls_kill` (`smax` only): whether units that touch the map's edge die. None = only with
    `spawn="smax"`, as in SMAX itself; every move is allowed then.

    `avoid_walls` (`smax` only): agents may not move into walls that kill. In SMAX itself they may.

    `team_frame`: rotates or reflects the map of each battle so that the team starts between west
    and north-west of the centre. "East" and "north" above, and the moves, then refer to the
    transformed map. The policy has to learn only this eighth of all starting directions.

    `slot_features`: whether features have columns for single slots; see "Observation Space" above.

    `reset(options={"task": "5m_vs_6m"})` chooses the task of the episode, one of `tasks`. Other
    options are ignored. Equal seeds give equal series of battles.

    ### Version History

    * v0: Initial version (0.1.0)
    """  # noqa: E501  (a row of a table cannot be broken)

    metadata: dict[str, Any] = {  # noqa: RUF012  (PettingZoo's own type)
        "name": "multi_task_sc2_v0",
        "render_modes": list(RENDER_MODES),
        "render_fps": 4,
        "is_parallelizable": True,
    }

    def __init__(self, settings: EnvSettings, view: ViewSettings) -> None:
        self.settings = settings
        self.view = view
        self.render_mode = view.render_mode
        self._tasks = {task.name: task for task in settings.parsed_tasks}
        self._battles = settings.make_battles(1)
        self._rng: np.random.Generator | None = None
        self._task: Task | None = None
        self._units: Units | None = None
        self._time_limit = 0  # of the battle in progress
        self._window: Window | None = None
        allies, enemies = settings.ally_slots, settings.enemy_slots
        self.possible_agents = [f"ally_{slot}" for slot in range(allies)]
        self.agents: list[str] = []
        self._slot = {agent: slot for slot, agent in enumerate(self.possible_agents)}
        self.tasks = list(self._tasks)
        self.team_moves = tuple(range(STOP, FIRST_ATTACK))
        self.action_aims = _aims(settings)
        self._num_actions = num_actions(enemies)
        features = num_features(allies, enemies, settings.slot_features)
        self.state_space = _box((allies + enemies, features))
        # One object per agent, so that each can be seeded separately.
        self._observation_spaces = {a: self._new_observation_space() for a in self._slot}
        self._action_spaces: dict[str, Discrete] = {
            a: Discrete(self._num_actions) for a in self._slot
        }

    def observation_space(self, agent: str) -> Space[Any]:
        """The observation space of an agent, the same object at every call."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        """The action space of an agent, the same object at every call."""
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Starts a battle.

        Args:
            seed: Restarts the series of battles with this seed; None continues the series.
            options: ``{"task": name}`` chooses the battle's task.

        Raises:
            InputError: The options are no dict, or the task is not one of the environment's tasks.
        """
        if seed is not None or self._rng is None:
            self._rng = np.random.default_rng(seed)
        drawn = self.tasks[self._rng.integers(len(self.tasks))]
        self._task = self._tasks[task_to_play(options, self.tasks, drawn)]
        self._time_limit = self.settings.time_limit(self._task)
        battle_seed = int(self._rng.integers(2**63))
        units = self._battles.reset(np.zeros(1, np.int64), [self._task], [battle_seed])[0]
        self._units = units
        self.agents = [
            agent for agent, slot in self._slot.items() if units.present[slot] or self.view.flat
        ]
        if self.render_mode == "human":
            self.render()
        return self._observations(units), {a: self._played() for a in self.agents}

    def step(
        self, actions: dict[str, int]
    ) -> tuple[
        dict[str, Observation],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Plays one step. Once no agent is left, it does nothing and returns empty dicts.

        Args:
            actions: One action for each of ``agents``. Agents that are dead or have no unit in this
                battle may be left out, or do nothing (action 0).

        Returns:
            Observations, rewards, terminations, truncations and infos of the agents that were in
            ``agents`` before the step.

        Raises:
            InputError: A line for each agent without an action, unknown agent, action of an agent
                that is dead, and action that is not a number from 0 to U - 1.
        """
        if not self.agents:
            return {}, {}, {}, {}, {}
        before, _ = self._battle()
        absent = "is dead or has no unit"
        array = action_array(actions, self.agents, self._action_spaces, absent)
        after = self._battles.step(array[None])[0]
        self._units = after
        agents, over, truncated = self.agents, bool(decided(after)), self._is_truncated(after)
        info = self._played()
        if over or truncated:
            info["won"] = bool(won(after))
            info["is_success"] = float(info["won"])
        observations = self._observations(after)
        team_reward = float(reward(before, after, self.settings.reward_only_positive))
        rewards = {a: team_reward * bool(after.present[self._slot[a]]) for a in agents}
        terminations = {a: over or not after.alive[self._slot[a]] for a in agents}
        truncations = {a: truncated and not terminations[a] for a in agents}
        self.agents = [a for a in agents if not (terminations[a] or truncations[a])]
        if self.render_mode == "human":
            self.render()
        return observations, rewards, terminations, truncations, {a: dict(info) for a in agents}

    def state(self) -> npt.NDArray[np.float32]:
        """The features of all entities of the battle, [E, D] float32."""
        units, _ = self._battle()
        return self.settings.view(units).entities

    def render(self) -> npt.NDArray[np.uint8] | None:
        """Returns a picture [H, W, 3] uint8 (``rgb_array``), or shows it (``human``)."""
        if self.render_mode is None:
            gymnasium.logger.warn("render() shows nothing: the environment has no render_mode.")
            return None
        units, task = self._battle()
        image = picture(units, task.title_of(units))
        if self.render_mode == "rgb_array":
            return image
        if self._window is None:
            self._window = Window()
        self._window.show(image, seconds=1 / self.metadata["render_fps"])
        return None

    def close(self) -> None:
        """Ends the battle and closes the window."""
        self._battles.close()
        if self._window is not None:
            self._window.close()
            self._window = None

    def _battle(self) -> tuple[Units, Task]:
        """The battle in progress."""
        if self._units is None or self._task is None:
            raise RuntimeError("call reset() first: there is no battle yet")
        return self._units, self._task

    def _played(self) -> dict[str, Any]:
        """What ``infos`` say of the battle in progress at every step."""
        units, task = self._battle()
        return {"task": task.name, "composition": task.composition_of(units)}

    def _is_truncated(self, units: Units) -> bool:
        """Whether the time limit is reached or the game process died."""
        return bool(self._battles.failed[0] or units.step >= self._time_limit)

    def _new_observation_space(self) -> Space[Any]:
        rows, columns = self.state_space.shape
        if self.view.flat:
            return _box((rows * columns + self._num_actions,))
        return gymnasium.spaces.Dict(
            entities=_box((rows, columns)),
            visible=MultiBinary(rows),
            action_mask=MultiBinary(self._num_actions),
        )

    def _observations(self, units: Units) -> dict[str, Observation]:
        view = self.settings.view(units)
        return {agent: self._observation(view, self._slot[agent]) for agent in self.agents}

    def _observation(self, view: TeamView, slot: int) -> Observation:
        """The observation of the agent in this slot, as its observation space has it."""
        visible, action_mask = view.visible[slot], view.action_mask[slot]
        entities = view.entities * visible[:, None]
        if self.view.flat:
            return np.concatenate([entities.ravel(), action_mask], dtype=np.float32)
        return {
            "entities": entities,
            "visible": visible.astype(np.int8),
            "action_mask": action_mask.astype(np.int8),
        }


def _aims(settings: EnvSettings) -> tuple[int, ...] | None:
    """[U] the entity slot that each action aims at, -1 = none; None if that depends on the unit."""
    if any(MEDIVAC in task.ally_types for task in settings.parsed_tasks):
        return None
    attacks = range(settings.ally_slots, settings.ally_slots + settings.enemy_slots)
    return (-1,) * FIRST_ATTACK + tuple(attacks)


def _box(shape: tuple[int, ...]) -> Box:
    return Box(-LARGEST_FEATURE, LARGEST_FEATURE, shape, np.float32)


env = aec_wrapper_fn(parallel_env)  # PettingZoo's name for the AEC API: agents act in turn
raw_env = MultiTaskSC2
