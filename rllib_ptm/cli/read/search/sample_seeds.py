"""A seed for each sample of an experiment.

``num_samples`` trains each variant of the config several times. With one seed for all, every sample
would be the same run again. So each sample gets a seed of its own, derived from the one that the
user gave. All grid points of a sample share its seed, so that methods are compared on equal seeds.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

SEED = "seed"
# RLlib adds the numbers of its processes to a seed. Below 2**30 the sum fits every generator.
_SEED_BITS = 30


def sample_seed(seed: int | None, sample: int) -> int | None:
    """The seed of a sample: the user's own for the first one, a hash for each further one.

    Args:
        seed: The seed that the user gave; None = each sample draws one.
        sample: The number of the sample, from 0.
    """
    if sample == 0 or seed is None:
        return seed
    digest = hashlib.sha256(f"{seed} {sample}".encode()).digest()
    return int.from_bytes(digest, "big") % 2**_SEED_BITS


def with_sample_seeds(config: Mapping[str, Any], num_samples: int) -> tuple[dict[str, Any], int]:
    """Replaces samples that share a seed by a grid of seeds.

    A config without a seed, or with one that is drawn from a distribution, stays as it is.

    Args:
        config: The algorithm's settings; may hold search spaces.
        num_samples: How often each variant of the config is trained.

    Returns:
        The config, and how often each of its variants is trained.
    """
    written = config.get(SEED)
    seeds = written.get("grid_search") if isinstance(written, Mapping) else [written]
    if num_samples == 1 or seeds is None or seeds == [None]:
        return dict(config), num_samples
    grid = [sample_seed(seed, sample) for sample in range(num_samples) for seed in seeds]
    return {**config, SEED: {"grid_search": grid}}, 1
