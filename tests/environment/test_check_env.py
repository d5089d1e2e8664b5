"""``check`` passes what keeps the contract, and says in one line each what breaks it."""

from __future__ import annotations

import logging
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from odd_env import LAMP, SWITCH, OddEnv

from rllib_ptm.checks.errors import InputError
from rllib_ptm.environment import check
from rllib_ptm.environment.check_env import LONG
from rllib_ptm.environment.pettingzoo_game import PettingZooGame


def test_the_odd_environment_passes(caplog: pytest.LogCaptureFixture) -> None:
    check(OddEnv(), episodes_per_task=4)
    assert not caplog.records


class Mutant(OddEnv):
    """The odd environment with a changed observation, state or step, from its second step on."""

    def __init__(self) -> None:
        super().__init__(["relay"])

    def observe(self, agent: str, seen: dict[str, Any]) -> dict[str, Any]:
        return seen

    def end(self, result: tuple) -> tuple:
        return result

    def _observations(self, agents: list[str]) -> dict[str, dict[str, np.ndarray]]:
        seen = super()._observations(agents)
        if self._step < 2:
            return seen
        return {agent: self.observe(agent, each) for agent, each in seen.items()}

    def step(self, actions: Mapping[str, int]) -> Any:
        result = super().step(actions)
        return self.end(result) if self._step >= 2 else result


def observes(change: Callable[[OddEnv, str, dict[str, Any]], dict[str, Any]]) -> type[Mutant]:
    """An environment with other observations of the agents that have a body."""

    class Observes(Mutant):
        def observe(self, agent: str, seen: dict[str, Any]) -> dict[str, Any]:
            working = agent in self._working()
            return {**seen, **change(self, agent, seen)} if working else seen

    return Observes


def steps(change: Callable[[OddEnv, tuple], tuple]) -> type[Mutant]:
    """An environment whose step returns something else."""

    class Steps(Mutant):
        def end(self, result: tuple) -> tuple:
            return change(self, result)

    return Steps


def tables(change: Callable[[OddEnv, np.ndarray], Any]) -> type[Mutant]:
    """An environment with another state."""

    class Tables(Mutant):
        def state(self) -> Any:
            table = super().state()
            return change(self, table) if self._step >= 2 else table

    return Tables


def _without(observation: dict[str, Any], row: int) -> dict[str, Any]:
    visible = observation["visible"].copy()
    visible[row] = 0
    return {"visible": visible}


def _set_row(table: np.ndarray, row: int, value: float) -> np.ndarray:
    table = table.copy()
    table[row] = value
    return table


def _all(result: tuple, index: int, value: Any) -> tuple:
    values = dict.fromkeys(result[index], value)
    return (*result[:index], values, *result[index + 1 :])


class _Ignores(Mutant):
    """Plays what it likes."""

    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
        seen, infos = super().reset(seed, options)
        return seen, {agent: {"task": "pair"} for agent in infos}


class _Silent(Mutant):
    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
        seen, infos = super().reset(seed, options)
        return seen, {agent: {} for agent in infos}


class _Unseeded(Mutant):
    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
        return super().reset(int(np.random.default_rng().integers(2**31)), options)


class _Forgetful(Mutant):
    """Does not save the colours."""

    def set_state(self, state: Mapping[str, np.ndarray]) -> None:
        super().set_state({**state, "_colours": -state["_colours"]})


class _Jagged(Mutant):
    def get_state(self) -> dict[str, Any]:
        return {**super().get_state(), "extra": object()}


class _OnlyObservations(Mutant):
    def reset(self, seed: int | None = None, options: Any = None) -> Any:
        return super().reset(seed, options)[0]


class _Raises(Mutant):
    def step(self, actions: Mapping[str, int]) -> Any:
        if self._step == 4:
            raise OSError("no space left")
        return super().step(actions)


class _Endless(Mutant):
    def step(self, actions: Mapping[str, int]) -> Any:
        self._length = 10**6
        self._stays[:] = 0, 10**6
        self._step %= 8
        return super().step(actions)


class _NothingAtReset(Mutant):
    def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
        super().reset(seed, options)
        self.agents = []
        return {}, {}


