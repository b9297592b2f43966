"""Arguments of the front doors, checked before anything is traced: what was expected, what came, what to do."""

from __future__ import annotations

import itertools
import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from numbers import Real

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import goals, optimizers
from gdjax import schedules as schedule_table
from gdjax.lanes import Setting
from gdjax.names import COLUMNS, closest
from gdjax.optimizers import Optimizer
from gdjax.problem import Problem
from gdjax.reading import Stream
from gdjax.sampling import SAMPLINGS
from gdjax.scalars import is_real, is_whole
from gdjax.schedules import Schedule

LAST_KEY = 2**32


def positive_int(field: str, value: object, unit: str) -> int:
    """A whole number of at least 1."""
    if not is_whole(value):
        raise TypeError(f"{field}: must be a whole number of {unit} (got {value!r}). Give an int of at least 1.")
    if value < 1:
        raise ValueError(f"{field}: must be at least 1 (got {value}). It is a number of {unit}.")
    return int(value)


def devices(value: object) -> list[jax.Device]:
    """Where to run: so many of `jax.devices()`, or those of the given numbers; None: where `jax.default_device` says.

    >>> devices(None) == devices(1) == devices([0]) == jax.devices()[:1]
    True
    """
    found = jax.devices()
    if value is None:
        return [_default_device()]
    if is_whole(value):
        chosen = list(range(positive_int("devices", value, "devices")))
    elif isinstance(value, list | tuple) and value and all(is_whole(each) for each in value):
        chosen = [int(each) for each in value]
    else:
        raise TypeError(f"devices: must be a number of devices, or their numbers in jax.devices() (got {value!r}). "
                        "Use for example devices=2, or devices=[0, 1].")
    if len(set(chosen)) < len(chosen) or not set(chosen) <= set(range(len(found))):
        raise ValueError(f"devices: must be different ones of the {len(found)} that JAX found (got {value!r}, found "
                         f"{', '.join(str(each) for each in found[:8])}). Ask for fewer; XLA_FLAGS="
                         "--xla_force_host_platform_device_count=N makes N of one CPU.")
    mine = [found[each] for each in chosen]
    absent = set(range(jax.process_count())) - {device.process_index for device in mine}
    if absent:
        raise ValueError(f"devices: every host must have one of them (got {value!r}, none of process "
                         f"{sorted(absent)[0]}). Use devices=jax.device_count() for all.")
    return mine


def _default_device() -> jax.Device:
    """Where an array lies that nobody placed."""
    (device,) = jax.device_put(0).devices()
    if device.platform != jax.default_backend():  # what programs are made for
        raise ValueError(f"devices: the default one must be a {jax.default_backend()}, JAX's first platform (got "
                         f"{device}). Set JAX_PLATFORMS={device.platform} before JAX starts.")
    return device


def shard_examples(problem: Problem, value: object, devices: object) -> bool:
    """Whether devices share the examples: only of a problem with data, and where the devices are named."""
    if not isinstance(value, bool):
        raise TypeError(f"shard_examples: must be True or False (got {value!r}). True gives each device a part.")
    if value and problem.data is None:
        raise ValueError(f"shard_examples: problem {problem.name!r} has no data, so no examples to share (got True). "
                         "Leave it out: devices share the lanes.")
    if value and devices is None:
        raise ValueError("shard_examples: needs the devices that share the examples (got devices=None). "
                         "Use devices=jax.device_count() for all.")
    return value


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
        found.append(math.ceil(max_epochs * problem.examples / size * (1 - 1e-12)))  # 1.1 · 100 is 110.00000000000001
    if max_steps is not None:
        found.append(positive_int("max_steps", max_steps, "steps"))
    if min(found) >= 2**31 - 1:
        raise ValueError(f"max_steps: must be below 2**31 - 1 (got {min(found)}). Steps are counted in 32 bits.")
    return min(found)


