"""Arguments of the front doors, checked before anything is traced: what was expected, what came, what to do."""

from __future__ import annotations

import math
import numbers
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeGuard

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import optimizers
from gdjax import schedules as schedule_table
from gdjax.lanes import Setting
from gdjax.names import closest
from gdjax.optimizers import Optimizer
from gdjax.problem import Problem, PyTree, check_dtype
from gdjax.schedules import Schedule

LAST_KEY = 2**32
LOOKS = 4096  # steps at which a schedule is looked at; the same for every budget, so that a new one compiles nothing


def is_whole(value: object) -> TypeGuard[int]:
    """A whole number of Python or NumPy; True and False are none."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def is_real(value: object) -> TypeGuard[float]:
    """A real number of Python or NumPy; True and False are none."""
    return isinstance(value, numbers.Real) and not isinstance(value, bool)


def positive_int(field: str, value: object, unit: str) -> int:
    """A whole number of at least 1."""
    if not is_whole(value):
        raise TypeError(f"{field}: must be a whole number of {unit} (got {value!r}). Give an int of at least 1.")
    if value < 1:
        raise ValueError(f"{field}: must be at least 1 (got {value}). It is a number of {unit}.")
    return int(value)


def problem(value: object) -> Problem:
    """A problem."""
    if not isinstance(value, Problem):
        raise TypeError(f"problem: must be a gdjax.Problem (got {value!r}). Use gdjax.problems.get(name).")
    return value


def batch_size(problem: Problem, value: object) -> int:
    """A batch size between 1 and the number of examples."""
    text = (f"batch_size: must be a whole number from 1 to {problem.examples}, the examples of problem "
            f"{problem.name!r} (got {value!r}). Use gdjax.bgd for all of them.")
    if not is_whole(value):
        raise TypeError(text)
    if not 1 <= value <= problem.examples:
        raise ValueError(text)
    return int(value)


def key(value: int | jax.Array) -> jax.Array:
    """A JAX key from a seed in [0, 2³²) or a key."""
    if isinstance(value, jax.Array):
        if jnp.issubdtype(value.dtype, jax.dtypes.prng_key) and value.shape == ():
            return value
        if value.dtype == jnp.uint32 and value.shape == (2,):
            return jax.random.wrap_key_data(value)
    if not is_whole(value):
        raise TypeError(f"key: must be a whole number or one JAX key (got {value!r}). Use 0 or jax.random.key(0).")
    if not 0 <= value < LAST_KEY:
        raise ValueError(f"key: must be in [0, 2**32) (got {value}). Larger seeds repeat smaller ones without x64.")
    return jax.random.key(np.uint32(value))


def budget(problem: Problem, size: int, max_epochs: object, max_steps: object) -> int:
    """Budget in steps: the smaller of max_steps and max_epochs · n/B, rounded up."""
    if max_epochs is None and max_steps is None:
        raise ValueError("max_epochs, max_steps: at least one is required (got neither). Give the budget of a lane.")
    found = []
    if max_epochs is not None:
        if not is_real(max_epochs):
            raise TypeError(f"max_epochs: must be a number of epochs (got {max_epochs!r}). Use for example 10 or 0.5.")
        if not (math.isfinite(max_epochs) and max_epochs > 0):
            raise ValueError(f"max_epochs: must be above 0 and finite (got {max_epochs}). It is the budget of a lane.")
        found.append(math.ceil(max_epochs * problem.examples / size))
    if max_steps is not None:
        found.append(positive_int("max_steps", max_steps, "steps"))
    if min(found) >= 2**31 - 1:
        raise ValueError(f"max_steps: must be below 2**31 - 1 (got {min(found)}). Steps are counted in 32 bits.")
    return min(found)


def settings(schedules: object, rates: object, given: Sequence[Setting] | None) -> tuple[Setting, ...]:
    """Settings = schedules × rates, schedule-major, or the given ones; duplicates dropped with a warning."""
    if given is not None:
        if rates is not None:
            raise ValueError("settings: give either settings or rates and schedules (got both). Leave rates=None.")
        found = list(given)
        for setting in found:
            if not isinstance(setting, Setting):
                raise TypeError(f"settings: each must be a gdjax.Setting (got {setting!r}). "
                                "Use gdjax.Setting(schedule, rate).")
        found = [Setting(schedule_table.get(setting.schedule), rate(setting.rate)) for setting in found]
    else:
        named = [schedules] if isinstance(schedules, str | Schedule) else sequence("schedules", schedules)
        kinds = [schedule_table.get(each) for each in named]
        values = [rates] if isinstance(rates, numbers.Real) else sequence("rates", rates)
        found = [Setting(kind, rate(value)) for kind in kinds for value in values]
    if not found:
        raise ValueError("settings: at least one is needed (got none). Give gdjax.Setting(schedule, rate).")
    unique = list(dict.fromkeys(found))
    if len(unique) < len(found):
        warnings.warn(f"rates, schedules: {len(found) - len(unique)} duplicate settings dropped", stacklevel=4)
    return tuple(unique)


def rate(value: object) -> float:
    """A learning rate: finite and above 0."""
    if not is_real(value):
        raise TypeError(f"rates: must be numbers (got {value!r}). Give a float or a sequence of floats.")
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"rates: must be above 0 and finite (got {value}). "
                         "A schedule multiplies the rate by its factor.")
    return float(value)


def sequence(field: str, value: object) -> list:
    """A list of a sequence or array that is not text; empty ones are refused."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray | jax.Array):
        raise TypeError(f"{field}: must be one value or a sequence (got {value!r}). Put it into a list.")
    found = np.atleast_1d(np.asarray(value)).tolist() if isinstance(value, np.ndarray | jax.Array) else list(value)
    if not found:
        raise ValueError(f"{field}: must not be empty (got {value!r}). Give at least one.")
    return found


