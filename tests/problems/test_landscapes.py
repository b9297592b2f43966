"""The test functions against their published values and stationary points."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import gdjax


def test_rosenbrock_at_the_point_where_its_paper_starts():
    problem = gdjax.problems.get("rosenbrock")
    assert float(problem.loss(jnp.array([-1.2, 1.0]))) == pytest.approx(24.2, rel=1e-6)
    assert jax.grad(problem.loss)(jnp.array([-1.2, 1.0])).tolist() == pytest.approx([-215.6, -88.0], rel=1e-5)


def test_himmelblau_has_a_saddle_where_descent_can_stall():
    problem = gdjax.problems.get("himmelblau")
    saddle = jnp.array([0.08667750, 2.88425470])
    assert np.abs(jax.grad(problem.loss)(saddle)).max() < 1e-3
    curvatures = np.linalg.eigvalsh(jax.hessian(problem.loss)(saddle))
    assert curvatures.min() < 0 < curvatures.max()


# values that the sources print, to their digits
PUBLISHED = [
    ("beale", (3, 0.5), 0.0),
    ("beale", (0, 1), 14.203125),  # 1.5² + 2.25² + 2.625²
    ("booth", (1, 3), 0.0),
    ("booth", (0, 0), 74.0),  # 7² + 5²
    ("matyas", (0, 0), 0.0),
    ("matyas", (1, 1), 0.04),
    ("himmelblau", (-2.805118, 3.131312), 0.0),
    ("himmelblau", (-3.779310, -3.283186), 0.0),
    ("himmelblau", (3.584428, -1.848126), 0.0),
    ("himmelblau", (-0.270845, -0.923039), 181.617),  # its maximum
    ("three-hump-camel", (1.7476, -0.8738), 0.2986),
    ("six-hump-camel", (-0.0898, 0.7126), -1.0316),
    ("six-hump-camel", (1.7036, -0.7961), -0.2155),
    ("six-hump-camel", (-1.6071, -0.5687), 2.1043),
    ("styblinski-tang", (-2.903534, -2.903534), -78.332),
    ("goldstein-price", (0, -1), 3.0),
    ("goldstein-price", (-0.6, -0.4), 30.0),
    ("goldstein-price", (1.8, 0.2), 84.0),
    ("goldstein-price", (1.2, 0.8), 840.0),
    ("griewank", (3.14, 4.4385), 0.0074),
    ("levy", (1, 1), 0.0),
    ("rosenbrock-10", (1,) * 10, 0.0),
    ("rosenbrock-10", (-0.9932633728563689, 0.9966060394434352, 0.9982406113911125, 0.9989884337678004,
                       0.9992261534396647, 0.9990736481633435, 0.9984541774029069, 0.9970562516630319,
                       0.9941793752280471, 0.9883926301288003), 3.98658),  # Shang & Qiu 2006
    ("saddle", (0, -1), -0.25),
    ("plateau", (0, 0), -1.0),
    ("wavy-curve", 2.0, -2.4),
    ("wavy-curve", -2.0, -4 / 15),
    ("wavy-curve", -1.0, 3.45),
]


@pytest.mark.parametrize(("name", "at", "value"), PUBLISHED)
def test_published_values(name, at, value):
    with jax.enable_x64(True):
        found = float(gdjax.problems.get(name).loss(jnp.asarray(at, jnp.float64)))
    digits = len(str(value).rpartition(".")[2])
    # zero is told where the point is told to 6 digits: curvatures to 100 leave 1e-10
    assert found == pytest.approx(value, abs=1e-9 if value == 0 or name == "wavy-curve" else 0.6 * 10**-digits)


USUAL = {
    "rastrigin": lambda x: 20 + np.sum(x**2 - 10 * np.cos(2 * np.pi * x)),
    "ackley": lambda x: 20 + np.e - 20 * np.exp(-0.2 * np.sqrt(np.mean(x**2))) - np.exp(
        np.mean(np.cos(2 * np.pi * x))),
    "griewank": lambda x: 1 + np.sum(x**2) / 4000 - np.prod(np.cos(x / np.sqrt([1, 2]))),
    "levy": lambda x: (lambda w: np.sin(np.pi * w[0]) ** 2 + (w[0] - 1) ** 2 * (
        1 + 10 * np.sin(np.pi * w[0] + 1) ** 2) + (w[1] - 1) ** 2 * (1 + np.sin(2 * np.pi * w[1]) ** 2))(
        1 + (x - 1) / 4),
}


@pytest.mark.parametrize("name", sorted(USUAL))
def test_what_is_written_without_cancelling_is_the_usual_formula(name):
    problem = gdjax.problems.get(name)
    points = np.random.default_rng(0).uniform(*problem.domain, (20, 2))
    with jax.enable_x64(True):
        found = np.asarray(jax.jit(jax.vmap(problem.loss))(jnp.asarray(points)))
    assert found == pytest.approx(np.array([USUAL[name](at) for at in points]), rel=1e-12)


@pytest.mark.parametrize("name", sorted({"himmelblau", "three-hump-camel", "six-hump-camel", "styblinski-tang",
                                         "goldstein-price", "griewank", "levy", "wavy-curve", "saddle"}))
def test_all_minima_of_the_box_are_listed(name):
    """Newton's method with curvatures made positive, from 40 × 40 points, finds the listed minima and no others."""
    problem = gdjax.problems.get(name)
    low, high = problem.domain
    shape = problem.minima.shape[1:]
    with jax.enable_x64(True):
        line = np.linspace(low, high, 40)
        points = jnp.asarray(np.stack(np.meshgrid(line, line), -1).reshape(-1, 2) if shape else line)
        local = jax.vmap(lambda x: (jax.grad(problem.loss)(x), jnp.atleast_2d(jax.hessian(problem.loss)(x))))

        def newton(step, x):
            slope, curvature = local(x)
            values, axes = jnp.linalg.eigh(curvature)
            along = jnp.einsum("nji,nj->ni", axes, slope.reshape(len(x), -1)) / jnp.maximum(jnp.abs(values), 1e-3)
            move = jnp.einsum("nij,nj->ni", axes, along)
            length = jnp.linalg.norm(move, axis=1, keepdims=True)
            return x - (move * jnp.minimum(1, 0.2 / jnp.maximum(length, 1e-30))).reshape(x.shape)

        ends = jax.jit(lambda x: jax.lax.fori_loop(0, 100, newton, x))(points)
        slope, curvature = (np.asarray(each) for each in jax.jit(local)(ends))
    ends = np.asarray(ends).reshape(len(ends), -1)
    lowest = np.linalg.eigvalsh(curvature).min(axis=1)  # a level inflection is left with almost none
    is_minimum = (np.abs(slope).reshape(len(ends), -1).max(axis=1) < 1e-8) & (lowest > 1e-3)
    inside = ((ends >= low) & (ends <= high)).all(axis=1)
    found = np.unique(np.round(ends[is_minimum & inside], 6) + 0.0, axis=0)
    listed = np.unique(np.round(problem.minima.reshape(len(problem.minima), -1), 6) + 0.0, axis=0)
    assert found == pytest.approx(listed, abs=2e-6)


