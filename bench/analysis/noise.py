"""Gradient noise scale: how large a batch has to be before its gradient is mostly signal."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from bench.analysis.intervals import Estimate, percentile_interval

RESAMPLES = 2000


class NoiseScale(NamedTuple):
    """The simple noise scale tr(Σ)/|G|², in examples, and the two estimates that it is the ratio of."""

    b_simple: Estimate
    signal: float
    noise: float


def noise_scale(small: np.ndarray, big: np.ndarray, batch_small: int, batch_big: int, examples: int, *,
                seed: int = 0) -> NoiseScale:
    """B_simple = tr(Σ)/|G|² from squared gradient norms at two batch sizes, each estimate unbiased.

    With batches without replacement E|G_B|² = |G|² + tr(Σ)·(1/B − 1/n), so
    tr(Σ) = (|G_small|² − |G_big|²)/(1/B_small − 1/B_big) and |G|² = |G_big|² − tr(Σ)·(1/B_big − 1/n). Both are averaged
    over batches before they are divided; the interval resamples batches, and is ∞ at its upper end where the signal
    can't be told from zero.

    Args:
        small, big: (batches,) squared gradient norms of batches of the two sizes, at the same parameters.
        batch_small, batch_big: their sizes in examples.
        examples: of the problem; batch_big may be all of them.

    Raises:
        ValueError: the small batch is not smaller, or there is no norm of one of them.

    Example:
        >>> noise_scale(np.array([5.0, 5.0]), np.array([2.0]), 1, 4, 10**9).b_simple.value.__round__(6)
        4.0

    Source: McCandlish et al. 2018, arXiv 1812.06162, appendix A.1.
    """
    if not 1 <= batch_small < batch_big <= examples:
        raise ValueError(f"batch_small: must be at least 1 and below batch_big, which is at most {examples} "
                         f"(got {batch_small} and {batch_big}). Give two batch sizes.")
    if min(len(small), len(big)) == 0:
        raise ValueError("small, big: must hold a squared norm each (got none). Measure batches of both sizes.")
    random = np.random.default_rng(seed)
    means = [np.append(norms.mean(), random.choice(norms, (RESAMPLES, len(norms))).mean(axis=1))
             for norms in (small, big)]
    noise = (means[0] - means[1]) / (1 / batch_small - 1 / batch_big)
    signal = means[1] - noise * (1 / batch_big - 1 / examples)
    with np.errstate(divide="ignore", invalid="ignore"):
        ratio = np.where(signal > 0, np.maximum(noise, 0.0) / signal, np.inf)
    value = float(ratio[0]) if math.isfinite(ratio[0]) else math.inf
    return NoiseScale(Estimate(value, *percentile_interval(ratio[1:])), float(signal[0]), float(noise[0]))
