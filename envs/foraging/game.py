"""Plays one game of lbforaging, whose players and foods are in random slots."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ...checks.extras import needs_extra
from .field import Field
from .tasks import Task

PLAYER_LEVELS = 1, 2  # the lowest and the highest; those of lbforaging's own environments
NEVER = 2**31  # the time limit is the environment's business


def check_machine() -> None:
    """Checks that lbforaging is installed.

    Raises:
        InputError: It is not.
    """
    with needs_extra("foraging", "multi_task_foraging"):
        import lbforaging  # noqa: F401


@cache
def _foraging_class() -> type[Any]:
    """The environment of lbforaging without its observations, which take most of its time."""
    from lbforaging.foraging import ForagingEnv  # only users of this environment have it

    class Foraging(ForagingEnv):
        def _make_gym_obs(self) -> tuple[()]:
            return ()

    return Foraging


class Game:
    """One game after another of one task.

    Args:
        task: What is played.
        agents: A, the slots for players.
        foods: F, the slots for foods.
    """

    def __init__(self, task: Task, agents: int, foods: int) -> None:
        self.task = task
        self.agents = agents
        self.foods = foods
        lowest, highest = PLAYER_LEVELS
        self._game = _foraging_class()(
            players=task.players,
            min_player_level=lowest,
            max_player_level=highest,
            min_food_level=1,
            max_food_level=None,  # the sum of the three lowest levels of players
            field_size=(task.rows, task.columns),
            max_num_food=task.foods,
            sight=max(task.rows, task.columns),
            max_episode_steps=NEVER,
            force_coop=task.coop,
        )

    def reset(self, rng: np.random.Generator) -> Field:
        """Starts a game. All that is random in it comes from ``rng``.

        The game has fewer foods than the task says where lbforaging finds no cell for one that is
        far enough from the others, in a thousand tries.
        """
        player_slots = rng.permutation(self.agents)[: self.task.players]
        food_slots = rng.permutation(self.foods)
        for player in self._game.players:
            player.position = None  # lbforaging takes it for an occupied cell of the new game
        self._game.reset(seed=int(rng.integers(2**31)))
        food_cells = np.argwhere(self._game.field)
        food_slots = self.agents + food_slots[: len(food_cells)]
        cell = np.zeros((self.agents + self.foods, 2), np.int64)
        level = np.zeros(self.agents + self.foods, np.int64)
        cell[player_slots] = [player.position for player in self._game.players]
        level[player_slots] = [player.level for player in self._game.players]
        cell[food_slots] = food_cells
        level[food_slots] = self._game.field[tuple(food_cells.T)]
        eaten, last_action = np.zeros(self.foods, bool), np.zeros(self.agents, np.int64)
        self._player_slots = player_slots
        return Field(self.task, 0, cell, level, eaten, last_action)

    def step(self, field: Field, actions: npt.NDArray[np.int64]) -> Field:
        """Makes one step.

        Args:
            field: The game, as the last call returned it.
            actions: [A] by slot. An action that is not allowed does nothing.
        """
        self._game.step(actions[self._player_slots].tolist())
        cell = field.cell.copy()
        cell[self._player_slots] = [player.position for player in self._game.players]
        at_food = tuple(cell[self.agents :].T)
        eaten = (field.level[self.agents :] > 0) & (self._game.field[at_food] == 0)
        return replace(field, step=field.step + 1, cell=cell, eaten=eaten, last_action=actions)

    def restore(self, field: Field) -> None:
        """Continues a game from here. In lbforaging all players are alike but for their levels."""
        self._player_slots = np.flatnonzero(field.level[: self.agents])
        self._game.field = np.zeros((self.task.rows, self.task.columns), np.int32)
        remaining = self.agents + np.flatnonzero(field.remaining[self.agents :])
        self._game.field[tuple(field.cell[remaining].T)] = field.level[remaining]
        for player, slot in zip(self._game.players, self._player_slots, strict=True):
            position = tuple(field.cell[slot].tolist())
            player.setup(position, int(field.level[slot]), self._game.field_size)
        self._game.current_step = field.step
        self._game._food_spawned = field.level[self.agents :].sum()
        self._game._gen_valid_moves()
