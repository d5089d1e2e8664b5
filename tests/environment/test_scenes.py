"""The scenes of episodes: StarCraft's and foraging's, and those that environments describe."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from odd_env import OddEnv

from rllib_ptm.checks.errors import InputError
from rllib_ptm.environment.names import game_of
from rllib_ptm.environment.pettingzoo_game import PettingZooGame
from rllib_ptm.environment.scenes.scene import NO_TARGET, Scene, read_scene
from rllib_ptm.environment.scenes.starcraft import battle_scene
from rllib_ptm.envs import multi_task_foraging_v0
from rllib_ptm.envs.starcraft.units import UNIT_TYPES, Units, empty_units


def units_of(kinds: list[str], allies: int, positions: list[tuple[float, float]]) -> Units:
    """A battle with all slots present, at full health and with ready weapons."""
    entities = len(kinds)
    empty = empty_units(1, allies, entities - allies)[0]
    ones = np.ones(entities, np.float32)
    return replace(
        empty,
        present=np.ones(entities, bool),
        unit_type=np.array([UNIT_TYPES.index(kind) for kind in kinds], np.int8),
        max_health=50 * ones,
        health=50 * ones,
        attack_range=5 * ones,
        sight_range=9 * ones,
        position=np.array(positions, np.float32),
    )


def test_who_hits_whom_in_a_battle() -> None:
    """The marines 0 and 1 attack enemy 2, the medivac heals; only the first marine fires."""
    kinds = ["marine", "marine", "medivac", "zealot", "zealot"]
    before = units_of(kinds, 3, [(0, 0), (0, 2), (0, 4), (4, 0), (9, 9)])
    cooldown = np.array([0.8, 0.0, 0.0, 0.7, 0.7], np.float32)
    health = np.array([30, 50, 50, 41, 50], np.float32)
    after = replace(before, cooldown=cooldown, health=health)
    attack_0, heal_0 = 6, 6
    scene = battle_scene([before, after], np.array([[attack_0, attack_0, heal_0]]), "test")
    # Enemy 4 fires, too, but whoever lost health is far out of its range.
    assert scene.shots == (((0, 3), (2, 0), (3, 0)),)
    assert scene.actions[0][6] == "attack 0"
    assert scene.actions[2][6] == "heal 0"
    assert scene.targets[0, 6] == 3
    assert scene.targets[2, 6] == 0
    assert scene.targets[0, 2] == NO_TARGET
    assert scene.curves["allies"].tolist() == pytest.approx([1.0, 130 / 150])
    assert scene.curves["enemies"].tolist() == pytest.approx([1.0, 91 / 100])
    west, south, width, height = scene.area
    assert (
        (scene.position >= (west, south)) & (scene.position <= (west + width, south + height))
    ).all()


def test_a_weapon_that_cools_down_has_not_fired() -> None:
    before = units_of(["marine", "marine"], 1, [(0, 0), (3, 0)])
    before = replace(before, cooldown=np.array([0.9, 0.9], np.float32))
    after = replace(before, cooldown=np.array([0.3, 0.3], np.float32))
    assert battle_scene([before, after], np.array([[6]]), "test").shots == ((),)


def foraging_scene(task: str) -> tuple[Scene, list[Any]]:
    """Random play: its scene, and the fields of the environment itself."""
    env = multi_task_foraging_v0.parallel_env(task)
    rng, states, fields = np.random.default_rng(0), [], []
    observations, _ = env.reset(seed=4)
    while True:
        states.append(env.state())
        fields.append(env._field)
        if not env.agents:
            break
        actions = {
            agent: int(rng.choice(np.flatnonzero(observations[agent]["action_mask"])))
            for agent in env.agents
        }
        observations, *_ = env.step(actions)
    game = game_of("multi_task_foraging", {"tasks": [task]})
    assert isinstance(game, PettingZooGame)
    records = [{"entities": state} for state in states]
    return game.scene(records, np.zeros((len(states) - 1, 2), int), task), fields


def test_the_scene_of_foraging_is_its_grid() -> None:
    scene, fields = foraging_scene("5x5-2p-3f")
    assert scene.area == (-2.5, -2.5, 5, 5)
    for t, field in enumerate(fields):
        east, north = field.cell[:, 1] - 2, 2 - field.cell[:, 0]
        here = field.present
        np.testing.assert_allclose(
            scene.position[t][here], np.stack([east, north], 1)[here], atol=1e-5
        )
        assert (scene.alive[t] == field.remaining).all()
    eaten = [(after.eaten & ~before.eaten).sum() for before, after in pairwise(fields)]
    assert sum(eaten) > 0, "nothing was collected; choose another seed"
    for t, count in enumerate(eaten):
        assert len({food for _, food in scene.shots[t]}) == count
    assert [thing.label for thing in scene.things] == [str(n) for n in fields[0].level]
    assert scene.curves["food collected"][-1] == pytest.approx(
        fields[-1].level[2:][fields[-1].eaten].sum() / fields[-1].level[2:].sum()
    )


GOOD = {
    "area": (0, 0, 4, 4),
    "position": np.zeros((3, 2, 2)),
    "things": [{"name": "robot"}, {"name": "goal", "side": "other"}],
}


def test_an_environment_may_describe_little() -> None:
    scene = read_scene(GOOD, "two", (3, 2), 1, 2)
    assert scene.title == "two"
    assert scene.alive.all()
    assert scene.actions == (("action 0", "action 1"),)


@pytest.mark.parametrize(
    ("changes", "line"),
    [
        ({"aera": 1}, "scene(): key: 'aera' is unknown; did you mean 'area'?"),
        ({"position": np.zeros((2, 2, 2))}, r"scene(): position: expected the shape (3, 2, 2)"),
        ({"position": np.full((3, 2, 2), np.nan)}, "scene(): position: expected finite numbers"),
        ({"things": [{"name": "a"}]}, "scene(): things: expected 2, found 1"),
        ({"things": [{"nam": "a"}] * 2}, "scene(): Thing.__init__() got an unexpected"),
        ({"things": [{"name": "a", "side": "enem"}] * 2}, "did you mean 'enemy'?"),
        ({"area": (0, 0, 0, 4)}, "scene(): area: expected a width and a height above 0"),
        ({"area": 3}, "scene(): "),
        ({"actions": ["left"]}, "scene(): actions: expected 2 names, found 1"),
        ({"bars": {"energy": np.zeros(3)}}, "scene(): bars.energy: expected the shape (3, 2)"),
    ],
)
def test_a_wrong_description_is_one_line(changes: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as raised:
        read_scene({**GOOD, **changes}, "two", (3, 2), 1, 2)
    (found,) = raised.value.lines
    assert line in found


def test_no_description_at_all() -> None:
    with pytest.raises(InputError, match=r"scene\(\): expected a dict, found"):
        read_scene(None, "two", (3, 2), 1, 2)
    with pytest.raises(InputError, match=r"scene\(\): the key 'things' is missing"):
        read_scene({k: v for k, v in GOOD.items() if k != "things"}, "two", (3, 2), 1, 2)


def test_an_environment_of_the_users_own() -> None:
    """One that does not describe its episodes, or fails to, gets one line."""

    class Described(OddEnv):
        def scene(self, states: np.ndarray, task: str) -> dict[str, Any]:
            things = [{"name": str(entity)} for entity in range(states.shape[1])]
            return {"area": (0, 0, 9, 9), "position": states[..., :2], "things": things}

    class Broken(Described):
        def scene(self, states: np.ndarray, task: str) -> dict[str, Any]:
            raise KeyError(task)

    def scene_of(env: type[OddEnv]) -> Scene:
        game = PettingZooGame("odd", lambda config: env(**config), {})
        states = np.zeros((3, game.spec.entities, game.spec.features), np.float32)
        actions = np.zeros((2, game.spec.agents), int)
        return game.scene([{"entities": state} for state in states], actions, "pair")

    assert scene_of(Described).position.shape[0] == 3
    with pytest.raises(InputError, match=r"^environment 'odd': it has no method scene\(\).*film"):
        scene_of(OddEnv)
    with pytest.raises(InputError, match=r"^environment 'odd': scene\(\): KeyError: 'pair'$"):
        scene_of(Broken)
