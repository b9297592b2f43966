"""Host memory that is used again: to the system, fresh pages cost many times what it takes to fill them."""

from __future__ import annotations

import math
import weakref
from collections import defaultdict

import numpy as np

ALIGNED = 64  # bytes; what begins at a multiple of it a CPU device computes on as it is, without a copy


class Spare:
    """Memory of arrays that nothing refers to any more, kept for the next ones of as many bytes.

    A device array that `jax.device_put` makes of one refers to it too, and so does what still computes on that.

    >>> spare = Spare()
    >>> held = spare.array((3, 2), np.dtype(np.float32))
    >>> place = held.ctypes.data
    >>> spare.array((3, 2), held.dtype).ctypes.data == place  # both are in use
    False
    >>> del held
    >>> spare.array((6,), np.dtype(np.int32)).ctypes.data == place
    True
    """

    def __init__(self) -> None:
        self._free: defaultdict[int, list[memoryview]] = defaultdict(list)

    def array(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array of this shape and dtype; what it holds is what its memory was last used for."""
        size = math.prod(shape) * dtype.itemsize
        free = self._free[size]
        try:
            memory = free.pop()
        except IndexError:
            memory = _fresh(size)
        array = np.frombuffer(memory, dtype)  # views refer to it, since what it is a view of is no array
        weakref.finalize(array, free.append, memory).atexit = False
        return array.reshape(shape)


def _fresh(size: int) -> memoryview:
    raw = np.empty(size + ALIGNED, np.uint8)
    skip = -raw.ctypes.data % ALIGNED
    return raw.data[skip : skip + size]
