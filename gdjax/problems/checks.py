"""Numbers that builders of problems are given: refused where they are made, with a text that says what to do."""

from __future__ import annotations

from gdjax.scalars import is_real, is_whole


def whole(field: str, value: object, least: int, hint: str) -> int:
    """A whole number of at least `least`; the hint ends the error text."""
    if not is_whole(value):
        raise TypeError(f"{field}: must be a whole number of at least {least} (got {value!r}). {hint}")
    if value < least:
        raise ValueError(f"{field}: must be at least {least} (got {value}). {hint}")
    return int(value)


def real(field: str, value: object) -> float:
    """A real number; its range is the caller's to check."""
    if not is_real(value):
        raise TypeError(f"{field}: must be a number (got {value!r}). Give a float.")
    return float(value)