def settings(
    schedules: object, rates: object, hyper: object, given: Sequence[Setting] | None
) -> tuple[Setting, ...]:
    """Settings = schedules × rates × hyper, schedule-major, or the given ones; duplicates dropped with a warning."""
    if given is not None:
        chosen = not (isinstance(schedules, str) and schedules == "constant")
        if rates is not None or hyper is not None or chosen:
            raise ValueError("settings: give either settings or rates, schedules and hyper (got both). "
                             "Leave rates=None and the others out.")
        found = [given] if isinstance(given, Setting) else list(given)
        for setting in found:
            if not isinstance(setting, Setting):
                raise TypeError(f"settings: each must be a gdjax.Setting (got {setting!r}). "
                                "Use gdjax.Setting(schedule, rate).")
        found = [replace(setting, schedule=schedule_table.get(setting.schedule), rate=rate(setting.rate),
                         hyper={name: hyper_number(name, value) for name, value in setting.numbers.items()})
                 for setting in found]
    else:
        kinds = schedules_of(schedules)
        values = [rates] if isinstance(rates, Real) else sequence("rates", rates)
        points = hyper_points(hyper)
        found = [Setting(kind, rate(value), point) for kind in kinds for value in values for point in points]
    if not found:
        raise ValueError("settings: at least one is needed (got none). Give gdjax.Setting(schedule, rate).")
    unique = list(dict.fromkeys(found))
    if len(unique) < len(found):
        warnings.warn(f"rates, schedules, hyper: {len(found) - len(unique)} duplicate settings dropped", stacklevel=4)
    return tuple(unique)


def schedules_of(value: object) -> list[Schedule]:
    """Schedules, of one or a sequence of them or of their names."""
    if callable(value):
        raise TypeError(f"schedules: must be names or schedules (got {value!r}). Wrap a function t -> factor with "
                        "gdjax.schedules.custom, or call one that makes a schedule.")
    named = [value] if isinstance(value, str | Schedule) else sequence("schedules", value)
    return [schedule_table.get(each) for each in named]


def rate(value: object) -> float:
    """A learning rate: finite and above 0."""
    if not is_real(value):
        raise TypeError(f"rates: must be numbers (got {value!r}). Give a float or a sequence of floats.")
    if not (math.isfinite(value) and value > 0):
        raise ValueError(f"rates: must be above 0 and finite (got {value}). "
                         "A schedule multiplies the rate by its factor.")
    return float(value)


def hyper_points(value: object) -> list[dict[str, float]]:
    """Every combination of the further hyperparameters, {name: number}; one empty one where there are none."""
    if value is None:
        return [{}]
    if not isinstance(value, Mapping):
        raise TypeError(f"hyper: must map names to numbers (got {value!r}). Use {{'momentum': [0.5, 0.9]}}.")
    axes = []
    for name, numbers_of in value.items():
        each = [numbers_of] if is_real(numbers_of) else sequence(f"hyper: {name}", numbers_of)
        axes.append([(str(name), hyper_number(name, number)) for number in each])
    return [dict(point) for point in itertools.product(*axes)]


def hyper_number(name: str, value: object) -> float:
    """A further number of an optimizer: finite."""
    if not is_real(value) or not math.isfinite(value):
        raise ValueError(f"hyper: {name}: must be finite numbers (got {value!r}). They are data of the lanes; "
                         "anything else goes into the optimizer by functools.partial.")
    return float(value)


def numbers(problem: Problem, optimizer: Optimizer, found: Sequence[Setting]) -> dict[str, float]:
    """The further hyperparameters of a call with their defaults; all that have a range are checked."""
    given = {name: None for setting in found for name in setting.numbers}
    defaults = optimizers.defaults(optimizer, problem, list(given))
    for name in defaults:
        if name in COLUMNS:
            raise ValueError(f"hyper: {name}: would have the name of a column of all lanes (got {', '.join(COLUMNS)}). "
                             "Give the optimizer's argument another name.")
    for name, value in optimizers.accepted(optimizer).items():
        if value is not None:
            optimizers.check_number(optimizer, name, value)
    for setting in found:
        for name, value in setting.numbers.items():
            optimizers.check_number(optimizer, name, value)
        missing = [name for name, value in defaults.items() if math.isnan(value) and name not in setting.numbers]
        if missing:
            raise ValueError(f"hyper: {missing[0]}: every setting needs it, since the optimizer has no default "
                             f"(got none at rate {setting.rate:g}). Give it in hyper.")
    return defaults


def sequence(field: str, value: object) -> list:
    """A list of a sequence or array that is not text; empty ones are refused."""
    if isinstance(value, str | bytes) or not isinstance(value, Sequence | np.ndarray | jax.Array):
        raise TypeError(f"{field}: must be one value or a sequence (got {value!r}). Put it into a list.")
    found = np.atleast_1d(np.asarray(value)).tolist() if isinstance(value, np.ndarray | jax.Array) else list(value)
    if not found:
        raise ValueError(f"{field}: must not be empty (got {value!r}). Give at least one.")
    return found


