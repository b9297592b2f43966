"""Gradients by differences: slow, simple, and the check of the gradients that are neither."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from gdjax import arguments, parameters
from gdjax.lapack import one_by_one
from gdjax.problem import Problem, PyTree
from gdjax.promotion import usual_promotion
from gdjax.scalars import is_real

SCHEMES = ("central", "forward")
# below this share of the largest coordinate a relative error tells of the rounding in f, not of the gradient
FLOOR = 1e-3

# the step where truncation (∝ h²) and rounding (∝ eps/h) of the central difference meet: h ≈ eps^(1/3)
STEPS = {"float64": 1e-5, "float32": 1e-2}


@dataclass(frozen=True)
class GradientCheck:
    """How far the automatic gradient is from central differences.

    Args:
        max_absolute_error: largest |aᵢ − dᵢ| over the coordinates checked.
        max_relative_error: largest |aᵢ − dᵢ| / max(|aᵢ|, |dᵢ|, 1e-3·maxⱼ|aⱼ|); 0 where both gradients are 0.
        coordinates: how many coordinates were checked.
        h: the step of the differences.
        dtype: the precision both were computed in, "float64" or "float32".
    """

    max_absolute_error: float
    max_relative_error: float
    coordinates: int
    h: float
    dtype: str


def numerical_gradient(
    f: Callable[[PyTree], float | np.ndarray | jax.Array], x: PyTree, h: float = 1e-4, scheme: str = "central"
) -> PyTree:
    """Gradient by differences: (f(x + h eᵢ) − f(x − h eᵢ))/(2h), or forward (f(x + h eᵢ) − f(x))/h.

    The error is O(h²) for central and O(h) for forward differences, plus rounding O(eps/h): against h it is U-shaped.
    It takes 2·dim evaluations (forward: dim + 1), all in float64, with NumPy or JAX as f is written.

    Args:
        f: `f(x) -> number`, of NumPy or of JAX arrays.
        x: where, a pytree of arrays or numbers.
        h: the step, above 0.
        scheme: "central" or "forward".

    Returns:
        A pytree like x with float64 NumPy arrays.

    Raises:
        ValueError: h not positive and finite, unknown scheme, f returns more than one number.
        TypeError: f is no function; x or f(x) is not made of real numbers.

    Example:
        >>> gdjax.numerical_gradient(lambda x: x[0] ** 2 + x[1] ** 2, np.array([3.0, 4.0])).round(6).tolist()
        [6.0, 8.0]

    Source: Press et al. 2007, "Numerical Recipes", 3rd edition, section 5.7.
    """
    if not callable(f):
        raise TypeError(f"f: must be a function x -> number (got {f!r}). Give one of NumPy or JAX arrays.")
    _check_step(h)
    if scheme not in SCHEMES:
        raise ValueError(f"scheme: must be one of {', '.join(SCHEMES)} (got {scheme!r}). "
                         "The error of central is O(h²).")
    paths, tree = jax.tree.flatten_with_path(x)
    leaves = [_real(f"x{jax.tree_util.keystr(path)}", leaf) for path, leaf in paths]
    places = list(_places(leaves))
    with jax.enable_x64(True):
        value = _scalar_function(f, leaves, tree)
        slopes = _differences(value, leaves, places, h, scheme)
    gradient = [np.zeros(leaf.shape) for leaf in leaves]
    for (leaf, index), slope in zip(places, slopes, strict=True):
        gradient[leaf][index] = slope
    return jax.tree.unflatten(tree, gradient)


@usual_promotion()
def check_gradient(
    problem: Problem,
    key: int | jax.Array = 0,
    *,
    params: PyTree | None = None,
    h: float | None = None,
    coordinates: int = 100,
) -> GradientCheck:
    """Compare the automatic gradient of a problem's objective with central differences at one point.

    Both are computed in float64, whatever the problem's dtype and JAX's x64 mode, unless the loss insists on float32.

    Args:
        problem: its whole data are used.
        key: an int in [0, 2³²) or a JAX key: draws the start, and the coordinates if there are more than asked for.
        params: where to check instead of at a random start; as the problem's `init` gives them.
        h: step of the differences; None takes 1e-5 in float64 and 1e-2 in float32.
        coordinates: how many parameters to check at most; each costs two evaluations of the objective.

    Returns:
        The errors. In float64 a correct gradient gives relative errors from 1e-12 (quadratics) to about 1e-7.

    Raises:
        ValueError: key, h or coordinates out of range, or parameters of another tree or shape.
        TypeError: no problem, key or whole number of coordinates; parameters that are not real numbers.

    Example:
        >>> gdjax.check_gradient(gdjax.problems.get("bowl")).max_relative_error < 1e-8
        True
    """
    arguments.problem(problem)
    coordinates = arguments.positive_int("coordinates", coordinates, "parameters to check")
    if h is not None:
        _check_step(h)
    key_start, key_places = jax.random.split(arguments.key(key))
    start = problem.start(key_start) if params is None else parameters.point(problem, params)
    paths, tree = jax.tree.flatten_with_path(start)
    leaves = [_real(f"params{jax.tree_util.keystr(path)}", leaf) for path, leaf in paths]
    places = list(_places(leaves))
    if len(places) > coordinates:
        drawn = jax.random.choice(key_places, len(places), (coordinates,), replace=False)
        places = [places[int(index)] for index in drawn]
    dtype = _widest(problem, tree, leaves)
    h = STEPS[dtype] if h is None else h
    with jax.enable_x64(dtype == "float64"):
        data = jax.tree.map(jnp.asarray, problem.data)
        objective = jax.jit(one_by_one(problem.objective))
        gradient = jax.jit(one_by_one(jax.grad(problem.objective)))(_as_jax(tree, leaves), data)
        automatic = [np.asarray(leaf, np.float64) for leaf in jax.tree.leaves(gradient)]
        slopes = _differences(lambda moved: float(objective(_as_jax(tree, moved), data)), leaves, places, h, "central")
    checked = np.array([automatic[leaf][index] for leaf, index in places])
    error = np.abs(checked - slopes)
    floor = FLOOR * max(np.abs(leaf).max(initial=0.0) for leaf in automatic)
    size = np.maximum(np.maximum(np.abs(checked), np.abs(slopes)), floor)
    relative = np.divide(error, size, out=np.zeros_like(error), where=size > 0)
    return GradientCheck(float(error.max()), float(relative.max()), len(error), h, dtype)


def _differences(
    value: Callable[[list[np.ndarray]], float],
    leaves: list[np.ndarray],
    places: Sequence[tuple[int, tuple[int, ...]]],
    h: float,
    scheme: str,
) -> np.ndarray:
    """Differences of `value` at each place, (places,); every call gets leaves of its own."""

    def moved(place: tuple[int, tuple[int, ...]], by: float) -> float:
        copies = [leaf.copy() for leaf in leaves]
        copies[place[0]][place[1]] += by
        return value(copies)

    if scheme == "central":
        return np.array([(moved(place, h) - moved(place, -h)) / (2 * h) for place in places])
    here = value([leaf.copy() for leaf in leaves])
    return np.array([(moved(place, h) - here) / h for place in places])


def _scalar_function(
    f: Callable[[PyTree], float | np.ndarray | jax.Array], leaves: list[np.ndarray], tree: jax.tree_util.PyTreeDef
) -> Callable[[list[np.ndarray]], float]:
    """`f` as a function of a list of leaves, fed NumPy arrays, or JAX arrays where it needs their methods (`x.at`)."""
    try:
        result = f(jax.tree.unflatten(tree, [leaf.copy() for leaf in leaves]))
        as_input: Callable[[jax.tree_util.PyTreeDef, list[np.ndarray]], PyTree] = jax.tree.unflatten
    except (AttributeError, TypeError):
        result = f(_as_jax(tree, leaves))
        as_input = _as_jax
    if np.shape(result) != ():
        raise ValueError(f"f: must return one number (got shape {np.shape(result)}). Sum or average what it returns.")
    if result is None or not _is_real(np.asarray(result), "fiub"):
        raise TypeError(f"f: must return a real number (got {result!r}).")
    return lambda moved: float(f(as_input(tree, moved)))


def _as_jax(tree: jax.tree_util.PyTreeDef, leaves: list[np.ndarray]) -> PyTree:
    return jax.tree.unflatten(tree, [jnp.asarray(leaf) for leaf in leaves])


def _widest(problem: Problem, tree: jax.tree_util.PyTreeDef, leaves: list[np.ndarray]) -> str:
    """The precision the objective can be computed in: float64, or float32 for a loss that fixes its own types."""
    with jax.enable_x64(True):
        try:
            result = jax.eval_shape(problem.objective, _as_jax(tree, leaves), problem.data)
        except TypeError:
            return "float32"
    return "float64" if result.dtype == np.float64 else "float32"


def _places(leaves: list[np.ndarray]) -> Iterator[tuple[int, tuple[int, ...]]]:
    return ((number, index) for number, leaf in enumerate(leaves) for index in np.ndindex(leaf.shape))


def _real(field: str, leaf: object) -> np.ndarray:
    array = np.asarray(leaf)
    if not _is_real(array):
        raise TypeError(f"{field}: must hold real numbers (got dtype {array.dtype}). Give floats.")
    return array.astype(np.float64)


def _is_real(array: np.ndarray, kinds: str = "fiu") -> bool:
    """Whether an array is of these kinds of NumPy, or of a float that only JAX knows, such as bfloat16."""
    return array.dtype.kind in kinds or jnp.issubdtype(array.dtype, jnp.floating)


def _check_step(h: float) -> None:
    if not (is_real(h) and math.isfinite(h) and h > 0):
        raise ValueError(f"h: must be a finite number above 0 (got {h!r}). 1e-4 is the usual one.")