STEP = r"^task 'relay', step \d"
AGENT = STEP + r", agent 'worker_\d': "
BREACHES: dict[str, tuple[Callable[[], OddEnv], str]] = {
    "row moves": (
        observes(lambda env, agent, seen: {"entities": np.roll(seen["entities"], 1, 0)}),
        AGENT + r"row \d of entities is row \d of state\(\): a row moves",
    ),
    "row differs": (
        observes(lambda env, agent, seen: {"entities": _set_row(seen["entities"], LAMP, 0.5)}),
        AGENT + r"entities\[3, 0\] is 0.5, but state\(\) has 1.0",
    ),
    "unseen row": (
        observes(lambda env, agent, seen: _without(seen, LAMP)),
        AGENT + r"row 3 of entities is not zero, but it does not see this entity",
    ),
    "sees nothing": (
        observes(lambda env, agent, seen: {"visible": np.ones(5, np.int8)}),
        AGENT + r"it sees entity \d, which does not exist: row \d of state\(\) is zero",
    ),
    "agent without row": (
        tables(lambda env, table: _set_row(table, slice(0, 3), 0)),  # type: ignore[arg-type]
        AGENT + r"it is in agents, but row \d of state\(\), its own, is zero",
    ),
    "nothing allowed": (
        observes(lambda env, agent, seen: {"action_mask": np.zeros(4, np.int8)}),
        AGENT + "action_mask allows no action",
    ),
    "mask values": (
        observes(lambda env, agent, seen: {"action_mask": seen["action_mask"] * 2}),
        AGENT + r"action_mask is of int8: \[.*2.*\]; expected 0 and 1",
    ),
    "mask shape": (
        observes(lambda env, agent, seen: {"visible": np.ones(4, np.int8)}),
        AGENT + r"visible has the shape \(4,\), not \(5,\)",
    ),
    "state shape": (
        tables(lambda env, table: np.vstack([table, table[:1]])),
        STEP + r": state\(\) has the shape \(6, 5\), not \(5, 5\)",
    ),
    "state dtype": (
        tables(lambda env, table: table.astype(float)),
        STEP + r": state\(\) is of float64; the observation space has float32",
    ),
    "NaN in the state": (
        tables(lambda env, table: _set_row(table, SWITCH, np.nan)),
        STEP + r": state\(\)\[4, 0\] is nan",
    ),
    "infinity in an observation": (
        observes(lambda env, agent, seen: {"entities": seen["entities"] + np.float32(np.inf)}),
        AGENT + r"entities\[\d, \d\] is (nan|-?inf)( \(|$)",
    ),
    "no entities": (
        observes(lambda env, agent, seen: {"entities": None}),
        AGENT + r"entities has the shape \(\), not \(5, 5\)",
    ),
    "missing key": (
        steps(lambda env, r: ({a: {"visible": s["visible"]} for a, s in r[0].items()}, *r[1:])),
        AGENT + "its observation has no entities, action_mask",
    ),
    "unknown agent": (
        steps(lambda env, result: ({**result[0], "joker": {}}, *result[1:])),
        STEP + r", agent 'joker': it is not in possible_agents",
    ),
    "no success": (
        steps(lambda env, result: _all(result, 4, {})),
        r"^task 'relay', step 8: the episode is over, but infos has no 'is_success'",
    ),
    "success out of range": (
        steps(lambda env, result: _all(result, 4, {"is_success": 2})),
        r"^task 'relay', step 8, agent 'worker_\d': is_success is 2; expected a number from 0 to 1",
    ),
    "reward": (
        steps(lambda env, result: _all(result, 1, float("nan"))),
        AGENT + "its reward is nan",
    ),
    "reward of no number": (
        steps(lambda env, result: _all(result, 1, None)),
        AGENT + "its reward is None; expected a finite number",
    ),
    "success of no number": (
        steps(lambda env, result: _all(result, 4, {"is_success": "yes"})),
        r"^task 'relay', step 8, agent 'worker_\d': is_success is 'yes'; expected a number from",
    ),
    "one reward for all": (
        steps(lambda env, result: (result[0], 1.0, *result[2:])),
        STEP + r": step\(\) returns other than dicts with agents as keys: rewards is 1.0",
    ),
    "four values": (
        steps(lambda env, result: result[:4]),
        STEP + r": step\(\) returns 4 values; expected 5: observations, rewards, terminations, ",
    ),
    "no infos at reset": (
        _OnlyObservations,
        r"^task 'relay', reset: reset\(\) returns dict; expected 2: observations, infos",
    ),
    "no reward": (
        steps(lambda env, result: (result[0], {}, *result[2:])),
        AGENT + "rewards has nothing for an agent that has acted",
    ),
    "another task": (_Ignores, r"^task 'relay', reset, agent 'worker_\d': infos has the task 'pa"),
    "no task": (_Silent, r"^task 'relay', reset, agent 'worker_\d': infos has no 'task' at reset"),
    "nobody": (_NothingAtReset, r"^task 'relay', reset: no agent is in agents after reset"),
    "random": (
        _Unseeded,
        r"^task 'relay', (reset|step \d): .* differs in a second episode with the same seed, 5,",
    ),
    "resume": (
        _Forgetful,
        r"^task 'relay', step 5: .* differs after get_state\(\) and set_state\(\) at step 4",
    ),
    "state of objects": (_Jagged, r"^task 'relay', step 4: get_state\(\)\['extra'\] is no plain"),
    "error": (_Raises, r"^task 'relay', step 5: step\(\) raises OSError: no space left"),
    "endless": (_Endless, r"^task 'relay', step 100: the episode does not end"),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_a_breach_is_named(breach: str) -> None:
    mutant, line = BREACHES[breach]
    with pytest.raises(InputError) as error:
        check(mutant(), episodes_per_task=2, seed=5, max_steps=100)
    found = [each for each in error.value.lines if re.match(line, each)]
    assert len(found) == 1, str(error.value)
    # Some breaches cause others; none is reported once for each step.
    assert len(error.value.lines) <= 4, str(error.value)


def test_all_breaches_are_named_and_counted() -> None:
    class Twice(Mutant):
        def _observations(self, agents: list[str]) -> dict[str, dict[str, np.ndarray]]:
            seen = super()._observations(agents)
            mask = np.zeros(4, np.int8)
            return {agent: {**each, "action_mask": mask} for agent, each in seen.items()}

        def state(self) -> np.ndarray:
            return super().state().astype(float)

    with pytest.raises(InputError) as error:
        check(Twice(), episodes_per_task=1)
    lines = error.value.lines
    assert len(lines) == 3  # the state, the observations made from it, and the mask
    assert "action_mask allows no action (found" in lines[-1]
    assert all(line.endswith(" times)") for line in lines)


def test_hints_are_warnings(caplog: pytest.LogCaptureFixture) -> None:
    class Legal(Mutant):
        def reset(self, seed: int | None = None, options: Any = None) -> tuple[dict, dict]:
            super().reset(seed, options)
            self._stays = np.array([[0, 0], [0, 8], [0, 8]])
            self.agents = self._working()
            return self._observations(self.agents), {a: {"task": "relay"} for a in self.agents}

        def end(self, result: tuple) -> tuple:
            return result[0], {agent: float(i) for i, agent in enumerate(result[1])}, *result[2:]

    check(Legal())
    hints = [record.getMessage() for record in caplog.records]
    assert [record.levelno for record in caplog.records] == [logging.WARNING] * 2
    assert re.match(r"task 'relay', step 2: the rewards differ between agents: {.*mean", hints[0])
    assert re.match(r"task 'relay': worker_0 start in no episode; .* shuffle", hints[1])


def test_an_agent_that_does_not_see_itself_is_a_hint(caplog: pytest.LogCaptureFixture) -> None:
    def blind(env: OddEnv, agent: str, seen: dict[str, Any]) -> dict[str, Any]:
        slot = env.possible_agents.index(agent)
        return {**_without(seen, slot), "entities": _set_row(seen["entities"], slot, 0)}

    check(observes(blind)())
    (hint,) = [record.getMessage() for record in caplog.records]
    assert re.match(AGENT + r"it does not see itself: visible\[\d\] is 0", hint)


def test_an_error_names_the_line_of_the_users_own_code() -> None:
    with pytest.raises(InputError) as error:
        check(_Raises(), episodes_per_task=1)
    (line,) = error.value.lines
    found = re.search(rf"no space left \({Path(__file__).name}, line (\d+)\)", line)
    assert found, line
    source = Path(__file__).read_text().splitlines()
    assert "raise OSError" in source[int(found[1]) - 1]


def test_a_long_episode_is_said_before_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(InputError, match=r"does not end; .*check\(env, max_steps=...\)"):
        check(_Endless(), max_steps=LONG)
    (said,) = [record.getMessage() for record in caplog.records]
    assert said.startswith("task 'relay', step 1000: the episode goes on")


def test_an_episode_that_does_not_end_is_played_once() -> None:
    env = _Endless()
    resets: list[int | None] = []
    reset = env.reset
    env.reset = lambda seed=None, options=None: resets.append(seed) or reset(seed, options)  # type: ignore[method-assign,func-returns-value]
    with pytest.raises(InputError, match="does not end"):
        check(env, max_steps=100)
    assert resets == [0]


@pytest.mark.parametrize("env", [_OnlyObservations, _NothingAtReset])
def test_no_hint_at_slots_where_no_episode_starts(
    env: type[OddEnv], caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(InputError):
        check(env())
    assert not caplog.records


def test_training_checks_the_start() -> None:
    def creator(config: dict) -> OddEnv:
        return _Ignores()

    with pytest.raises(InputError, match=r"^environment 'mine': task 'relay', reset, agent 'wor"):
        PettingZooGame("mine", creator, {})


def test_the_room_is_cheap_to_import() -> None:
    code = (
        "import sys, rllib_ptm.environment, rllib_ptm.environment.contract as _;"
        "print([m for m in ('torch', 'ray', 'jax', 'pettingzoo', 'gymnasium') if m in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