def check_schedules(found: Sequence[Setting], max_steps: int, pace: float) -> None:
    """Every schedule over its whole budget: scalar, finite, not negative; the error names the step."""
    steps = np.linspace(0, max_steps - 1, LOOKS).round().astype(np.int64)
    for schedule in dict.fromkeys(setting.schedule for setting in found):
        with _errors_of_the_user(f"schedules: {schedule.label}"):
            result = jax.eval_shape(schedule.formula, jnp.float32(0), jnp.zeros(schedule_table.SHAPE_SIZE))
        if not _is_scalar(result, jnp.integer, jnp.floating):
            raise ValueError(f"schedules: {schedule.label}: must give one real factor for one time "
                             f"(got {_in_words(result)}). Return a float scalar.")
        factors = schedule_table.evaluate(schedule, steps, max_steps, pace)
        bad = ~(np.isfinite(factors) & (factors >= 0))
        if bad.any():
            step, factor = steps[bad.argmax()], factors[bad.argmax()]
            raise ValueError(f"schedules: {schedule.label}: factors must be finite and not negative over the budget of "
                             f"{max_steps} steps (got {factor:g} at step {step}). Change its numbers or its horizon.")


def targets(values: object) -> tuple[float, ...]:
    """Target losses, finite, without repeats, highest first."""
    if isinstance(values, numbers.Real):
        values = (values,)
    found = []
    for value in values if isinstance(values, tuple | list) else sequence("targets", values):
        if not is_real(value) or not math.isfinite(value):
            raise ValueError(f"targets: must be finite losses (got {value!r}). gdjax.targets(problem) gives some.")
        found.append(float(value))
    return tuple(sorted(set(found), reverse=True))


def at_least_zero(field: str, value: object) -> float:
    """A number of at least 0."""
    if not is_real(value) or not value >= 0:
        raise ValueError(f"{field}: must be a number of at least 0 (got {value!r}). Use 0 to switch it off.")
    return float(value)


def choice(field: str, value: object, known: Sequence[str]) -> str:
    """One of the known words."""
    if value not in known:
        raise ValueError(closest(field, str(value), known))
    return str(value)


