"""Every registered problem keeps the promises of a problem: the walk finds a new one by itself."""

from __future__ import annotations

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import gdjax
from gdjax.problems.registry import MAKERS
from tests.quick import SHIPPED

NAMES = gdjax.problems.names()


def data_of(problem):
    """The problem's data as arrays of the precision switched on now."""
    return jax.tree.map(jnp.asarray, problem.data)


@functools.cache
def start_losses(name):
    """Losses of the 1,001 starts whose median is stored as `initial_loss`."""
    problem = gdjax.problems.get(name)
    data, key = data_of(problem), jax.random.key(1001)

    @functools.partial(jax.jit, compiler_options=SHIPPED | {"xla_backend_optimization_level": 1})  # much to compute
    def score(numbers):
        one = lambda number: problem.objective(problem.start(jax.random.fold_in(key, number)), data)  # noqa: E731
        return jax.lax.map(one, numbers, batch_size=77)

    return np.asarray(score(jnp.arange(1001)))


def test_the_promised_problems_are_there():
    assert {
        "ackley", "beale", "booth", "bowl", "cancer-hinge", "cancer-logistic", "coin-likelihood", "coupled-quadratic",
        "diabetes-huber", "diabetes-linear", "diabetes-raw", "diabetes-ridge", "digits-cnn", "digits-held-out",
        "digits-mlp", "digits-softmax", "goldstein-price", "griewank", "himmelblau", "ill-conditioned-quadratic",
        "iris-softmax", "levy", "line-fit", "linnerud-poisson", "matyas", "monkey-saddle", "noisy-double-well",
        "noisy-quadratic", "parabola", "plateau", "quadratic-10", "quadratic-1000", "rastrigin", "rosenbrock",
        "rosenbrock-10", "rotated-quadratic", "saddle", "sine-network", "six-hump-camel", "softmax-2x3",
        "styblinski-tang", "three-hump-camel", "two-prices", "wavy-curve", "wine-two-layers",
    } <= set(NAMES)


def test_an_unknown_name_is_answered_with_the_closest():
    text = r"problem: unknown name \(got 'digit-softmax'\). Did you mean 'digits-softmax'\? Known: ackley,"
    with pytest.raises(ValueError, match=text):
        gdjax.problems.get("digit-softmax")


def test_a_name_is_registered_once_and_made_once(monkeypatch):
    made = []

    def maker():
        made.append(1)
        return gdjax.Problem(name="cube", loss=lambda x: x**3, init=jax.random.normal)

    monkeypatch.setattr("gdjax.problems.registry.MAKERS", dict(MAKERS))
    assert gdjax.problems.register("cube-for-a-test")(maker) is maker
    assert made == []
    assert gdjax.problems.get("cube-for-a-test") is gdjax.problems.get("cube-for-a-test")
    assert made == [1]
    with pytest.raises(ValueError, match=r"problems: name is taken \(got 'bowl'\)"):
        gdjax.problems.register("bowl")(maker)


@pytest.mark.parametrize("name", NAMES)
def test_it_is_named_documented_and_sourced(name):
    problem = gdjax.problems.get(name)
    assert problem.name == name
    assert problem.source
    doc = MAKERS[name].__doc__
    assert "Source:" in doc and "Starts" in doc
    assert ("no optimum is known" in doc) == (problem.optimum is None)
    assert problem.optimum is None or problem.initial_loss is not None, "targets need f0"


@pytest.mark.parametrize("name", NAMES)
def test_the_loss_of_an_example_is_one_float32(name):
    problem = gdjax.problems.get(name)
    start = jax.eval_shape(problem.start, jax.random.key(0))
    example = [jax.tree.map(lambda leaf: leaf[0], data_of(problem))] if problem.data is not None else []
    loss = jax.eval_shape(problem.loss, start, *example)
    assert loss.shape == () and loss.dtype == jnp.float32
    assert all(leaf.dtype == jnp.float32 for leaf in jax.tree.leaves(start))


@pytest.mark.parametrize("name", NAMES)
def test_starts_differ_and_are_spread(name):
    losses = start_losses(name)
    assert np.std(losses) > 0.01 * np.abs(np.mean(losses))
    assert len(np.unique(losses)) > 900, "nearly every start has a loss of its own"


@pytest.mark.parametrize("name", [name for name in NAMES if gdjax.problems.get(name).domain is not None])
def test_the_domain_holds_the_starts_and_they_fill_it(name):
    problem = gdjax.problems.get(name)
    low, high = problem.domain
    starts = np.asarray(jax.jit(jax.vmap(problem.start))(jax.random.split(jax.random.key(0), 1000)))
    assert low <= starts.min() and starts.max() <= high
    # of 1,000 uniform draws none is within a fiftieth of an end in 0.98^1000 = 2e-9 of the keys
    assert starts.min() < low + 0.02 * (high - low) and starts.max() > high - 0.02 * (high - low)


