"""The state of NumPy's random generator as a plain array, for checkpoints."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

_WORD = 2**64  # its state and increment have 128 bits, an array's numbers 64


def generator_state(rng: np.random.Generator) -> npt.NDArray[np.uint64]:
    """[6] the state of a generator that ``np.random.default_rng`` has made."""
    found = rng.bit_generator.state
    inner = found["state"]
    words = (*divmod(inner["state"], _WORD), *divmod(inner["inc"], _WORD))
    return np.array([*words, found["has_uint32"], found["uinteger"]], np.uint64)


def restored_generator(state: npt.NDArray[np.uint64]) -> np.random.Generator:
    """A generator that goes on from what ``generator_state`` returned."""
    high, low, inc_high, inc_low, has_uint32, uinteger = state.tolist()
    rng = np.random.default_rng(0)
    rng.bit_generator.state = {
        "bit_generator": rng.bit_generator.state["bit_generator"],
        "state": {"state": high * _WORD + low, "inc": inc_high * _WORD + inc_low},
        "has_uint32": has_uint32,
        "uinteger": uinteger,
    }
    return rng
