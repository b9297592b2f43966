"""What counts as a number in an argument: those of Python and NumPy, not True and False."""

from __future__ import annotations

from numbers import Integral, Real
from typing import TypeGuard


def is_whole(value: object) -> TypeGuard[int]:
    """A whole number of Python or NumPy; True and False are none."""
    return isinstance(value, Integral) and not isinstance(value, bool)


def is_real(value: object) -> TypeGuard[float]:
    """A real number of Python or NumPy; True and False are none."""
    return isinstance(value, Real) and not isinstance(value, bool)
