"""Checks the actions that a PettingZoo ``ParallelEnv`` gets in ``step``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from gymnasium.spaces import Discrete

from ..checks.errors import InputError, Problems, unknown_name

NO_OP = 0


def action_array(
    actions: Mapping[str, int], agents: Sequence[str], spaces: Mapping[str, Discrete], absent: str
) -> npt.NDArray[np.int64]:
    """[A] the actions by slot; the no-op where no agent is left.

    Args:
        actions: What ``step`` got.
        agents: The agents that act now. Others may do the no-op, or be left out.
        spaces: The action space of each possible agent, in their order.
        absent: Why an agent may not be among ``agents``, for messages.

    Raises:
        InputError: A line for each agent without an action, and for each wrong action or agent.
    """
    if not isinstance(actions, Mapping):
        raise InputError(
            "step: expected a dict with an action for each of env.agents, found "
            f"{type(actions).__name__} {actions!r:.100}"
        )
    problems = Problems()
    for agent in agents:
        with problems.collect():
            if agent not in actions:
                raise InputError(
                    f"step: there is no action for {agent}; expected one for each of "
                    f"{', '.join(agents)}, found some for {', '.join(map(str, actions))}"
                )
    slots = {agent: slot for slot, agent in enumerate(spaces)}
    array = np.full(len(slots), NO_OP)
    for agent, action in actions.items():
        with problems.collect():
            _check_action(agent, action, agents, spaces, absent)
            array[slots[agent]] = action
    problems.raise_if_any()
    return array


def _check_action(
    agent: str, action: Any, agents: Sequence[str], spaces: Mapping[str, Discrete], absent: str
) -> None:
    """Checks one action.

    Raises:
        InputError: The agent or the action is unknown, or the agent cannot act.
    """
    if agent not in spaces:
        raise unknown_name("step", agent, agents)
    space = spaces[agent]
    if isinstance(action, (bool, np.bool_)) or not space.contains(action):
        raise InputError(
            f"step: expected an action from 0 to {int(space.n) - 1} for {agent}, "
            f"found {action!r:.100}"
        )
    if agent not in agents and action != NO_OP:
        raise InputError(
            f"step: {agent} {absent}, so it is not in env.agents: expected no "
            f"action for it, or the no-op {NO_OP}, found {action}"
        )
