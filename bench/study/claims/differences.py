"""Claim 13: gradients by differences, their error against the step and their cost against the dimension."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

import gdjax
from bench import clock
from bench.analysis.intervals import Estimate, median_interval, ratio_of_medians
from bench.analysis.words import estimate_words
from bench.study.claim import Outcome, Picture, claim
from bench.study.claims.parts import (
    Array,
    bootstrap,
    exact,
    finding,
    log_slope,
    near,
    precise,
    series,
    theory,
    verdict,
)

STEPS = np.logspace(-1, -16, 46)
POINTS = 160
ORDER = {"forward": 1, "central": 2}
# stretches of h where one of the two errors is all: where the slopes are fitted
TRUNCATION = {("float64", "forward"): (1e-6, 1e-1), ("float64", "central"): (1e-4, 1e-1),
              ("float32", "forward"): (4e-3, 1e-1), ("float32", "central"): (4e-2, 1e-1)}
ROUNDING = {("float64", "forward"): (1e-13, 1e-10), ("float64", "central"): (1e-13, 1e-7),
            ("float32", "forward"): (4e-7, 2e-5), ("float32", "central"): (1e-6, 1e-3)}
TINY = 1e-50
DIMENSIONS = (10, 30, 100, 300)
SAMPLE_S, REPEATS = 0.05, 10


@dataclass(frozen=True)
class Curve:
    """Relative errors of one scheme in one precision, (points, steps), at the steps h."""

    dtype: str
    scheme: str
    errors: Array

    @property
    def name(self) -> str:
        """In words: "central, float64"."""
        return f"{self.scheme}, {self.dtype}"

    def slope(self, between: tuple[float, float], seed: int) -> Estimate:
        """Exponent of h in the mean error over a stretch of steps."""
        chosen = (between[0] * 0.999 <= STEPS) & (between[1] * 1.001 >= STEPS)
        return log_slope(STEPS[chosen], list(self.errors[:, chosen].T), centre=np.mean, seed=seed)

    def best(self, seed: int) -> Estimate:
        """The step of the smallest mean error."""
        def lowest(*columns: Array, axis: int) -> Array:
            return STEPS[np.argmin(np.stack([np.mean(column, axis=axis) for column in columns]), axis=0)]

        return bootstrap(list(self.errors.T), lowest, paired=True, seed=seed)

    def smallest(self) -> Array:
        """Errors at the best step, (points,)."""
        return self.errors[:, int(np.argmin(self.errors.mean(axis=0)))]

    def said(self) -> float:
        """Where theory has the best step, up to a small factor: eps^(1/2) forward, eps^(1/3) central."""
        return float(np.finfo(self.dtype).eps ** (1 / (1 + ORDER[self.scheme])))


@claim(13, "numerical gradients",
       statement="The central difference beats the forward one; too small an h drowns in rounding: error against h is "
                 "U-shaped; numerical gradients are slow (2·dim evaluations).",
       method="Relative error of gdjax.numerical_gradient on e^x at 160 points for 46 steps from 1e-1 to 1e-16, values "
              "of e^x in float32 and float64; h = 1e-50; seconds against jax.grad in 10 to 300 dimensions.")
def numerical_gradients(seed: int) -> Outcome:
    """Slopes on both sides of the U, its bottom, and the cost of differences."""
    points = np.random.default_rng(seed).uniform(0.5, 2.0, POINTS)
    curves = [Curve(dtype, scheme, errors(points, dtype, scheme)) for dtype in ("float64", "float32")
              for scheme in ORDER]
    falling = [curve.slope(TRUNCATION[curve.dtype, curve.scheme], seed) for curve in curves]
    rising = [curve.slope(ROUNDING[curve.dtype, curve.scheme], seed) for curve in curves]
    best = [curve.best(seed) for curve in curves]
    gains = {dtype: ratio_of_medians(*(next(curve for curve in curves if curve.name == f"{scheme}, {dtype}").smallest()
                                       for scheme in ORDER), paired=True) for dtype in ("float64", "float32")}
    tiny = [difference(1.0, "float64", scheme, TINY) for scheme in ORDER]
    evaluations = count_evaluations(max(DIMENSIONS))
    costs = [cost(dim, seed) for dim in DIMENSIONS]
    return Outcome(
        verdict=judge_differences(falling, [float(ORDER[curve.scheme]) for curve in curves], rising,
                                  list(gains.values()), costs[-1]),
        sentence=f"In float64 the central difference's error fell as h to the power {precise(falling[1])} and the "
                 f"forward one's to {precise(falling[0])} down to h = {best[1].value:.1e} and {best[0].value:.1e}, "
                 f"then both rose; the smallest central error was {estimate_words(gains['float64'])} times smaller; at "
                 f"h = 1e-50 the gradient came out as {tiny[1]:g}; in {DIMENSIONS[-1]} dimensions differences took "
                 f"{estimate_words(costs[-1])} times as long as an automatic gradient.",
        findings=[
            *(finding(f"exponent of h where truncation rules: {curve.name}", slope, expected=ORDER[curve.scheme])
              for curve, slope in zip(curves, falling, strict=True)),
            *(finding(f"exponent of h where rounding rules: {curve.name}", slope, expected=-1.0)
              for curve, slope in zip(curves, rising, strict=True)),
            *(finding(f"best step h: {curve.name}", each, expected=curve.said())
              for curve, each in zip(curves, best, strict=True)),
            *(finding(f"smallest forward error over smallest central error, {dtype}", gain, "×")
              for dtype, gain in gains.items()),
            *(finding(f"gradient of e^x at 1 with h = 1e-50, {scheme} (true: 2.718)", exact(value))
              for scheme, value in zip(ORDER, tiny, strict=True)),
            finding(f"evaluations of a central gradient in {max(DIMENSIONS)} dimensions", exact(evaluations), "",
                    2 * max(DIMENSIONS)),
            *(finding(f"seconds of a central over an automatic gradient, {dim} dimensions", ratio, "×")
              for dim, ratio in zip(DIMENSIONS, costs, strict=True))],
        pictures=[*(_error_picture(dtype, [curve for curve in curves if curve.dtype == dtype])
                    for dtype in ("float64", "float32")), _cost_picture(costs)])


def judge_differences(falling: Sequence[Estimate], orders: Sequence[float], rising: Sequence[Estimate],
                      gains: Sequence[Estimate], cost: Estimate) -> str:
    """Holds: errors fall with the scheme's order (to 20 %), rise as 1/h (to 25 %) below the best step, the central
    one gets lower, and numerical gradients take longer. With limits: U-shaped everywhere, and central lower somewhere.
    """
    shaped = all(each.low > 0 for each in falling) and all(each.high < 0 for each in rising)
    lawful = (all(near(order, each, 0.2) for order, each in zip(orders, falling, strict=True))
              and all(near(-1.0, each, 0.25) for each in rising))
    return verdict(shaped and lawful and all(gain.low > 1 for gain in gains) and cost.low > 1,
                   shaped and any(gain.low > 1 for gain in gains))


def errors(points: Array, dtype: str, scheme: str) -> Array:
    """Relative errors of differences of e^x computed in a precision, (points, steps)."""
    slopes = np.array([[difference(float(point), dtype, scheme, float(h)) for h in STEPS] for point in points])
    true = np.exp(points)[:, None]
    return np.abs(slopes - true) / true


def difference(point: float, dtype: str, scheme: str, h: float) -> float:
    """Derivative of e^x at a point by gdjax.numerical_gradient, function values in a precision.

    Example:
        >>> difference(1.0, "float64", "central", 1e-50)
        0.0
    """
    def function(x: object) -> np.ndarray:
        return np.asarray(np.exp(np.asarray(x, dtype)))

    return float(np.asarray(gdjax.numerical_gradient(function, np.array(point), h=h, scheme=scheme)))


def count_evaluations(dim: int) -> int:
    """How often a central gradient calls its function, less the call that looks at the result's shape."""
    calls = 0

    def function(x: object) -> float:
        nonlocal calls
        calls += 1
        return float(np.sum(np.asarray(x)))

    gdjax.numerical_gradient(function, np.zeros(dim))
    return calls - 1


