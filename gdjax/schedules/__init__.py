"""Learning-rate schedules: time through the budget -> factor on the rate, one function each.

A new schedule is a formula and its maker, under `@register`, in any module of this package: `get`, `names`, the plot of
`python -m bench list --schedules` and `gdjax.schedules.<its name>` find it.
"""

from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING

from gdjax.schedules.registry import KINDS, Maker, get, names, register
from gdjax.schedules.schedule import (
    SHAPE_SIZE,
    UNITS,
    Formula,
    Schedule,
    evaluate,
    factor,
    pad_shape,
    periods_done,
    rise_factor,
    time,
)
from gdjax.schedules.wrappers import custom, warmup

if TYPE_CHECKING:  # type checkers read the makers here; at run time each comes from its registration
    from gdjax.schedules.decays import *  # noqa: F403
    from gdjax.schedules.rises import *  # noqa: F403

for _module in iter_modules(__path__):  # noqa: F405
    import_module(f"{__name__}.{_module.name}")
globals().update(KINDS)

__all__ = [
    "KINDS", "SHAPE_SIZE", "UNITS", "Formula", "Maker", "Schedule", "custom", "evaluate", "factor", "get", "names",
    "pad_shape", "periods_done", "register", "rise_factor", "time", "warmup", *KINDS,
]