def starts(problem: Problem, value: object) -> int | PyTree:
    """A number of starts, or parameters with a leading (starts,) axis that fit the problem's own."""
    if is_whole(value):
        return positive_int("starts", value, "starts")
    if isinstance(value, bool | float):
        raise TypeError(f"starts: must be a whole number, or parameters with a leading axis (got {value!r}). "
                        "Use an int.")
    wanted = jax.eval_shape(problem.start, jax.random.key(0))
    tree: object = jax.tree.structure(wanted)
    given: object = jax.tree.structure(value)
    if tree != given:
        raise ValueError(f"starts: parameters must have the problem's tree (got {given}). "
                         f"Give them as init does: {tree}.")
    counts = {}
    for (path, leaf), want in zip(jax.tree.leaves_with_path(value), jax.tree.leaves(wanted), strict=True):
        name = f"starts{jax.tree_util.keystr(path)}"
        leaf = np.asarray(leaf)
        if leaf.shape[1:] != want.shape or leaf.ndim == 0:
            shape = ", ".join(map(str, ["starts", *want.shape]))
            raise ValueError(f"{name}: must have shape ({shape}) (got {leaf.shape}). Stack them along a first axis.")
        if leaf.dtype.kind not in "fiu" and not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise TypeError(f"{name}: must hold real numbers (got dtype {leaf.dtype}). Give floats.")
        counts[name] = leaf.shape[0]
    if len(set(counts.values())) > 1:
        raise ValueError(f"starts: leaves must share their leading (starts) axis (got {counts}). "
                         "Cut them to one length.")
    if 0 in counts.values():
        raise ValueError(f"starts: at least one start is needed (got {counts}). Give parameters with rows.")
    return jax.tree.map(lambda leaf, want: np.asarray(leaf, want.dtype), value, wanted)


def preflight(problem: Problem, optimizer: Optimizer | str = "sgd") -> None:
    """Trace a problem's loss and make its optimizer once, so that their errors name the user's function; runs nothing.

    Raises:
        ValueError, TypeError: the loss cannot be traced or is not one real number, parameters are not floats, the
            optimizer does not map a rate to an optax transformation.

    Example:
        >>> gdjax.preflight(gdjax.problems.get("bowl"))
    """
    check_dtype(problem.name, problem.dtype)
    with _errors_of_the_user(f"problem {problem.name!r}: init {_called(problem.init)}"):
        params = jax.eval_shape(problem.start, jax.random.key(0))
    for path, leaf in jax.tree.leaves_with_path(params):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(f"problem {problem.name!r}: init: parameters must be floats (got {leaf.dtype} at "
                             f"{jax.tree_util.keystr(path)}). Keep whole numbers in the data.")
    if not jax.tree.leaves(params):
        raise ValueError(f"problem {problem.name!r}: init: must return parameters (got {params}). "
                         "Return at least one array.")
    data = problem.device_data()
    example = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), data)
    for which, batch in ((problem.loss, example), (problem.batch_loss, data)):
        if which is None:
            continue
        field = f"problem {problem.name!r}: loss {_called(which)}"
        with _errors_of_the_user(field):
            found = jax.eval_shape(which, *((params,) if data is None else (params, batch)))
        if not _is_scalar(found, jnp.floating):
            raise ValueError(f"{field}: must return one real number (got {_in_words(found)}). "
                             "Return a float scalar, such as jnp.mean(…).")
    make = optimizers.get(optimizer)
    with _errors_of_the_user(f"optimizer {optimizers.name_of(make)!r}"):
        made = make(jnp.float32(0.1))
    if not (hasattr(made, "init") and hasattr(made, "update")):
        raise TypeError(f"optimizer: must map a rate to an optax transformation (got {made!r}). "
                        "Pass optax.sgd, or lambda rate: optax.chain(…).")


@contextmanager
def _errors_of_the_user(field: str) -> Iterator[None]:
    """What a user's function raises, as one line that names the function."""
    try:
        yield
    except Exception as error:  # whatever it is, it is the user's
        first = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{field}: cannot be traced by JAX (got {type(error).__name__}: {first}). "
                         "Write it with jax.numpy, without branches on values.") from error


def _called(function: object) -> str:
    return repr(getattr(function, "__name__", function))


def _is_scalar(found: object, *kinds: type) -> bool:
    if not (hasattr(found, "shape") and hasattr(found, "dtype")):
        return False
    return found.shape == () and any(jnp.issubdtype(found.dtype, kind) for kind in kinds)


def _in_words(found: object) -> str:
    if hasattr(found, "shape") and hasattr(found, "dtype"):
        return f"{found.dtype}{list(found.shape)}"
    return repr(found)
