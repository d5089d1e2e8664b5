"""Stops an update whose loss or gradient is NaN or infinite, before it changes any weight."""

from __future__ import annotations

import contextlib
import pathlib
from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow.fs
import torch
from ray.rllib.core import DEFAULT_MODULE_ID
from ray.rllib.policy.sample_batch import MultiAgentBatch
from torch import Tensor

from rllib_ptm.replay.array_files import write_arrays


class NonFiniteLossError(ArithmeticError):
    """A loss or a gradient became NaN or infinite; no weight was changed.

    Attributes:
        file: The batch, as numpy's .npz; None if it has not been written.
    """

    file: pathlib.Path | None = None


def check_finite(values: Mapping[str, Tensor]) -> None:
    """Raises if a value is NaN or infinite on this learner or on another.

    All learners raise together: a learner that continued alone would wait for the gradients of the
    others.

    Args:
        values: Scalars by name.

    Raises:
        NonFiniteLossError: Names the values, and on how many learners each is not finite.
    """
    bad = ~torch.isfinite(torch.stack([value.detach().float() for value in values.values()]))
    count = bad.float()
    if torch.distributed.is_initialized():
        torch.distributed.all_reduce(count)
    if not count.any():
        return
    learners = count.tolist()
    raise NonFiniteLossError(
        ", ".join(
            f"{name} is not finite on {int(n)} learner{'s' if n > 1 else ''}"
            for name, n in zip(values, learners, strict=True)
            if n
        )
    )


@contextlib.contextmanager
def save_failed_batch(
    folder: str, name: str, batches: Sequence[MultiAgentBatch], tasks: Sequence[str]
) -> Iterator[None]:
    """If the update within is not finite, writes its batch to a file and names it in the error.

    Args:
        folder: The folder of the file.
        name: Distinguishes the file from others in this folder.
        batches: One per learner.
        tasks: The task of each of their episodes.

    Raises:
        NonFiniteLossError: With the file's path, also as its attribute ``file``.
    """
    try:
        yield
    except NonFiniteLossError as error:
        file = pathlib.Path(folder).absolute() / f"failed_batch_{name}.npz"
        shards = [batch[DEFAULT_MODULE_ID] for batch in batches]
        arrays = {key: np.concatenate([shard[key] for shard in shards]) for key in shards[0]}
        arrays["task"] = np.array(tasks)
        write_arrays(pyarrow.fs.LocalFileSystem(), str(file), arrays)
        cause = getattr(error, "cause", error)  # Ray wraps the error of a remote learner
        with_file = NonFiniteLossError(f"{cause}; no weight was changed; the batch is in {file}")
        with_file.file = file
        raise with_file from error
