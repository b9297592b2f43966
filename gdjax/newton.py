"""Where an end point would settle: Newton's method in float64 from it, and the curvature there."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

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


class Settled(NamedTuple):
    """Where Newton's method led each of some points, leading axis (points,); the point itself where it led too far."""

    point: np.ndarray  # (points, parameters)
    arrived: np.ndarray  # within reach, at a stationary point
    near: np.ndarray  # has not gone too far yet
    loss: np.ndarray  # at `point`, as all below
    norm: np.ndarray  # of the gradient
    lowest: np.ndarray  # smallest eigenvalue of the Hessian
    highest: np.ndarray
    isolated: np.ndarray  # no eigenvalue is 0
    drop: np.ndarray  # how far the loss falls, and rises, a reach away along directions of eigenvalue 0
    rise: np.ndarray


def nothing(dimension: int) -> Settled:
    """What comes of no points."""
    number, truth = np.zeros(0), np.zeros(0, bool)
    return Settled(np.zeros((0, dimension)), truth, truth, number, number, number, number, truth, number, number)


def settle(problem: Problem, points: np.ndarray, tree: PyTree, reach: float, landscape: Landscape) -> Settled:
    """Newton's method from each point, for as long as it stays within `reach` of it.

    x ← x − V |Λ|ᶠ⁻¹ sign(Λ) Vᵀ ∇J(x), H = V Λ Vᵀ: eigenvalues keep their sign (a saddle attracts like a minimum) and
    their size is at least `FLOOR` of the largest. In float64 whatever the run's dtype: what is measured here is where
    a lane has stopped, and a lane is not moved by it.

    Args:
        points: (points, parameters), as `flatten` makes them.
        tree: the parameters of one lane, for their shapes.
        reach: the farthest that a stationary point may be away.
    """
    shapes = tuple(tuple(leaf.shape) for leaf in jax.tree.leaves(tree))
    dimension = points.shape[1]
    with jax.enable_x64(True):
        run = _settler(problem, jax.tree.structure(tree), shapes, dimension)
        data = problem.device_data()
        block = _block(problem, dimension, len(points))

        def settled(points: np.ndarray, steps: int) -> Settled:
            pieces = []
            for first in range(0, len(points), block):
                part = points[first : first + block]
                rows = np.resize(part, (block, dimension))  # one shape, one program
                found = run(data, rows, np.float64(reach), np.float64(landscape.curvature), np.int32(steps))
                pieces.append([np.asarray(leaf)[: len(part)] for leaf in found])
            return Settled(*(np.concatenate(leaves) for leaves in zip(*pieces, strict=True)))

        # a block takes as long as its slowest point, and most that are not done after a step have left
        found = settled(points, 1)
        again = np.flatnonzero(found.near)
        if len(again):
            longer = settled(points[again], STEPS)
            for old, new in zip(found, longer, strict=True):
                old[again] = new
    return found


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


@functools.lru_cache(maxsize=32)
def _settler(
    problem: Problem, tree: jax.tree_util.PyTreeDef, shapes: tuple[tuple[int, ...], ...], dimension: int
) -> Callable[..., tuple[jax.Array, ...]]:
    places = np.cumsum([0, *(math.prod(shape) for shape in shapes)])

    def objective(data: PyTree, flat: jax.Array) -> jax.Array:
        leaves = [flat[first:last].reshape(shape)
                  for first, last, shape in zip(places, places[1:], shapes, strict=False)]
        return problem.objective(jax.tree.unflatten(tree, leaves), data).astype(flat.dtype)

    def one(data: PyTree, begin: jax.Array, reach: jax.Array, curvature: jax.Array, steps: jax.Array) -> tuple:
        loss = functools.partial(objective, data)
        gradient = jax.grad(loss)

        def spectrum(x: jax.Array, start: jax.Array) -> tuple[jax.Array, jax.Array]:
            if dimension <= DENSE:
                return jnp.linalg.eigh(jax.hessian(loss)(x))
            return lanczos(lambda v: jax.jvp(gradient, (x,), (v,))[1], start, min(KRYLOV, dimension))

        def newton(carry: tuple[jax.Array, jax.Array, jax.Array]) -> tuple[jax.Array, jax.Array, jax.Array]:
            count, x, _ = carry
            slope = gradient(x)
            values, vectors = spectrum(x, slope)
            floor = FLOOR * jnp.max(jnp.abs(values)) + 1e-12 * curvature
            step = vectors @ ((vectors.T @ slope) / jnp.where(values < 0, -1, 1) / jnp.maximum(jnp.abs(values), floor))
            return count + 1, x - step, jnp.linalg.norm(step)

        def going(carry: tuple[jax.Array, jax.Array, jax.Array]) -> jax.Array:
            count, x, step = carry
            return (count < steps) & (step > STOP * reach) & (jnp.linalg.norm(x - begin) <= DETOUR * reach)

        _, x, step = jax.lax.while_loop(going, newton, (jnp.int32(0), begin, jnp.full_like(begin[0], jnp.inf)))
        away = jnp.linalg.norm(x - begin)
        near, arrived = away <= DETOUR * reach, (away <= reach) & (step <= ARRIVED * reach)
        x = jnp.where(arrived, x, begin)
        values, vectors = spectrum(x, jax.random.normal(jax.random.key(1), x.shape, x.dtype))
        flat = jnp.abs(values) <= FLAT * jnp.maximum(jnp.max(jnp.abs(values)), curvature)
        here = loss(x)
        around = jax.vmap(lambda v: jnp.stack([loss(x + reach * v), loss(x - reach * v)]) - here)(vectors.T)
        change = jnp.where(flat[:, None], around, 0.0)
        return (x, arrived, near, here, jnp.linalg.norm(gradient(x)), values[0], values[-1], ~flat.any(),
                jnp.max(-change), jnp.max(change))

    def many(data: PyTree, points: jax.Array, reach: jax.Array, curvature: jax.Array, steps: jax.Array) -> tuple:
        if dimension <= DENSE:
            return jax.vmap(one, (None, 0, None, None, None))(data, points, reach, curvature, steps)
        return jax.lax.map(lambda point: one(data, point, reach, curvature, steps), points)

    return jax.jit(many)


def _block(problem: Problem, dimension: int, points: int) -> int:
    """Points settled together: a power of two that bounds memory and is no more than are there."""
    numbers = dimension * (min(dimension, DENSE) + problem.examples)
    most = max(1, NUMBERS // numbers) if dimension <= DENSE else 16
    return 1 << int(min(math.log2(most), math.ceil(math.log2(max(points, 1))), 13))
