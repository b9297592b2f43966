"""Claims 3 and 4: the noise of a batch, and the floor that it holds a constant rate at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import jax
import jax.numpy as jnp
import numpy as np

import gdjax
from bench.analysis.intervals import Estimate, median_interval
from bench.analysis.words import estimate_words
from bench.study.claim import Outcome, Picture, claim
from bench.study.claims.parts import (
    Array,
    by_start,
    finding,
    log_slope,
    mean_interval,
    near,
    precise,
    ratio_of_means,
    series,
    theory,
    verdict,
)

CURVATURES = NOISE = np.array([1.0, 0.5, 0.25])
EXAMPLES = 256
RATES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0)
SMALL_RATES = 3  # of them, where the floor is in proportion to the rate
BATCHES = (1, 4, 16)
STARTS, STEPS = 256, 1500
CONSTANT = [gdjax.Setting(gdjax.schedules.constant(), rate) for rate in RATES]
DECAYING = gdjax.Setting(gdjax.schedules.inverse_time(decay=100.0), 0.5)  # beside the constant rate 0.5

DRAWS = 600
SIZES = np.array([1, 4, 16, 64, 256, 512])
DATA = ("digits-softmax", "cancer-logistic")


@claim(3, "noise floor",
       statement="SGD with a constant rate does not converge but hovers at a noise floor; its rate must decay.",
       method="The noisy quadratic model (curvatures 1, ½, ¼), 256 starts, 1,500 steps, six rates at batches of 1, 4 "
              "and 16 drawn with replacement, beside Σ ½α c/(B(2 − αh)); one rate that decays.")
def noise_floor(seed: int) -> Outcome:
    """Final losses at every (batch, rate) over the formula, the slopes of the floor, and what decay gains."""
    problem = gdjax.problems.noisy_quadratic(CURVATURES, NOISE, examples=EXAMPLES)
    losses, curves, marks = {}, {}, np.zeros(0)
    for size in BATCHES:
        runs = gdjax.minibatch(problem, batch_size=size, rates=None, starts=STARTS, key=seed, max_steps=STEPS,
                               settings=[*CONSTANT, DECAYING], sampling="replacement", marks=32)
        losses[size] = by_start(runs.final_loss, runs).astype(float)
        curves[size], marks = by_start(runs.curve, runs).astype(float), runs.marks
    ratios = {size: [mean_interval(losses[size][:, i] / floor(rate, size), seed=seed) for i, rate in enumerate(RATES)]
              for size in BATCHES}
    overall = mean_interval(np.mean([losses[size][:, i] / floor(rate, size) for size in BATCHES
                                     for i, rate in enumerate(RATES)], axis=0), seed=seed)
    by_rate = log_slope(RATES[:SMALL_RATES], list(losses[1][:, :SMALL_RATES].T), centre=np.mean, seed=seed)
    by_batch = log_slope(BATCHES, [losses[size][:, 1] for size in BATCHES], centre=np.mean, seed=seed)
    decayed = {size: ratio_of_means(losses[size][:, -1], losses[size][:, RATES.index(DECAYING.rate)], seed=seed)
               for size in BATCHES}
    theory_slope = float(np.polyfit(np.log(RATES[:SMALL_RATES]),
                                    np.log([floor(rate, 1) for rate in RATES[:SMALL_RATES]]), 1)[0])
    return Outcome(
        verdict=judge_floor(overall, by_rate, by_batch, list(decayed.values())),
        sentence=f"With a constant rate the loss stayed at {estimate_words(overall)} times the floor of the noisy "
                 f"quadratic formula over {len(RATES) * len(BATCHES)} pairs of rate and batch size; the floor grew as "
                 f"the rate to the power {precise(by_rate)} and as the batch to {precise(by_batch)}, and a "
                 f"decaying rate ended at {estimate_words(decayed[1])} of it with batches of one.",
        findings=[
            finding("final loss over the formula's floor, mean over rates and batch sizes", overall, "×", 1.0),
            finding("slope of log floor against log rate, small rates", by_rate, expected=theory_slope),
            finding("slope of log floor against log batch size", by_batch, expected=-1.0),
            *(finding(f"loss with decay over loss with the same constant rate, batch {size}", ratio, "×")
              for size, ratio in decayed.items()),
            *(finding(f"final loss over the formula's floor: batch {size}, rate {rate:g}", ratio, "×", 1.0)
              for size in BATCHES for rate, ratio in zip(RATES, ratios[size], strict=True))],
        pictures=[_floor_picture(losses, seed), _decay_picture(curves[1], marks, seed)])


def floor(rate: float, size: int) -> float:
    """The loss that a constant rate settles at: ½ Σ hᵢ · α cᵢ/(hᵢ B (2 − αhᵢ)), Zhang et al. 2019, section 3.

    Example:
        >>> round(floor(1.0, 1), 6)
        0.738095
    """
    return float(np.sum(0.5 * rate * NOISE / (size * (2 - rate * CURVATURES))))


def judge_floor(overall: Estimate, by_rate: Estimate, by_batch: Estimate, decayed: Sequence[Estimate]) -> str:
    """Holds: the whole interval of the loss is within 15 % of the formula's floor and that of its exponent in B within
    0.15 of −1, it grows with the rate, and decay at least halves it. With limits: there is a floor that grows with the
    rate, and decay lowers it for some batch size.
    """
    whole = near(1.0, overall, 0.15) and near(-1.0, by_batch, 0.15) and all(each.high < 0.5 for each in decayed)
    return verdict(whole and by_rate.low > 0.5, by_rate.low > 0 and any(each.high < 1 for each in decayed))


@claim(4, "variance of batch gradients",
       statement="A larger batch gives a truer direction and less oscillation: gradient variance ∝ 1/B.",
       method="Variance of the batch gradients of digits-softmax and cancer-logistic at a random start, 600 batches "
              "drawn by gdjax.sampling at each of six batch sizes with and without replacement; cosine with the full "
              "gradient.")
def variance_of_batch_gradients(seed: int) -> Outcome:
    """Fitted exponents of the variance against B and against 1/B − 1/n, and the direction's cosine."""
    laws, ratios, cosines, panels = {}, {}, {}, []
    for name in DATA:
        gradients = example_gradients(gdjax.problems.get(name), seed)
        found = {sampling: {size: batch_gradients(gradients, sampling, size, seed) for size in SIZES}
                 for sampling in gdjax.sampling.SAMPLINGS}
        mean = gradients.mean(axis=0)
        spread = {sampling: [np.sum((found[sampling][size] - mean) ** 2, axis=1) for size in SIZES]
                  for sampling in found}
        total = float(np.sum(gradients.var(axis=0, ddof=1)))
        share = 1 / SIZES - 1 / len(gradients)
        laws[name] = (log_slope(SIZES, spread["replacement"], centre=np.mean, paired=False, seed=seed),
                      log_slope(share, spread["shuffle"], centre=np.mean, paired=False, seed=seed))
        ratios[name] = mean_interval(np.mean(np.array(spread["shuffle"]) / (total * share)[:, None], axis=0), seed=seed)
        cosines[name] = [median_interval(cosine(found["shuffle"][size], mean)) for size in SIZES]
        panels.append(_variance_picture(name, spread, total, len(gradients), seed))
        panels.append(_cosine_picture(name, cosines[name]))
    first = DATA[0]
    return Outcome(
        verdict=judge_variance([law for pair in laws.values() for law in pair], (-1.0, 1.0) * len(DATA),
                               [(found[0], found[-1]) for found in cosines.values()]),
        sentence=f"On {first} the variance of a batch gradient fell as B to the power "
                 f"{precise(laws[first][0])} with replacement, and without it was {precise(ratios[first])} "
                 "times S²(1/B − 1/n); the cosine with the full gradient rose from "
                 f"{estimate_words(cosines[first][0])} at B = 1 to {estimate_words(cosines[first][-1])} at B = 512.",
        findings=[
            *(finding(f"exponent of the variance in B, with replacement: {name}", law[0], expected=-1.0)
              for name, law in laws.items()),
            *(finding(f"exponent of the variance in 1/B − 1/n, without replacement: {name}", law[1], expected=1.0)
              for name, law in laws.items()),
            *(finding(f"variance over S²(1/B − 1/n), without replacement: {name}", ratio, "×", 1.0)
              for name, ratio in ratios.items()),
            *(finding(f"cosine with the full gradient at B = {size}: {name}", found[place])
              for name, found in cosines.items() for size, place in ((1, 0), (512, -1)))],
        pictures=panels)