def in_dtype(dtype: np.dtype, found: Sequence[Setting], defaults: Mapping[str, float]) -> None:
    """Raise ValueError where rates or further numbers leave the dtype of the loss, in which lanes hold them."""
    low, high = (float(end) for end in (np.finfo(dtype).tiny, np.finfo(dtype).max))  # below `low` devices take 0
    for setting in found:
        if not low <= setting.rate <= high:
            raise ValueError(f"rates: must be from {low:.3g} to {high:.3g}, the range of {dtype}, which the loss has "
                             f"(got {setting.rate:g}). Scale the loss.")
        for name, value in {**defaults, **setting.numbers}.items():
            if abs(value) > high:
                raise ValueError(f"hyper: {name}: must be at most {high:.3g}, the largest {dtype}, which the loss has "
                                 f"(got {value:g}). Give a smaller one.")


def targets(values: object) -> tuple[float, ...]:
    """Target losses, finite, highest first; duplicates dropped with a warning."""
    if isinstance(values, Real):
        values = (values,)
    found = []
    for value in values if isinstance(values, tuple | list) else sequence("targets", values):
        if not is_real(value) or not math.isfinite(value):
            raise ValueError(f"targets: must be finite losses (got {value!r}). gdjax.targets(problem) gives some.")
        found.append(float(value))
    unique = set(found)
    if len(unique) < len(found):
        warnings.warn(f"targets: {len(found) - len(unique)} duplicates dropped", stacklevel=4)
    return tuple(sorted(unique, reverse=True))


def gaps(values: object) -> list[float]:
    """Shares of the initial gap."""
    found = sequence("gaps", values)
    for value in found:
        if not is_real(value) or not 0 < value < 1:
            raise ValueError(f"gaps: must be shares of the initial gap inside (0, 1) (got {value!r}). 0.01 asks for a "
                             "hundredth of it.")
    return [float(value) for value in found]


def at_least_zero(field: str, value: object) -> float:
    """A number of at least 0."""
    if not is_real(value) or not value >= 0:
        raise ValueError(f"{field}: must be a number of at least 0 (got {value!r}). Use 0 to switch it off.")
    return float(value)


def stall(
    value: float | None, found: Sequence[Setting], size: int, problem: Problem, optimizer: Optimizer
) -> None:
    """A decrease of the loss, or None; where a stall has a meaning."""
    if value is None:
        return
    at_least_zero("stall", value)
    if size != problem.examples or any(each.schedule.name != "constant" for each in found):
        kinds = ", ".join(sorted({each.schedule.name for each in found}))
        raise ValueError(f"stall: only for full batches and constant schedules (got batch size {size} of "
                         f"{problem.examples}, {kinds}). A schedule that waits for its drop looks stalled.")
    if optimizers.averages(optimizer):
        raise ValueError(f"stall: not where iterates are averaged (got {optimizers.name_of(optimizer)!r}). "
                         "Their mean moves on where they stall.")


def choice(field: str, value: object, known: Sequence[str]) -> str:
    """One of the known words."""
    if value not in known:
        raise ValueError(closest(field, str(value), known))
    return str(value)


def target_on(problem: Problem, value: object, targets: Sequence[float] = ()) -> str:
    """What targets are on: one of the words of `gdjax.goals`, and something that the problem has."""
    found = choice("target_on", value, goals.KINDS)
    goals.check(problem, found, targets)
    return found


def sampling(value: object) -> str | Stream:
    """A sampling rule: one of the words of `gdjax.sampling`, or a `Stream`, which "stream" stands for."""
    if isinstance(value, Stream):
        return value
    return Stream() if value == "stream" else choice("sampling", value, (*SAMPLINGS, "stream"))


def stream(problem: Problem, rule: Stream, size: int, devices: object = None) -> tuple[int, int]:
    """Examples of a buffer and of a block, where those of a problem can be streamed in batches of this size."""
    if problem.data is None:
        raise ValueError(f"sampling: problem {problem.name!r} has no data to stream (got {rule}). Use gdjax.bgd.")
    if problem.loss is None:
        raise ValueError(f"sampling: a loss that does not split into examples can't be summed over buffers (got "
                         f"{rule}, problem {problem.name!r} has batch_loss alone). Give loss(params, example) too.")
    if devices is not None:
        raise ValueError(f"devices: not where examples are streamed (got {devices!r}). Leave it out.")
    return rule.for_data(problem.data, size)
