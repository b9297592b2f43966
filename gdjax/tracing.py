"""What a caller hands over is traced once before anything runs: losses, optimizers, schedules; errors name them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import arguments, optimizers
from gdjax import schedules as schedule_table
from gdjax.optimizers import Optimizer
from gdjax.problem import Problem, PyTree, check_dtype
from gdjax.promotion import usual_promotion
from gdjax.reading import Stream
from gdjax.scalars import is_real
from gdjax.schedules import Schedule

TRACEABLE = "Write it with jax.numpy, without branches on values."
DIFFERENTIABLE = "Loop with jax.lax.scan or fori_loop over fixed bounds, or give it a jax.custom_vjp."
OPTIMIZER = f"{TRACEABLE} Its update is handed value, grad and value_fn alone: SAM needs opaque_mode=False."
OTHER_NUMBER = "Hold out a number of examples that it takes, such as a multiple of what it groups."
LOOKS = 4096  # steps at which a schedule is looked at; the same for every budget, so that a new one compiles nothing


@usual_promotion()
def preflight(
    problem: Problem, optimizer: Optimizer | str = "sgd", hyper: Sequence[str] = (), batch_size: int | None = None,
    sampling: str | Stream = "shuffle",
) -> None:
    """Trace a problem's functions and a step of its optimizer: errors name the user's function; runs nothing.

    Args:
        hyper: names of the optimizer's further numbers that are lane data.
        batch_size: trace a loss of batches on so many examples too: some take only certain numbers of them.
        sampling: see `minibatch`; whether batches of this size can be drawn so.

    Raises:
        ValueError, TypeError: loss or accuracy cannot be traced or is not one real number, the loss has no gradient or
            does not take the held-out examples, parameters are not floats, the optimizer does not map a rate to an
            optax transformation, examples can't be streamed.

    Example:
        >>> gdjax.preflight(gdjax.problems.get("bowl"))
    """
    check_dtype(arguments.problem(problem).name, problem.dtype)
    size = None if batch_size is None else arguments.batch_size(problem, batch_size)
    problem.once("preflight", lambda: _trace_problem(problem))
    make = optimizers.get(optimizer)
    names = tuple(optimizers.defaults(make, problem, hyper))
    with _errors_of_the_user(f"optimizer {optimizers.name_of(make)!r}", instead=OPTIMIZER):
        problem.once(("preflight", make, names), lambda: _trace_step(problem, make, names))
    rule = arguments.sampling(sampling)
    if isinstance(rule, Stream):
        arguments.stream(problem, rule, size or 1)
    if size is not None:
        problem.once(("preflight", size), lambda: _trace_batch(problem, size))


def _trace_problem(problem: Problem) -> None:
    with _errors_of_the_user(f"problem {problem.name!r}: init {_called(problem.init)}"):
        params = problem.shapes
    for path, leaf in jax.tree.leaves_with_path(params):
        if not jnp.issubdtype(leaf.dtype, jnp.floating):
            raise ValueError(f"problem {problem.name!r}: init: parameters must be floats (got {leaf.dtype} at "
                             f"{jax.tree_util.keystr(path)}). Keep whole numbers in the data.")
    if not jax.tree.leaves(params):
        raise ValueError(f"problem {problem.name!r}: init: must return parameters (got {params}). "
                         "Return at least one array.")
    data, held_out = problem.like(), problem.like("held_out")  # shapes alone: data may be too large for this device
    example = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), data)
    for which, batch in ((problem.loss, example), (problem.batch_loss, data)):
        if which is not None:
            _trace_loss(f"problem {problem.name!r}: loss {_called(which)}", which, params,
                        *(() if data is None else (batch,)))
    with _errors_of_the_user(f"problem {problem.name!r}: loss {_called(problem.loss or problem.batch_loss)}",
                             "differentiated", DIFFERENTIABLE):
        problem.sizes  # noqa: B018 - traces the gradient, and is kept
    if held_out is not None and problem.batch_loss is not None:
        with _errors_of_the_user(f"problem {problem.name!r}: held_out: loss {_called(problem.batch_loss)} of all "
                                 f"{problem.held_out_examples} examples", instead=OTHER_NUMBER):
            jax.eval_shape(problem.batch_loss, params, held_out)
    if problem.accuracy is not None:
        field = f"problem {problem.name!r}: accuracy {_called(problem.accuracy)}"
        with _errors_of_the_user(field if held_out is None else f"{field} of held_out"):
            found = jax.eval_shape(problem.accuracy, params, data if held_out is None else held_out)
        if not _is_scalar(found, jnp.floating):
            raise ValueError(f"{field}: must return one share (got {_in_words(found)}). Return a float scalar, such as "
                             "jnp.mean(…).")


def _trace_loss(field: str, loss: Callable[..., jax.Array], params: PyTree, *batch: PyTree) -> None:
    """Trace a loss."""
    with _errors_of_the_user(field):
        found = jax.eval_shape(loss, params, *batch)
    if not _is_scalar(found, jnp.floating):
        raise ValueError(f"{field}: must return one real number (got {_in_words(found)}). "
                         "Return a float scalar, such as jnp.mean(…).")


def _trace_batch(problem: Problem, batch_size: int) -> None:
    if problem.batch_loss is None or (problem.loss is not None and batch_size == 1):
        return
    batch = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct((batch_size, *leaf.shape[1:]), leaf.dtype), problem.like())
    with _errors_of_the_user(f"problem {problem.name!r}: loss {_called(problem.batch_loss)}: batch_size {batch_size}"):
        jax.eval_shape(problem.batch_loss, problem.shapes, batch)


def check_schedules(
    schedules: str | Schedule | Sequence[str | Schedule], max_steps: int, steps_per_epoch: float
) -> None:
    """Look at schedules over their whole budget: a factor must be one real number, finite and not negative.

    At 4,096 steps from the first to the last, so at every step of a shorter budget; as the engine computes them.

    Args:
        schedules: to look at, or their names.
        max_steps: budget of a lane, in steps.
        steps_per_epoch: examples of the problem / batch size, for schedules that count in epochs.

    Raises:
        ValueError: it names the schedule, and the step with the first bad factor; a name or number out of range.
        TypeError: what is no schedule, or no number.

    Example:
        >>> gdjax.check_schedules([gdjax.schedules.linear(), gdjax.schedules.cosine()], 300, 4.5)
    """
    found = arguments.schedules_of(schedules)
    arguments.positive_int("max_steps", max_steps, "steps")
    if not is_real(steps_per_epoch) or not 0 < steps_per_epoch < np.inf:
        raise ValueError(f"steps_per_epoch: must be above 0 and finite (got {steps_per_epoch!r}). It is examples / "
                         "batch size.")
    steps = np.linspace(0, max_steps - 1, LOOKS).round().astype(np.int64)
    for schedule in dict.fromkeys(found):
        with _errors_of_the_user(f"schedules: {schedule.label}"):
            result = jax.eval_shape(schedule.formula, jnp.float32(0), jnp.zeros(schedule_table.SHAPE_SIZE))
        if not _is_scalar(result, jnp.integer, jnp.floating):
            raise ValueError(f"schedules: {schedule.label}: must give one real factor for one time "
                             f"(got {_in_words(result)}). Return a float scalar.")
        factors = schedule_table.evaluate(schedule, steps, max_steps, steps_per_epoch)
        bad = ~(np.isfinite(factors) & (factors >= 0))
        if bad.any():
            step, factor = steps[bad.argmax()], factors[bad.argmax()]
            raise ValueError(f"schedules: {schedule.label}: factors must be finite and not negative over the budget of "
                             f"{max_steps} steps (got {factor:g} at step {step}). Change its numbers or its horizon.")


def _trace_step(problem: Problem, optimizer: Optimizer, names: Sequence[str]) -> None:
    """Trace a step of the optimizer: the rate and its further numbers are arrays, as they are in a program."""
    data = problem.like()

    def step(params: PyTree, data: PyTree, rate: jax.Array, values: tuple[jax.Array, ...]) -> PyTree:
        made = optimizers.make(optimizer, rate, dict(zip(names, values, strict=True)))
        return made.update(params, made.init(params), params, value=rate, grad=params,
                           value_fn=lambda moved: problem.objective(moved, data))

    number = problem.loss_like
    jax.eval_shape(step, problem.shapes, data, number, (number,) * len(names))


@contextmanager
def _errors_of_the_user(field: str, what: str = "traced", instead: str = TRACEABLE) -> Iterator[None]:
    """What a user's function raises, as one line that names the function."""
    try:
        yield
    except optimizers.NotATransformation:
        raise
    except Exception as error:  # whatever else it is, it is the user's
        first = (str(error).splitlines() or [""])[0]
        raise ValueError(f"{field}: cannot be {what} by JAX (got {type(error).__name__}: {first}). "
                         f"{instead}") from error


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
