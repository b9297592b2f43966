"""Utilities to climb: gradient ascent. J, and every loss that tables show, is minus the utility."""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from gdjax.problem import Problem
from gdjax.problems.boxes import box_starts
from gdjax.problems.parts import softplus
from gdjax.problems.registry import register

HEADS, FLIPS = 62, 100


@register("two-prices")
def two_prices() -> Problem:
    """A firm's profit from two goods that replace each other, to be maximised: U(p) = Σᵢ (pᵢ − 1) qᵢ(p).

    Demand q₀ = 10 − 2p₀ + p₁, q₁ = 10 − 2p₁ + p₀; each good costs 1. U is concave, curvatures −2 and −6.
    Minimum of J = −U: −40.5 at p = (5.5, 5.5). Starts: U(0, 10)².

    Source: Tirole 1988, "The Theory of Industrial Organization", section 1.1.2, with linear demand.
    """
    domain = (0.0, 10.0)
    return Problem(
        name="two-prices",
        loss=lambda price: jnp.sum((price - 1) * (10 - 2 * price + price[::-1])),
        init=box_starts(domain),
        maximise=True,
        optimum=-40.5,
        minimizer=np.full(2, 5.5),
        minima=np.full((1, 2), 5.5),
        domain=domain,
        initial_loss=-12.221605,
        source="profit of two goods with linear demand, maximised",
    )


@register("coin-likelihood")
def coin_likelihood() -> Problem:
    """The log-likelihood of a coin, to be maximised: 62 heads in 100 flips, U(z) = mean of y z − log(1 + exp(z)).

    z is the log-odds of heads; U is concave. Minimum of J = −U: the entropy 0.664064 at z = log(62/38) = 0.489548.
    Starts: N(0, 1).

    Source: McCullagh & Nelder 1989, "Generalized Linear Models", 2nd edition, section 4.4, without covariates.
    """
    share = HEADS / FLIPS
    odds = np.log(share / (1 - share))
    return Problem(
        name="coin-likelihood",
        loss=lambda z, y: y * z - softplus(z),
        init=jax.random.normal,
        data=np.repeat([1.0, 0.0], [HEADS, FLIPS - HEADS]),
        maximise=True,
        optimum=float(-share * np.log(share) - (1 - share) * np.log(1 - share)),
        minimizer=odds,
        minima=odds[None],
        initial_loss=0.73364192,
        source="log-likelihood of 62 heads in 100 flips, maximised",
    )
