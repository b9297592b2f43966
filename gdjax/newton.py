"""Where an end point would settle: Newton's method in float64 from it, and the curvature there."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.lapack import one_by_one
from gdjax.problem import Problem, PyTree

DENSE = 200  # parameters up to which the Hessian is written out; above, Lanczos on Hessian-vector products
KRYLOV = 100  # Hessian-vector products of one Lanczos run
STEPS = 50  # Newton steps: a quartic minimum, where each step gains only a third, is met to 1e-9 of the distance
ARRIVED, STOP = 1e-3, 1e-8  # last step of one that has arrived, and step at which nothing is left to gain, in reaches
DETOUR = 2.0  # reaches that a first, long step may lead away before the next ones lead back
FLOOR = 1e-8  # curvature that a step divides by is at least this share of the largest: no wild steps along a valley
FLAT = 1e-6  # below this share of the largest (or of the landscape's own) a curvature counts as 0
NUMBERS = 1 << 21  # float64 numbers of one block's Hessians


class Landscape(NamedTuple):
    """What is large and what is small here: a length in parameter space and a height of the loss."""

    scale: float
    height: float

    @property
    def curvature(self) -> float:
        """Eigenvalue that changes the loss by its height over the scale (up to a factor of two)."""
        return self.height / self.scale**2


class Survey(NamedTuple):
    """What the landscape is like at some points, (points,) each."""

    loss: np.ndarray
    norm: np.ndarray  # of the gradient
    lowest: np.ndarray  # smallest eigenvalue of the Hessian
    highest: np.ndarray
    isolated: np.ndarray  # no eigenvalue is 0
    drop: np.ndarray  # how far the loss falls, and rises, a reach away along directions of eigenvalue 0
    rise: np.ndarray


def settle(
    problem: Problem, points: np.ndarray, tree: PyTree, reach: float, landscape: Landscape
) -> tuple[np.ndarray, np.ndarray]:
    """Newton's method from each point: where it leads, (points, parameters), and whether it arrived within `reach`.

    x ← x − V |Λ|ᶠ⁻¹ sign(Λ) Vᵀ ∇J(x), H = V Λ Vᵀ: eigenvalues keep their sign (a saddle attracts like a minimum) and
    their size is at least `FLOOR` of the largest. In float64 whatever the run's dtype: what is measured here is where
    a lane has stopped, and a lane is not moved by it. A point that does not arrive is returned as it was.

    Args:
        points: (points, parameters), as `flatten` makes them.
        tree: the parameters of one lane, for their shapes.
        reach: the farthest that a stationary point may be away.
    """
    # a block takes as long as its slowest point, and most that are not done after a step have left
    place, arrived, near = _in_blocks(_newton, problem, points, tree, reach, landscape, 1)
    again = np.flatnonzero(near)
    if len(again):
        place[again], arrived[again], _ = _in_blocks(_newton, problem, points[again], tree, reach, landscape, STEPS)
    return place, arrived


def survey(problem: Problem, points: np.ndarray, tree: PyTree, reach: float, landscape: Landscape) -> Survey:
    """Loss, gradient and curvature at each point; arguments as for `settle`."""
    if len(points) == 0:
        number = np.zeros(0)
        return Survey(number, number, number, number, np.zeros(0, bool), number, number)
    return Survey(*_in_blocks(_look, problem, points, tree, reach, landscape, 0))


def flatten(params: PyTree) -> np.ndarray:
    """Parameters with a leading (lanes,) axis as rows of float64, (lanes, parameters).

    >>> gdjax.newton.flatten({"b": np.zeros(3), "w": np.ones((3, 2))}).tolist()[0]
    [0.0, 1.0, 1.0]
    """
    leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(params)]
    return np.concatenate([leaf.reshape(len(leaf), -1).astype(np.float64) for leaf in leaves], axis=1)


def lanczos(product: Callable[[jax.Array], jax.Array], start: jax.Array, count: int) -> tuple[jax.Array, jax.Array]:
    """Ritz values, ascending (count,), and vectors, (dimension, count), of a symmetric matrix known by its products.

    Every new direction is made orthogonal to all before, twice; where the matrix leads nowhere new the next direction
    is drawn at random, so that repeated eigenvalues and a start of zero do no harm.

    Args:
        product: v -> A v.
        start: (dimension,) first direction.
        count: products, at most the dimension.

    Source: Lanczos 1950; Parlett 1998, "The Symmetric Eigenvalue Problem", chapter 13.
    """
    key, dimension = jax.random.key(0), start.shape[0]

    def away(basis: jax.Array, vector: jax.Array) -> jax.Array:
        for _ in range(2):
            vector = vector - basis.T @ (basis @ vector)
        return vector

    def unit(basis: jax.Array, vector: jax.Array, size: jax.Array, i: ArrayIndex) -> tuple[jax.Array, jax.Array]:
        norm = jnp.linalg.norm(vector)
        spare = away(basis, jax.random.normal(jax.random.fold_in(key, i), (dimension,), start.dtype))
        sound = norm > 1e-12 * size
        chosen = jnp.where(sound, vector, spare)
        return chosen / jnp.maximum(jnp.linalg.norm(chosen), 1e-300), jnp.where(sound, norm, 0.0)

    def step(i: ArrayIndex, carry: Lanczos) -> Lanczos:
        basis, matrix, size = carry
        image = product(basis[i])
        size = jnp.maximum(size, jnp.linalg.norm(image))
        diagonal = basis[i] @ image
        vector, norm = unit(basis, away(basis, image), size, i)
        matrix = matrix.at[i, i].set(diagonal)
        ahead = jnp.minimum(i + 1, count - 1)
        more = i + 1 < count
        matrix = matrix.at[i, ahead].add(jnp.where(more, norm, 0.0)).at[ahead, i].add(jnp.where(more, norm, 0.0))
        return basis.at[ahead].set(jnp.where(more, vector, basis[ahead])), matrix, size

    basis = jnp.zeros((count, dimension), start.dtype)
    first, _ = unit(basis, start, jnp.zeros((), start.dtype), -1 + jnp.uint32(0))
    begun = basis.at[0].set(first), jnp.zeros((count, count), start.dtype), jnp.zeros((), start.dtype)
    basis, matrix, _ = jax.lax.fori_loop(0, count, step, begun)
    values, vectors = jnp.linalg.eigh(matrix)
    return values, basis.T @ vectors


ArrayIndex = jax.Array | int
Lanczos = tuple[jax.Array, jax.Array, jax.Array]


Work = Callable[[Callable[[jax.Array], jax.Array], jax.Array, jax.Array, jax.Array, jax.Array], tuple]


def _in_blocks(
    work: Work, problem: Problem, points: np.ndarray, tree: PyTree, reach: float, landscape: Landscape, steps: int
) -> list[np.ndarray]:
    """A function of one point for all of them, in blocks of one shape: one program."""
    shapes = tuple(tuple(leaf.shape) for leaf in jax.tree.leaves(tree))
    count, dimension = points.shape
    block = _block(problem, dimension, count)
    pieces = []
    with jax.enable_x64(True):
        of = jax.tree.structure(tree), shapes
        run = problem.once(("points", work, *of), lambda: _program(work, problem, *of))
        numbers = np.float64(reach), np.float64(landscape.curvature), np.int32(steps)
        for first in range(0, count, block):
            part = points[first : first + block]
            found = run(problem.device_data(), np.resize(part, (block, dimension)), *numbers)
            pieces.append([np.asarray(leaf)[: len(part)] for leaf in found])
    return [np.concatenate(leaves) for leaves in zip(*pieces, strict=True)]


def _program(
    work: Work, problem: Problem, tree: jax.tree_util.PyTreeDef, shapes: tuple[tuple[int, ...], ...]
) -> Callable[..., tuple[jax.Array, ...]]:
    places = np.cumsum([0, *(math.prod(shape) for shape in shapes)])

    def objective(data: PyTree, flat: jax.Array) -> jax.Array:
        leaves = [flat[first:last].reshape(shape)
                  for first, last, shape in zip(places, places[1:], shapes, strict=False)]
        return problem.objective(jax.tree.unflatten(tree, leaves), data).astype(flat.dtype)

    def many(data: PyTree, points: jax.Array, *numbers: jax.Array) -> tuple:
        def one(point: jax.Array) -> tuple:
            return work(functools.partial(objective, data), point, *numbers)

        return jax.vmap(one)(points) if places[-1] <= DENSE else jax.lax.map(one, points)

    return jax.jit(one_by_one(many))


def _spectrum(loss: Callable[[jax.Array], jax.Array], x: jax.Array, start: jax.Array) -> tuple[jax.Array, jax.Array]:
    """Eigenvalues, ascending, and eigenvectors of the Hessian; of many parameters those that Lanczos sees."""
    if len(x) <= DENSE:
        return jnp.linalg.eigh(jax.hessian(loss)(x))
    return lanczos(lambda v: jax.jvp(jax.grad(loss), (x,), (v,))[1], start, min(KRYLOV, len(x)))


def _newton(loss: Callable[[jax.Array], jax.Array], begin: jax.Array, reach: jax.Array, curvature: jax.Array,
            steps: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
    """Where Newton's method leads from a point, whether it arrived, and whether it has not gone too far yet."""

    def step(carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
        count, x, _ = carry
        slope = jax.grad(loss)(x)
        values, vectors = _spectrum(loss, x, slope)
        floor = FLOOR * jnp.max(jnp.abs(values)) + 1e-12 * curvature
        move = vectors @ ((vectors.T @ slope) / jnp.where(values < 0, -1, 1) / jnp.maximum(jnp.abs(values), floor))
        return count + 1, x - move, jnp.linalg.norm(move)

    def going(carry: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
        count, x, move = carry
        return (count < steps) & (move > STOP * reach) & (jnp.linalg.norm(x - begin) <= DETOUR * reach)

    _, x, move = jax.lax.while_loop(going, step, (jnp.int32(0), begin, jnp.full_like(begin[0], jnp.inf)))
    away = jnp.linalg.norm(x - begin)
    arrived = (away <= reach) & (move <= ARRIVED * reach)
    return jnp.where(arrived, x, begin), arrived, away <= DETOUR * reach


def _look(loss: Callable[[jax.Array], jax.Array], x: jax.Array, reach: jax.Array, curvature: jax.Array,
          _: jax.Array) -> tuple[jax.Array, ...]:
    """A row of `Survey`."""
    values, vectors = _spectrum(loss, x, jax.random.normal(jax.random.key(1), x.shape, x.dtype))
    flat = jnp.abs(values) <= FLAT * jnp.maximum(jnp.max(jnp.abs(values)), curvature)
    here = loss(x)
    around = jax.vmap(lambda v: jnp.stack([loss(x + reach * v), loss(x - reach * v)]) - here)(vectors.T)
    change = jnp.where(flat[:, None], around, 0.0)
    return (here, jnp.linalg.norm(jax.grad(loss)(x)), values[0], values[-1], ~flat.any(), jnp.max(-change),
            jnp.max(change))


def _block(problem: Problem, dimension: int, points: int) -> int:
    """Points settled together: a power of two that bounds memory and is no more than are there."""
    numbers = dimension * (min(dimension, DENSE) + problem.examples)
    most = max(1, NUMBERS // numbers) if dimension <= DENSE else 16
    return 1 << int(min(math.log2(most), math.ceil(math.log2(max(points, 1))), 13))
