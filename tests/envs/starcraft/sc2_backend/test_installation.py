"""Messages about missing installations: one line each, with the remedy."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from sc2_standin.installation import MAP, install

from rllib_ptm.algorithm import PTMConfig
from rllib_ptm.checks.errors import InputError
from rllib_ptm.envs.starcraft.sc2.game_process import reserve_port
from rllib_ptm.envs.starcraft.sc2.installation import find_installation
from rllib_ptm.envs.starcraft.tasks import parse_task
from sc2_backend.conftest import MakeBattles, settings


def refusal(game_version: str | None = None) -> str:
    with pytest.raises(InputError) as error:
        find_installation(game_version)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_no_game_where_sc2path_points(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SC2PATH", str(tmp_path / "nowhere"))
    message = refusal()
    assert f"no StarCraft II in {tmp_path}/nowhere (which SC2PATH names)" in message
    assert "s2client-proto" in message


def test_no_game_and_no_sc2path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SC2PATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    message = refusal()
    assert (
        f"no StarCraft II in {tmp_path}/StarCraftII (the default, as SC2PATH is not set)" in message
    )
    assert "set the environment variable SC2PATH" in message


def test_the_default_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SC2PATH", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    install(tmp_path / "StarCraftII")
    assert find_installation(None).folder == tmp_path / "StarCraftII"


def test_no_map(installation: Path) -> None:
    (installation / MAP).unlink()
    message = refusal()
    assert f"no map {installation / MAP}" in message
    assert "copy the folder SMAC_Maps" in message


def test_the_newest_version_or_the_one_asked_for(installation: Path) -> None:
    install(installation, base_build=69232)  # 4.6.2
    newest, older = find_installation(None), find_installation("4.6.2")
    assert (newest.base_build, older.base_build) == (75689, 69232)
    assert older.executable == installation / "Versions" / "Base69232" / "SC2_x64"
    assert older.command("127.0.0.1", 5000) == [
        str(older.executable),
        *("-listen", "127.0.0.1", "-port", "5000", "-dataDir", f"{installation}/"),
        *("-dataVersion", "B3E14058F1083913B80C20993AC965DB"),
    ]


@pytest.mark.parametrize(
    ("version", "parts"),
    [
        ("4.6.2", ["env_config.game_version: 4.6.2 is build 69232", "holds 75689"]),
        ("4.10.9", ["env_config.game_version: '4.10.9' is unknown", "did you mean '4.10"]),
    ],
)
def test_a_version_that_is_not_there(installation: Path, version: str, parts: list[str]) -> None:
    message = refusal(version)
    for part in parts:
        assert part in message


def test_a_game_that_may_not_be_executed(installation: Path) -> None:
    executable = find_installation(None).executable
    executable.chmod(0o644)
    assert f"{executable} may not be executed" in refusal()


def test_a_game_for_another_machine(make: MakeBattles, installation: Path) -> None:
    find_installation(None).executable.write_text("no program")
    with pytest.raises(InputError, match=r"process ended: .*Exec format error"):
        make("1m").reset(np.zeros(1, int), [parse_task("1m")], [0])


def test_it_is_said_before_any_game_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SC2PATH", str(tmp_path))
    with pytest.raises(InputError, match="no StarCraft II in"):
        settings("3m").make_battles(4)


def test_it_is_said_before_ray_starts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SC2PATH", str(tmp_path))
    config = PTMConfig().environment(env_config={"tasks": "3m", "backend": "sc2"})
    with pytest.raises(InputError, match="no StarCraft II in"):
        config.validate()


def test_replays_that_cannot_be_written_are_refused_before_ray_starts(
    installation: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(folder: Path) -> None:
        keys = {"tasks": "3m", "backend": "sc2", "save_replay_dir": str(folder)}
        with pytest.raises(InputError, match="save_replay_dir: .*" + folder.name):
            PTMConfig().environment(env_config=keys).validate()

    refuse(installation / "Versions" / "Base75689" / "SC2_x64" / "replays")
    access = os.access  # the superuser may write everywhere
    monkeypatch.setattr(os, "access", lambda path, mode: mode & os.W_OK == 0 and access(path, mode))
    refuse(installation / "replays")


def test_the_version_that_was_asked_for_plays(make: MakeBattles, installation: Path) -> None:
    install(installation, base_build=69232)
    battles = make("1m", game_version="4.6.2")
    assert battles.reset(np.zeros(1, int), [parse_task("1m")], [0]).alive.sum() == 2
    shutil.rmtree(installation / "Versions" / "Base69232")


def test_no_port_is_given_twice() -> None:
    reserved = [reserve_port() for _ in range(200)]
    assert len({port for _, port in reserved}) == 200
    for holder, _ in reserved:
        holder.close()


WITHOUT = """
import sys
for name in ("sc2", "s2clientprotocol", "aiohttp"):
    sys.modules[name] = None
import numpy as np
from rllib_ptm.envs.starcraft.backends import EnvSettings
smax = EnvSettings(tasks="1m").make_battles(1)
smax.reset(np.zeros(1, int), EnvSettings(tasks="1m").parsed_tasks, [0])
settings = EnvSettings(tasks="1m", backend="sc2")
print("so far, so good")
settings.make_battles(1)
"""


def test_without_burnysc2_all_else_works_and_sc2_says_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False
    )
    assert "so far, so good" in done.stdout
    message = done.stderr.strip().splitlines()[-1]
    assert "InputError: backend 'sc2' needs the module" in message
    assert "pip install 'rllib-ptm[sc2]'" in message