def cost(dim: int, seed: int) -> Estimate:
    """Seconds of a central gradient over seconds of an automatic one, both of the same compiled float64 function."""
    with jax.enable_x64(True):
        x = jnp.linspace(0.0, 1.0, dim)
        value = jax.jit(lambda x: jnp.sum(jnp.exp(x)))
        slope = jax.jit(jax.grad(lambda x: jnp.sum(jnp.exp(x))))
        runs: dict[str, Callable[[int], object]] = {
            "numerical": lambda count: [gdjax.numerical_gradient(value, np.asarray(x)) for _ in range(count)],
            "automatic": lambda count: [slope(x) for _ in range(count)]}
        jobs = [clock.calibrate((name,), run, SAMPLE_S, REPEATS) for name, run in runs.items()]
        seconds: dict[str, list[float]] = {name: [] for name in runs}
        for sample in clock.samples(jobs, seed):
            if not (sample.warmup or sample.voided):
                seconds[sample.label[0]].append(sample.seconds / sample.count)
    numerical, automatic = (np.array(seconds[name]) for name in ("numerical", "automatic"))
    return ratio_of_medians(numerical, automatic, paired=False)


def _error_picture(dtype: str, curves: Sequence[Curve]) -> Picture:
    lines = [series(f"{curve.scheme} difference", STEPS, [median_interval(np.maximum(column, 1e-17))
                                                         for column in curve.errors.T]) for curve in curves]
    wide = STEPS[STEPS >= 1e-4 if dtype == "float64" else STEPS >= 4e-3]
    eps = float(np.finfo(dtype).eps)
    narrow = STEPS[eps < STEPS]
    return Picture(f"Error of a difference against its step h, {dtype}: U-shaped", "step h", "relative error",
                   [*lines, theory("h/2", wide, wide / 2), theory("h²/6", wide, wide**2 / 6),
                    theory("rounding, eps/h", narrow, eps / narrow)])


def _cost_picture(costs: Sequence[Estimate]) -> Picture:
    dims = np.array(DIMENSIONS)
    return Picture("Seconds of a numerical gradient over those of an automatic one", "dimensions", "ratio, ×",
                   [series("measured", dims, costs), theory("2·dim evaluations", dims, 2.0 * dims)])