def judge_variance(laws: Sequence[Estimate], expected: Sequence[float],
                   cosines: Sequence[tuple[Estimate, Estimate]]) -> str:
    """Holds: every exponent's interval is within 5 % of the law's, and the direction is truer at the largest batch than
    at one. With limits: the variance falls with B and the direction gets truer, by other exponents.
    """
    truer = all(large.low > small.high for small, large in cosines)
    lawful = all(near(value, law, 0.05) for law, value in zip(laws, expected, strict=True))
    falls = all(law.low * value > 0 and law.high * value > 0 for law, value in zip(laws, expected, strict=True))
    return verdict(truer and lawful, truer and falls)


def example_gradients(problem: gdjax.Problem, seed: int) -> Array:
    """Gradient of each example at a random start, (examples, parameters), float64."""
    params = problem.start(jax.random.key(seed))
    gradients = jax.jit(jax.vmap(jax.grad(problem.example_objective), (None, 0)))
    rows = gradients(params, problem.device_data())
    return np.concatenate([np.asarray(leaf, np.float64).reshape(problem.examples, -1)
                           for leaf in jax.tree.leaves(rows)], axis=1)


def batch_gradients(gradients: Array, sampling: str, size: int, seed: int, draws: int = DRAWS) -> Array:
    """Mean gradients of batches that gdjax draws, (draws, parameters)."""
    words = jax.random.bits(jax.random.fold_in(jax.random.key(seed), size), (draws, 2), jnp.uint32)
    index = np.asarray(jax.jit(jax.vmap(lambda pair: gdjax.sampling.batch(
        sampling, len(gradients), size, pair, jnp.int32(0), jnp.int32(0))))(words))
    counts = np.stack([np.bincount(row, minlength=len(gradients)) for row in index])
    return counts @ gradients / size


