"""JAX's strict rules of promotion: a caller may turn them on, and the numbers are the same."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import jax
import numpy as np
import pytest

import gdjax
from tests.refusals import batches, bowl

ROWS = np.random.default_rng(0).normal(size=(70, 3)).astype(np.float32)  # above 64, so that indices are walked


def fresh(**changed) -> gdjax.Problem:
    """A problem for which nothing is traced yet."""
    return gdjax.Problem(**{"name": "mine", "loss": lambda w, row: (row @ w - 1) ** 2, "data": ROWS,
                            "init": lambda key: jax.random.normal(key, (3,)), "held_out": ROWS[:7], **changed})


@contextmanager
def strict_rules() -> Iterator[None]:
    """Both at once: what either of them refuses is refused."""
    with jax.numpy_rank_promotion("raise"), jax.numpy_dtype_promotion("strict"):
        yield


@pytest.mark.parametrize("changed", [
    {"optimizer": "adam", "targets": [0.1], "target_on": "held_out_loss"}, {"batch_size": 70, "tolerance": 1e-3},
    {"sampling": "replacement", "optimizer": "plateau"}, {"sampling": "stream", "schedules": ["step", "cosine"]},
], ids=["adam", "full-batch", "replacement", "stream"])
def test_strict_rules_change_no_number(changed):
    as_usual = batches(problem=fresh(), **changed)
    with strict_rules():
        strict = batches(problem=fresh(), **changed)
    np.testing.assert_array_equal(strict.final_loss, as_usual.final_loss)


def test_other_doors_open_under_strict_rules():
    valley = fresh(loss=lambda w: w @ w, data=None, held_out=None, optimum=0.0)
    with strict_rules():
        assert gdjax.compile(fresh(), batch_size=4, optimizer="adam").cost().flops > 0
        assert gdjax.check_gradient(fresh()).max_relative_error < 1e-6
        assert len(bowl(problem=valley, optimizer="newton").minima(problem=valley)) > 0
        for name in ("griewank", "digits-cnn", "cancer-hinge"):
            problem = gdjax.problems.get(name)
            vars(problem).pop("_held", None)
            gdjax.preflight(problem)  # of the network too: 1,001 starts of it are minutes of convolutions
            if name != "digits-cnn":
                gdjax.initial_loss(replace(problem, initial_loss=None))
