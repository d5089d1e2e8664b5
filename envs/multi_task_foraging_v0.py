"""The PettingZoo environment ``multi_task_foraging_v0``: level-based foraging on several grids.

The module has the names that PettingZoo's own environments have::

    from rllib_ptm.envs import multi_task_foraging_v0

    environment = multi_task_foraging_v0.parallel_env("foraging_small")

Shape legend: ``A`` agent slots (players), ``F`` food slots, ``E = A + F`` entity slots (agents
first), ``D`` entity features, ``U`` actions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import gymnasium
import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Box, Discrete, MultiBinary, Space
from pettingzoo import ParallelEnv
from pettingzoo.utils.conversions import aec_wrapper_fn

from ..checks.settings import read_settings
from .foraging.features import COLUMNS, LARGEST_FEATURE, NUM_FEATURES, features
from .foraging.field import (
    NUM_ACTIONS,
    Field,
    action_mask,
    is_over,
    offsets,
    reward,
    share_collected,
)
from .foraging.field import visible as visible_entities
from .foraging.game import Game, check_machine
from .foraging.generator_state import generator_state, restored_generator
from .foraging.render import picture
from .foraging.scene import episode_scene
from .foraging.settings import RENDER_MODES, ForagingSettings
from .parallel_actions import action_array
from .task_names import task_to_play

Observation = dict[str, np.ndarray]


def parallel_env(
    tasks: str | Sequence[str] = "foraging_small",
    sight: int = 2,
    *,
    render_mode: str | None = None,
    max_players: int | None = None,
    max_foods: int | None = None,
    time_limit_steps: int = 50,
    **unknown: Any,
) -> MultiTaskForaging:
    """Makes the environment. ``MultiTaskForaging`` documents the arguments.

    Raises:
        InputError: An argument is unknown, of the wrong type or out of range, or lbforaging is not
            installed.
    """
    arguments = {
        "tasks": tasks,
        "sight": sight,
        "render_mode": render_mode,
        "max_players": max_players,
        "max_foods": max_foods,
        "time_limit_steps": time_limit_steps,
        **unknown,
    }
    return MultiTaskForaging(read_settings(ForagingSettings, arguments, "parallel_env"))


class MultiTaskForaging(ParallelEnv[str, Observation, int]):
    """Players with levels collect food together, on grids of several sizes.

    | Import             | `from rllib_ptm.envs import multi_task_foraging_v0`        |
    |--------------------|------------------------------------------------------------|
    | Actions            | Discrete                                                   |
    | Parallel API       | Yes                                                        |
    | Manual Control     | No                                                         |
    | Agents             | `['player_0', ..., 'player_{A-1}']`                        |
    | Number of agents   | A, 3 by default; a task may have fewer players             |
    | Action Shape       | ()                                                         |
    | Action Values      | Discrete(6)                                                |
    | Observation Shape  | Dict of (E, D), (E,) and (6,)                              |
    | Observation Values | [-10, 10]                                                  |
    | State Shape        | (E, D)                                                     |
    | State Values       | [-10, 10]                                                  |

    The rules are those of `lbforaging` (extra `[foraging]`). Players have level 1 or 2. A food has
    a level, too. It is collected when players next to it load in the same step, and the sum of
    their levels is its level at least. Players cannot walk into food. If several want to enter one
    cell, all of them stay.

    Every episode draws one of the tasks, such as `8x8-2p-2f-coop`, with equal probability. Arrays
    have the same shape for every task: there are A slots for players and F slots for foods, as many
    as the largest task needs, or as `max_players` and `max_foods` set. An agent is a slot. Each
    episode assigns its players and its foods to random slots. An agent without a player is not in
    `agents` in that episode.

    ### Tasks

    A name says rows, columns, players and foods: `10x10-3p-3f`. A food's level is drawn from 1 to
    the sum of the three lowest levels of players; with `-coop` each food has this sum, so that it
    takes both of two players, or all three of three. Sets of tasks: `foraging_small` (the default),
    `foraging_large`, and `foraging_unseen` with larger teams than either has in its `-coop` tasks.
    An episode has fewer foods than its name says if the grid has no place for one that is two cells
    from the others.

    ### Observation Space

    | Key           | Space                     | Meaning                                       |
    |---------------|---------------------------|-----------------------------------------------|
    | `entities`    | Box(-10, 10, (E, D))      | a row per entity, players first, then foods; zeros where the agent does not see it |
    | `visible`     | MultiBinary(E), int8      | 1 = the agent sees this entity: it is at most `sight` rows and columns away, and not collected |
    | `action_mask` | MultiBinary(6), int8      | 1 = the action is allowed now                 |

    The columns of `entities` are, in this order (`envs.foraging.features.COLUMNS`):

    | Columns       | Number | Meaning                                                          |
    |---------------|--------|------------------------------------------------------------------|
    | `kind`        | 2      | one-hot: player, food                                            |
    | `remaining`   | 1      | 1 = on the grid; 0 = collected                                   |
    | `level`       | 1      | in 2 levels                                                      |
    | `level_is`    | 6      | one-hot of the level                                             |
    | `from_centre` | 2      | east and north of the grid's centre, in 5 cells                  |
    | `in_grid`     | 2      | the same, from -1 at one edge to 1 at the other                  |
    | `waves`       | 16     | for east, then north: sine and cosine of it in 4, 8, 16 and 32 cells |
    | `nearest_food` | 4     | players: east and north of the player in 5 cells, and level in 2 levels, of the nearest food that it sees; 1 if there is one |
    | `nearest_player` | 4   | players: likewise, of the nearest other player                   |
    | `time_left`   | 1      | from 1 to 0 at the time limit                                    |
    | `may_do`      | 6      | players: their action mask                                       |
    | `did_last`    | 6      | players: one-hot of their last action; zeros before the first    |

    The columns are the same for every grid and team size, so a policy plays tasks of any size.

    `state()` is the table of all entities, [E, D], including those that no agent sees and food that
    is collected.

    ### Action Space

    | Action | Meaning    | Allowed                                          |
    |--------|------------|--------------------------------------------------|
    | 0      | nothing    | always                                           |
    | 1      | move north | if a cell without food is there                  |
    | 2      | move south | likewise                                         |
    | 3      | move west  | likewise                                         |
    | 4      | move east  | likewise                                         |
    | 5      | load       | if food is in one of the four cells next to it   |

    An action that is not allowed has no effect. `load` aims at the food next to the player, so no
    action aims at one entity.

    ### Rewards

    Every agent gets the team's reward: the levels of what is collected in this step, as a share of
    the levels of all food, times 20. It is lbforaging's own reward, summed over the players and
    scaled to the returns of `multi_task_sc2`.

    ### Ends

    All agents terminate when all food is collected, and are truncated at the time limit.
    `infos[agent]` holds the name of the `task` and, at the end, `is_success`: the levels of what is
    collected as a share of the levels of all food, from 0 to 1.

    ### Arguments

    ``` python
    multi_task_foraging_v0.parallel_env(
        tasks="foraging_small", sight=2, render_mode=None, max_players=None, max_foods=None,
        time_limit_steps=50,
    )
    ```

    `tasks`: a task set, a task's name, or a list of both.

    `sight`: an agent sees so many rows and columns in each direction.

    `render_mode`: `"rgb_array"` for pictures from `render()`. They need no display.

    `max_players`, `max_foods`: A and F; None for as many as the tasks need.

    `time_limit_steps`: the largest number of steps of an episode.

    `reset(options={"task": "8x8-2p-2f-coop"})` chooses the task of the episode, one of `tasks`.
    Other options are ignored. Equal seeds give equal series of episodes. `get_state` and
    `set_state` save and continue an episode.

    ### Version History

    * v0: Initial version (0.1.0)
    """  # noqa: E501  (a row of a table cannot be broken)

    metadata: dict[str, Any] = {  # noqa: RUF012  (PettingZoo's own type)
        "name": "multi_task_foraging_v0",
        "render_modes": list(RENDER_MODES),
        "render_fps": 5,
        "is_parallelizable": True,
    }

    def __init__(self, settings: ForagingSettings) -> None:
        check_machine()
        self.settings = settings
        self.render_mode = settings.render_mode
        agents, foods = settings.agent_slots, settings.food_slots
        self._games = {task.name: Game(task, agents, foods) for task in settings.parsed_tasks}
        self.tasks = tuple(self._games)
        self._rng: np.random.Generator | None = None
        self._field: Field | None = None
        self.possible_agents = [f"player_{slot}" for slot in range(agents)]
        self.agents: list[str] = []
        self.state_space = _box((agents + foods, NUM_FEATURES))
        # One object per agent, so that each can be seeded separately.
        self._observation_spaces = {
            agent: gymnasium.spaces.Dict(
                entities=_box(self.state_space.shape),
                visible=MultiBinary(agents + foods),
                action_mask=MultiBinary(NUM_ACTIONS),
            )
            for agent in self.possible_agents
        }
        self._action_spaces: dict[str, Discrete] = {
            agent: Discrete(NUM_ACTIONS) for agent in self.possible_agents
        }

    @property
    def feature_columns(self) -> dict[str, tuple[int, int]]:
        """Each group of columns: its width, and how many of them belong to one slot each."""
        return {name: (width, 0) for name, width in COLUMNS.items()}

    def observation_space(self, agent: str) -> Space[Any]:
        """The observation space of an agent, the same object at every call."""
        return self._observation_spaces[agent]

    def action_space(self, agent: str) -> Discrete:
        """The action space of an agent, the same object at every call."""
        return self._action_spaces[agent]

    def reset(
        self, seed: int | None = None, options: Mapping[str, Any] | None = None
    ) -> tuple[dict[str, Observation], dict[str, dict[str, Any]]]:
        """Starts an episode.

        Args:
            seed: Restarts the series of episodes with this seed; None continues the series.
            options: ``{"task": name}`` chooses the episode's task.

        Raises:
            InputError: The options are no dict, or the task is not one of the environment's tasks.
        """
        if seed is not None or self._rng is None:
            self._rng = np.random.default_rng(seed)
        drawn = self.tasks[self._rng.integers(len(self.tasks))]
        name = task_to_play(options, self.tasks, drawn)
        self._start(self._games[name].reset(self._rng))
        return self._observations(), {agent: {"task": name} for agent in self.agents}

    def step(
        self, actions: dict[str, int]
    ) -> tuple[
        dict[str, Observation],
        dict[str, float],
        dict[str, bool],
        dict[str, bool],
        dict[str, dict[str, Any]],
    ]:
        """Plays one step. Once the episode is over, it does nothing and returns empty dicts.

        Args:
            actions: One action for each of ``agents``. Agents without a player may be left out, or
                do nothing (action 0).

        Returns:
            Observations, rewards, terminations, truncations and infos of the agents that were in
            ``agents`` before the step.

        Raises:
            InputError: A line for each agent without an action, unknown agent, action of an agent
                without a player, and action that is not a number from 0 to 5.
        """
        if not self.agents:
            return {}, {}, {}, {}, {}
        before = self._now()
        absent = "has no player, or the episode is over"
        array = action_array(actions, self.agents, self._action_spaces, absent)
        after = self._games[before.task.name].step(before, array)
        self._show(after)
        terminated = is_over(after)
        truncated = after.step >= self.settings.time_limit_steps and not terminated
        info: dict[str, Any] = {"task": after.task.name}
        if terminated or truncated:
            info["is_success"] = share_collected(after)
        agents, team_reward, observations = self.agents, reward(before, after), self._observations()
        if terminated or truncated:
            self.agents = []
        return (
            observations,
            dict.fromkeys(agents, team_reward),
            dict.fromkeys(agents, terminated),
            dict.fromkeys(agents, truncated),
            {agent: dict(info) for agent in agents},
        )

    def state(self) -> npt.NDArray[np.float32]:
        """The features of all entities, [E, D] float32."""
        self._now()
        return self._entities.copy()

    def render(self) -> npt.NDArray[np.uint8] | None:
        """Returns a picture [H, W, 3] uint8."""
        if self.render_mode is None:
            gymnasium.logger.warn("render() shows nothing: the environment has no render_mode.")
            return None
        return picture(self._now())

    def scene(self, states: npt.NDArray[np.float32], task: str) -> dict[str, Any]:
        """Describes an episode for an interactive player.

        Args:
            states: [T+1, E, D] what ``state()`` has returned at each step.
            task: The name of what was played.
        """
        played = self._games[task].task
        return episode_scene(states, len(self.possible_agents), played, self.settings.sight)

    def close(self) -> None:
        """Does nothing: there is nothing to end."""

    def get_state(self) -> dict[str, np.ndarray]:
        """The episode in progress and the series of random numbers, as plain arrays."""
        field = self._now()
        assert self._rng is not None  # reset made it
        return {
            "task": np.array(self.tasks.index(field.task.name)),
            "step": np.array(field.step),
            "cell": field.cell,
            "level": field.level,
            "eaten": field.eaten,
            "last_action": field.last_action,
            "over": np.array(not self.agents),
            "random": generator_state(self._rng),
        }

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Continues from what ``get_state`` of an environment with equal arguments returned."""
        game = self._games[self.tasks[int(state["task"])]]
        arrays = {key: state[key].copy() for key in ("cell", "level", "eaten", "last_action")}
        field = Field(game.task, int(state["step"]), **arrays)
        game.restore(field)
        self._rng = restored_generator(state["random"])
        self._start(field)
        if state["over"]:
            self.agents = []

    def _start(self, field: Field) -> None:
        self._show(field)
        players = field.present[: field.agents]
        self.agents = [a for a, plays in zip(self.possible_agents, players, strict=True) if plays]

    def _show(self, field: Field) -> None:
        """Makes what agents are shown of the episode."""
        self._field = field
        apart, limit = offsets(field), self.settings.time_limit_steps
        self._mask = action_mask(field)
        self._visible = visible_entities(field, apart, self.settings.sight)
        self._entities = features(field, apart, self._visible, self._mask, limit)

    def _now(self) -> Field:
        """The episode in progress."""
        if self._field is None:
            raise RuntimeError("call reset() first: there is no episode yet")
        return self._field

    def _observations(self) -> dict[str, Observation]:
        slots = {agent: slot for slot, agent in enumerate(self.possible_agents)}
        seen = self._entities * self._visible[:, :, None]  # A,E,D
        visible, mask = self._visible.astype(np.int8), self._mask.astype(np.int8)
        return {
            agent: {
                "entities": seen[slots[agent]],
                "visible": visible[slots[agent]],
                "action_mask": mask[slots[agent]],
            }
            for agent in self.agents
        }


def _box(shape: tuple[int, ...]) -> Box:
    return Box(-LARGEST_FEATURE, LARGEST_FEATURE, shape, np.float32)


env = aec_wrapper_fn(parallel_env)  # PettingZoo's name for the AEC API: agents act in turn
raw_env = MultiTaskForaging
