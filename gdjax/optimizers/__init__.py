"""The optimizers by name: functions of the rate, built inside the trace from a traced rate.

An optimizer here is anything optax calls by one learning rate: `optax.sgd` itself, or
`lambda rate: optax.chain(optax.clip_by_global_norm(1.0), optax.adam(rate))`. Because the rate of the step is an array
when the transformation is built, a new rate or schedule compiles nothing (optax issue 577). Further keyword arguments
that are numbers, such as `momentum`, become lane data where a call names them in `hyper`.
"""

from __future__ import annotations

import functools
import inspect
from types import FunctionType
from typing import TypeVar

import optax

from gdjax.names import closest, free, own_name, spelled
from gdjax.optimizers.making import (
    Function,
    NotATransformation,
    Optimizer,
    Wrapper,
    accepted,
    check_number,
    defaults,
    make,
)
from gdjax.optimizers.reacting import backtracking, line_search, newton, plateau
from gdjax.optimizers.wrappers import averaged, averages, delayed, mixed, scored

__all__ = [
    "NotATransformation", "Optimizer", "Wrapper", "accepted", "averaged", "averages", "backtracking", "check_number",
    "defaults", "delayed", "get", "line_search", "make", "mixed", "name_of", "names", "newton", "plateau", "register",
    "scored",
]

_Function = TypeVar("_Function", bound=Function)


def _aliases() -> dict[str, Optimizer]:
    """Every optimizer of optax that is called by one learning rate, by its name there."""
    found: dict[str, Optimizer] = {}
    for name in sorted(dir(optax)):
        alias = getattr(optax, name)
        if name.startswith(("_", "scale_by")) or not isinstance(alias, FunctionType | functools.partial):
            continue
        first = next(iter(inspect.signature(alias).parameters), "")
        if first in ("learning_rate", "max_learning_rate") and name != "optimistic_adam":  # deprecated for its _v2
            found[name] = alias
    return found


OPTIMIZERS: dict[str, Optimizer] = {
    "sgd": optax.sgd,
    "momentum": functools.partial(optax.sgd, momentum=0.9),
    "nesterov": functools.partial(optax.sgd, momentum=0.9, nesterov=True),
    **{alias.__name__: alias for alias in (
        optax.adam, optax.adamw, optax.rmsprop, optax.adagrad, optax.adadelta, optax.lion,
        plateau, backtracking, line_search, newton,
    )},
}
OPTIMIZERS |= {name: alias for name, alias in _aliases().items() if name not in OPTIMIZERS}
OPTIMIZERS["noisy_sgd"] = functools.partial(optax.noisy_sgd, key=0)


def register(optimizer: _Function) -> _Function:
    """Decorator that registers a function as the optimizer that bears its name, so that a suite can name it.

    Args:
        optimizer: function rate -> optax transformation; what else it takes has a default each.

    Raises:
        TypeError: no function, or one without a name.
        ValueError: the name is taken, it takes no rate, or another argument has no default.

    Example:
        >>> @gdjax.optimizers.register
        ... def docs_clipped(rate, norm=1.0):
        ...     return optax.chain(optax.clip_by_global_norm(norm), optax.sgd(rate))
        >>> gdjax.optimizers.get("docs_clipped") is docs_clipped
        True
        >>> del gdjax.optimizers.OPTIMIZERS["docs_clipped"]  # an example leaves nothing behind
    """
    name = free("optimizers", own_name("optimizers", optimizer), OPTIMIZERS)
    takes = inspect.signature(optimizer)
    arguments = list(takes.parameters.values())
    if not arguments or arguments[0].kind in (inspect.Parameter.KEYWORD_ONLY, inspect.Parameter.VAR_KEYWORD):
        raise ValueError(f"optimizers: {name}: its first argument must be the rate (got {takes}). Write def "
                         f"{name}(rate), and numbers with defaults after it.")
    bare = [each.name for each in arguments[1:]
            if each.default is each.empty and each.kind not in (each.VAR_POSITIONAL, each.VAR_KEYWORD)]
    if bare:
        raise ValueError(f"optimizers: {name}: every argument but the rate needs a default (got none for "
                         f"{', '.join(bare)}). A suite may name it without its numbers.")
    OPTIMIZERS[name] = optimizer
    return optimizer


def names() -> list[str]:
    """Names of the optimizers that suites and the front doors know.

    >>> gdjax.optimizers.names()[:2]
    ['sgd', 'momentum']
    """
    return list(OPTIMIZERS)


def get(optimizer: Optimizer | str) -> Optimizer:
    """An optimizer by name, with numbers as a call of it would have them; or the function itself.

    Raises:
        ValueError: an unknown name, of the optimizer or of a number, with the closest one; a number out of range.

    >>> gdjax.optimizers.get("adam") is optax.adam
    True
    >>> gdjax.optimizers.name_of(gdjax.optimizers.get("adam(b1=0.5)"))
    'adam(b1=0.5)'
    """
    if callable(optimizer):
        return optimizer
    if not isinstance(optimizer, str):
        raise TypeError(f"optimizer: must be a name or a function rate -> optax transformation (got {optimizer!r}). "
                        "Pass optax.sgd, not optax.sgd(0.1): the rate comes from `rates`.")
    name, given = spelled("optimizer", optimizer)
    if name not in OPTIMIZERS:
        raise ValueError(closest("optimizer", name, OPTIMIZERS))
    return _with_numbers(name, OPTIMIZERS[name], tuple(sorted(given.items()))) if given else OPTIMIZERS[name]


@functools.cache
def _with_numbers(name: str, optimizer: Optimizer, given: tuple[tuple[str, float | bool | str], ...]) -> Optimizer:
    """The optimizer with its numbers, one object for equal ones: programs are kept by it."""
    if isinstance(optimizer, Wrapper):
        raise ValueError(f"optimizer: {name}: is a wrapper, whose numbers are data of the lanes (got {dict(given)}). "
                         "Leave them out, or register it with others.")
    takes = accepted(optimizer)
    for key, value in given:
        if key not in takes:
            raise ValueError(closest(f"optimizer: {name}", key, takes))
        if isinstance(value, str):
            raise ValueError(f"optimizer: {name}: {key}: must be a number, True or False (got {value!r}). "
                             f"Write it as in {name}({key}=0.5).")
        check_number(optimizer, key, float(value))
    return functools.partial(optimizer, **dict(given))


def name_of(optimizer: Optimizer) -> str:
    """What tables call an optimizer: its registered name, or the function's own; wrappers add theirs.

    >>> gdjax.optimizers.name_of(functools.partial(optax.sgd, momentum=0.5))
    'sgd(momentum=0.5)'
    >>> gdjax.optimizers.name_of(gdjax.optimizers.averaged(optax.adam))
    'adam, averaged'
    """
    if isinstance(optimizer, Wrapper):
        return f"{name_of(optimizer.optimizer)}, {optimizer.label}"
    for name, known in OPTIMIZERS.items():
        if known is optimizer:
            return name
    if isinstance(optimizer, functools.partial):
        given = [f"{name}={value}" for name, value in optimizer.keywords.items()
                 if isinstance(value, int | float | str)]
        return f"{name_of(optimizer.func)}({', '.join(given)})"
    return getattr(optimizer, "__name__", type(optimizer).__name__)