def test_rastrigin_has_its_121_minima_near_whole_numbers():
    minima = gdjax.problems.get("rastrigin").minima
    assert len(minima) == 121 and np.abs(minima - np.round(minima)).max() < 0.03
    # next to (1, 0) lies a local minimum of about 0.995, at x0 = 0.99496
    assert float(gdjax.problems.get("rastrigin").loss(np.array([0.99496, 0.0]))) == pytest.approx(0.99496, abs=1e-4)


@pytest.mark.parametrize("x64", [False, True])
def test_ackley_has_a_finite_gradient_at_its_kink_and_slope_2_sqrt_2_beside_it(x64):
    loss = gdjax.problems.get("ackley").loss
    with jax.enable_x64(x64):
        value, slope = jax.value_and_grad(loss)(jnp.zeros(2))
        assert float(value) == 0.0 and slope.tolist() == [0.0, 0.0]
        assert np.isfinite(jax.hessian(loss)(jnp.zeros(2))).all()
        beside = jax.grad(loss)(jnp.array([1e-6, 0.0]))
        assert beside.tolist() == pytest.approx([2 * np.sqrt(2), 0.0], rel=1e-4)


def test_the_saddle_has_one_way_down_and_the_monkey_has_no_curvature():
    saddle, monkey = gdjax.problems.get("saddle").loss, gdjax.problems.get("monkey-saddle").loss
    origin = jnp.zeros(2)
    assert jax.grad(saddle)(origin).tolist() == [0.0, 0.0] == jax.grad(monkey)(origin).tolist()
    assert np.linalg.eigvalsh(jax.hessian(saddle)(origin)).tolist() == [-1.0, 1.0]
    assert np.linalg.eigvalsh(jax.hessian(saddle)(jnp.array([0.0, 1.0]))).tolist() == [1.0, 2.0]
    assert not jax.hessian(monkey)(origin).any()
    # three legs down and three up, 60° apart: r³ cos 3φ
    turns = np.arange(6) * np.pi / 3
    round_it = [float(monkey(jnp.array([np.cos(turn), np.sin(turn)]))) for turn in turns]
    assert round_it == pytest.approx([1, -1, 1, -1, 1, -1], abs=1e-5)