@pytest.mark.parametrize("name", [name for name in NAMES if gdjax.problems.get(name).minima is not None])
def test_every_listed_minimum_is_one_and_the_lowest_is_the_optimum(name):
    problem = gdjax.problems.get(name)
    with jax.enable_x64(True):
        rows = jax.tree.map(jnp.asarray, problem.minima)
        count = len(jax.tree.leaves(rows)[0])
        places = jax.vmap(lambda row: ravel_pytree(row)[0])(rows)
        _, as_params = ravel_pytree(jax.tree.map(lambda leaf: leaf[0], rows))
        data = data_of(problem)

        def value(place):
            return problem.objective(as_params(place), data)

        look = jax.jit(jax.vmap(lambda place: (value(place), jax.grad(value)(place), jax.hessian(value)(place))))
        losses, slopes, curvatures = (np.asarray(each) for each in look(places))
        places = np.asarray(places)
    eigenvalues = np.linalg.eigvalsh(curvatures)
    # a coordinate rounded to 1e-16 of itself leaves a slope of that times the curvature
    assert np.abs(slopes).max() < 1e-13 * eigenvalues.max() * (1 + np.abs(places).max())
    assert (eigenvalues[:, 0] >= -1e-12 * eigenvalues[:, -1]).all() and (eigenvalues[:, -1] > 0).all()
    assert losses.min() == pytest.approx(problem.optimum, rel=1e-12, abs=1e-15)
    assert count == len(np.unique(np.round(places, 6), axis=0)), "no minimum is listed twice"
    if problem.domain is not None:
        assert problem.domain[0] <= np.min(places) and np.max(places) <= problem.domain[1]


@pytest.mark.parametrize("name", [name for name in NAMES if gdjax.problems.get(name).accuracy is not None])
def test_the_accuracy_is_a_share_of_the_examples(name):
    problem = gdjax.problems.get(name)
    batch = jax.tree.map(jnp.asarray, problem.data if problem.held_out is None else problem.held_out)
    share = jax.jit(problem.accuracy)(jax.jit(problem.start)(jax.random.key(0)), batch)
    count = len(batch[1])
    assert share.dtype == jnp.float32 and share.shape == ()
    assert 0 <= float(share) <= 1 and float(share) * count == pytest.approx(round(float(share) * count), abs=1e-3)
    # a random start tells about one in K classes
    assert float(share) < 0.9


@pytest.mark.parametrize("name", [name for name in NAMES if gdjax.problems.get(name).minimizer is not None])
def test_the_objective_at_the_minimizer_is_the_optimum_and_flat(name):
    problem = gdjax.problems.get(name)
    with jax.enable_x64(True):
        minimizer = jax.tree.map(jnp.asarray, problem.minimizer)
        value, slope = jax.jit(jax.value_and_grad(problem.objective))(minimizer, data_of(problem))
        assert float(value) == pytest.approx(problem.optimum, rel=1e-12, abs=1e-15)
        assert all(np.abs(leaf).max() < 1e-12 for leaf in jax.tree.leaves(slope))
    shapes = [leaf.shape for leaf in jax.tree.leaves(jax.eval_shape(problem.start, jax.random.key(0)))]
    assert shapes == [np.shape(leaf) for leaf in jax.tree.leaves(problem.minimizer)]


@pytest.mark.parametrize("name", [name for name in NAMES if gdjax.problems.get(name).initial_loss is not None])
def test_the_stored_initial_loss_is_the_median_of_1001_starts(name):
    problem = gdjax.problems.get(name)
    assert float(np.median(start_losses(name))) == pytest.approx(problem.initial_loss, rel=1e-4)
    assert problem.optimum <= start_losses(name).min()


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_that_of_the_differences(name):
    found = gdjax.check_gradient(gdjax.problems.get(name), key=5, coordinates=20)
    assert found.dtype == "float64"
    # rounding 1e-16·f/h is 1e-11 to 1e-9 here, divided by at least 1e-3 of the largest gradient
    assert found.max_relative_error < 1e-6


@pytest.mark.parametrize("name", NAMES)
def test_nothing_forces_float64_on_float32_parameters(name):
    problem = gdjax.problems.get(name)
    start = jax.eval_shape(problem.start, jax.random.key(0))
    with jax.enable_x64(True):
        data = jax.tree.map(lambda leaf: leaf.astype(np.float32) if leaf.dtype.kind == "f" else leaf, problem.data)
        assert jax.eval_shape(problem.objective, start, data).dtype == jnp.float32


def test_a_batch_loss_is_the_mean_of_the_losses():
    both = [problem for problem in map(gdjax.problems.get, NAMES) if problem.loss and problem.batch_loss]
    assert {"digits-softmax", "digits-mlp", "wine-two-layers", "sine-network"} <= {problem.name for problem in both}
    for problem in both:
        params = jax.jit(problem.start)(jax.random.key(3))
        batch = jax.tree.map(lambda leaf: jnp.asarray(leaf[:50]), problem.data)
        each = jax.jit(jax.vmap(problem.loss, (None, 0)))(params, batch)
        together = float(jax.jit(problem.batch_loss)(params, batch))
        assert together == pytest.approx(float(each.mean()), rel=1e-5), problem.name
