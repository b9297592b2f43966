"""The claims; importing this package fills `bench.study.claim.CLAIMS` (only workers do: it imports jax)."""

from __future__ import annotations

from bench.study.claims import (
    batches,
    differences,
    flat,
    methods,
    minima,
    noise,
    rates,
    scaling,
    speed,
    stale,
    timing,
)

__all__ = ["batches", "differences", "flat", "methods", "minima", "noise", "rates", "scaling", "speed", "stale",
           "timing"]