def test_the_plateau_is_as_flat_as_it_says():
    problem = gdjax.problems.get("plateau")
    slopes = jax.jit(jax.vmap(jax.grad(problem.loss)))(
        jax.jit(jax.vmap(problem.start))(jax.random.split(jax.random.key(0), 20_000)))
    # half of the square lies within r² = 50/π of its centre, where the gradient is r exp(−½r²)
    median = np.sqrt(50 / np.pi) * np.exp(-25 / np.pi)
    assert float(jnp.median(jnp.linalg.norm(slopes, axis=1))) == pytest.approx(median, rel=0.2)
    assert median == pytest.approx(1.4e-3, rel=0.01)
    assert float(jnp.linalg.norm(jax.grad(problem.loss)(jnp.array([3.0, 4.0])))) == pytest.approx(1.863e-5, rel=1e-3)


def test_the_wavy_curve_has_its_slope_and_a_level_inflection():
    loss = gdjax.problems.get("wavy-curve").loss
    with jax.enable_x64(True):
        for x in (-2.5, -1.3, 0.0, 0.7, 1.6):
            slope = (x + 2) * (x + 1) * (x - 1) ** 2 * (x - 2)
            assert float(jax.grad(loss)(jnp.array(x))) == pytest.approx(slope, abs=1e-12)
        level = jnp.array(1.0)
        assert abs(float(jax.grad(loss)(level))) < 1e-14 and abs(float(jax.grad(jax.grad(loss))(level))) < 1e-13
        assert float(jax.grad(jax.grad(loss))(jnp.array(-1.0))) == pytest.approx(-12.0)  # (1)(4)(−3): a maximum


def test_matyas_and_booth_have_the_curvatures_of_their_docstrings():
    for name, expected in (("matyas", [0.04, 1.0]), ("booth", [2.0, 18.0])):
        curvatures = np.linalg.eigvalsh(jax.hessian(gdjax.problems.get(name).loss)(jnp.zeros(2)))
        assert curvatures == pytest.approx(expected, rel=1e-5)


def test_beale_has_its_saddle():
    loss = gdjax.problems.get("beale").loss
    at = jnp.array([0.0, 1.0])
    assert jax.grad(loss)(at).tolist() == [0.0, 0.0]
    curvatures = np.linalg.eigvalsh(jax.hessian(loss)(at))
    assert curvatures[0] < 0 < curvatures[1]


def test_rosenbrock_needs_two_dimensions():
    for dim in (1, 0, -3):
        with pytest.raises(ValueError, match=rf"dim: must be at least 2 \(got {dim}\)"):
            gdjax.problems.rosenbrock(dim)
    with pytest.raises(TypeError, match=r"dim: must be a whole number of at least 2 \(got 2.5\)"):
        gdjax.problems.rosenbrock(2.5)
    assert gdjax.problems.rosenbrock(5).start(jax.random.key(0)).shape == (5,)
