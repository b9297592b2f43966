"""The fourteen claims; importing this package fills `bench.study.claim.CLAIMS` (only workers do: it imports jax)."""

from __future__ import annotations

from bench.study.claims import (
    batches,
    differences,
    flat,
    minima,
    noise,
    rates,
    speed,
    timing,
)

__all__ = ["batches", "differences", "flat", "minima", "noise", "rates", "speed", "timing"]