def cosine(rows: Array, mean: Array) -> Array:
    """Cosine of each row's angle with `mean`, (rows,)."""
    return rows @ mean / (np.linalg.norm(rows, axis=1) * np.linalg.norm(mean))


def _floor_picture(losses: Mapping[int, Array], seed: int) -> Picture:
    lines = []
    for size, table in losses.items():
        lines.append(series(f"batch {size}", RATES, [mean_interval(table[:, i], seed=seed) for i in range(len(RATES))]))
        lines.append(theory(f"formula, batch {size}", RATES, [floor(rate, size) for rate in RATES]))
    return Picture("Where a constant rate hovers: loss after 1,500 steps", "constant rate α",
                   "mean loss above the minimum", lines)


def _decay_picture(curves: Array, marks: Array, seed: int) -> Picture:
    fixed, decaying = (curves[:, RATES.index(DECAYING.rate)], curves[:, -1])
    lines = [series(name, marks, [mean_interval(column, seed=seed) for column in table.T])
             for name, table in ((f"constant rate {DECAYING.rate:g}", fixed), ("the same rate, decaying", decaying))]
    level = floor(DECAYING.rate, 1)
    return Picture("Batches of one: a constant rate stays at its floor, a decaying one goes on", "steps",
                   "mean loss above the minimum", [*lines, theory("floor by the formula", marks[[0, -1]], [level] * 2)])


def _variance_picture(name: str, spread: Mapping[str, Sequence[Array]], total: float, examples: int,
                      seed: int) -> Picture:
    lines = [series({"shuffle": "without replacement", "replacement": "with replacement"}[sampling], SIZES,
                    [mean_interval(values, seed=seed) for values in columns]) for sampling, columns in spread.items()]
    return Picture(f"Variance of a batch gradient: {name}", "batch size B, examples", "variance over all parameters",
                   [*lines, theory("S²(1/B − 1/n)", SIZES, total * (1 / SIZES - 1 / examples)),
                    theory("σ²/B", SIZES, total * (1 - 1 / examples) / SIZES)])


def _cosine_picture(name: str, cosines: Sequence[Estimate]) -> Picture:
    return Picture(f"How true a batch's direction is: {name}", "batch size B, examples",
                   "cosine with the full gradient, median of 600 batches", [series("measured", SIZES, cosines)],
                   y_log=False)
