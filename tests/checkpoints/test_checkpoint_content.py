"""What is in a checkpoint of a real algorithm, and what is refused before it is loaded."""

from __future__ import annotations

import os
import pathlib
import pickle
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rllib_ptm
from rllib_ptm import PTM, PTMConfig
from rllib_ptm.checkpoints.contents import CONTENTS_FILE, CheckpointError
from rllib_ptm.checkpoints.folder import whole_checkpoint
from rllib_ptm.learn.rl_module import PTMModule, team_spaces

pytestmark = pytest.mark.usefixtures("cluster")
MakeConfig = Callable[..., PTMConfig]


class Bomb:
    """A pickle that leaves a trace when it is loaded."""

    def __init__(self, trace: pathlib.Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return pathlib.Path.touch, (self.trace,)


@pytest.fixture
def saved(make_config: MakeConfig, tmp_path: pathlib.Path) -> pathlib.Path:
    """A checkpoint from before any training."""
    algorithm = make_config().build_algo()
    algorithm.save_to_path(tmp_path / "saved")
    algorithm.stop()
    return tmp_path / "saved"


@pytest.mark.parametrize("file", ["algorithm_state.pkl", "learner_group/learner/state.pkl"])
def test_code_in_a_checkpoint_is_not_run(
    make_config: MakeConfig, saved: pathlib.Path, tmp_path: pathlib.Path, file: str
) -> None:
    trace = tmp_path / "trace"
    algorithm = make_config().build_algo()
    with whole_checkpoint(tmp_path / "bad") as (_, draft, folder):
        shutil.copytree(saved, draft)
        os.remove(f"{draft}/{CONTENTS_FILE}")
        pathlib.Path(draft, file).write_bytes(pickle.dumps({"harmless": 1, "bomb": Bomb(trace)}))
    with pytest.raises(CheckpointError, match=r"found pathlib\.Path.*would run"):
        algorithm.restore_from_path(folder)
    algorithm.stop()
    assert not trace.exists()


def test_what_is_no_checkpoint_is_refused_unread(tmp_path: pathlib.Path) -> None:
    (tmp_path / "class_and_ctor_args.pkl").write_bytes(pickle.dumps(Bomb(tmp_path / "trace")))
    with pytest.raises(CheckpointError, match="expected a checkpoint of PTM"):
        PTM.from_checkpoint(tmp_path)
    assert not (tmp_path / "trace").exists()


def test_more_weights_than_the_networks_have_are_refused(make_config: MakeConfig) -> None:
    """As those of a mixing width of 1 from before it went without two hypernetworks."""
    learns, plays = (
        PTMModule(
            observation_space=team_spaces(3, 3)[0],
            action_space=None,
            inference_only=inference_only,
            model_config=make_config(mixing_dim=1)._model_config_auto_includes,
        )
        for inference_only in (False, True)
    )
    state = {**learns.get_state(), "mixer.w1.embed.weight": np.zeros((8, 9))}
    with pytest.raises(rllib_ptm.InputError, match=r"embed\.weight: expected none, found \(8, 9"):
        learns.set_state(state)
    plays.set_state(state)  # it leaves more than that unread
