"""The gradient noise scale along a run, against least squares in float64 and against the run it goes along."""

from __future__ import annotations

from pathlib import Path

import jax
import numpy as np
import pandas as pd
import pytest

import gdjax
from bench import gradient_noise
from bench.experiment import REPORTED, Group
from bench.gradient_noise import EXACT, STARTS, TWO_BATCH, Finished, Reference, moments
from bench.suite import suite_from

SUITE = suite_from({"name": "noise", "problems": ["line-fit"], "batch_sizes": [10], "schedules": ["linear"],
                    "epochs": 8.0, "min_steps": 80, "marks": 12, "width": 16, "starts": 8, "tuning_starts": 2})


def least_squares(examples: int, dim: int = 3, seed: int = 0) -> gdjax.Problem:
    """½ (x·w − y)² of each example, all of them random."""
    random = np.random.default_rng(seed)
    data = random.normal(size=(examples, dim)) * np.arange(1, dim + 1), random.normal(size=examples)
    return gdjax.Problem(name="least-squares", data=data, init=lambda key: jax.random.normal(key, (dim,)),
                         loss=lambda w, example: 0.5 * (example[0] @ w - example[1]) ** 2)


def known(problem: gdjax.Problem, params: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """|G|² and tr(Σ) of least squares in float64, (starts,) each."""
    x, y = (np.asarray(leaf, np.float64) for leaf in problem.data)  # type: ignore[attr-defined]
    gradients = (np.asarray(params, np.float64) @ x.T - y)[:, :, None] * x  # (starts, examples, dim)
    mean = gradients.mean(axis=1)
    return (mean**2).sum(axis=1), ((gradients - mean[:, None]) ** 2).sum(axis=(1, 2)) / (len(y) - 1)


@pytest.mark.parametrize("chunk_bytes", [1, 12 * 7, 1 << 20])
def test_the_exact_moments_are_those_of_float64_whatever_the_chunk(
        chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gradient_noise, "CHUNK_BYTES", chunk_bytes)  # 1, 7 and all of the 40 examples
    problem, params = least_squares(40), np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    found, (signal, noise) = moments(problem, params, EXACT, jax.random.key(0)), known(problem, params)
    np.testing.assert_allclose(found.signal, signal, rtol=1e-4)
    np.testing.assert_allclose(found.noise, noise, rtol=1e-4)
    predictions = params @ problem.data[0].T - problem.data[1]  # type: ignore[index]
    np.testing.assert_allclose(found.loss, 0.5 * (predictions**2).mean(axis=1), rtol=1e-5)


def test_the_noisy_quadratic_has_the_noise_scale_of_the_theory() -> None:
    """|G|² = Σ hᵢ²θᵢ² and, its examples being white with divisor n, tr(Σ) = Σ cᵢ n/(n − 1)."""
    h, c, examples = np.array([1.0, 0.5, 0.1]), np.array([0.3, 2.0, 1.0]), 64
    params = np.random.default_rng(2).normal(size=(3, 3)).astype(np.float32)
    found = moments(gdjax.problems.noisy_quadratic(h, c, examples=examples), params, EXACT, jax.random.key(0))
    np.testing.assert_allclose(found.signal, (h**2 * params**2).sum(axis=1), rtol=1e-4)
    np.testing.assert_allclose(found.noise, np.full(3, c.sum() * examples / (examples - 1)), rtol=1e-4)


def test_the_two_batch_estimate_has_no_bias() -> None:
    problem, draws = least_squares(20), 4000  # two batches of 8 of the 20
    at = np.array([0.5, -0.3, 0.2], np.float32)
    signal, noise = known(problem, at[None])
    found = moments(problem, np.tile(at, (draws, 1)), TWO_BATCH, jax.random.key(0))
    np.testing.assert_allclose(found.signal, np.tile(signal, draws), rtol=1e-4)  # of all examples, so exact
    assert abs(found.noise.mean() - noise[0]) < 4 * found.noise.std() / np.sqrt(draws)
    assert found.noise.std() / np.sqrt(draws) < 0.03 * noise[0]  # with 1/B for 1/B − 1/n it were 40 % less


def test_what_is_exact_is_told_by_bytes_and_by_a_loss_per_example(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = least_squares(40)
    monkeypatch.setattr(gradient_noise, "EXACT_BYTES", 40 * 3 * 4)
    assert gradient_noise.is_exact(problem)
    monkeypatch.setattr(gradient_noise, "EXACT_BYTES", 40 * 3 * 4 - 1)
    assert not gradient_noise.is_exact(problem)
    whole = gdjax.Problem(name="whole", data=problem.data, init=problem.init,
                          batch_loss=lambda w, batch: ((batch[0] @ w - batch[1]) ** 2).mean() / 2)
    monkeypatch.undo()
    assert gradient_noise.is_exact(problem) and not gradient_noise.is_exact(whole)
    # of one problem written in two ways, the same batches have the same gradients
    params = np.ones((2, 3), np.float32)
    np.testing.assert_allclose(moments(whole, params, TWO_BATCH, jax.random.key(3)).noise,
                               moments(problem, params, TWO_BATCH, jax.random.key(3)).noise, rtol=1e-5)


@pytest.mark.parametrize(("batch_size", "horizon"), [(10, 0.5), (10, 1.0), (100, 1.0)])
def test_a_trajectory_is_that_of_the_reported_lanes(batch_size: int, horizon: float) -> None:
    """At every mark, before and after the horizon of the schedule, the loss is the one that the whole run has there."""
    problem = gdjax.problems.get("line-fit")
    group = Group(SUITE, SUITE.settings_for("line-fit"), problem, "sgd", batch_size, "cpu")
    key = jax.random.fold_in(jax.random.key(SUITE.seed), REPORTED)
    setting = gdjax.Setting(gdjax.schedules.get("linear").over(horizon), 0.3)
    runs = gdjax.minibatch(problem, batch_size=batch_size, rates=None, settings=[setting], starts=STARTS, key=key,
                           max_steps=group.steps, marks=SUITE.marks, program=group.program())
    followed = Reference(group, "linear", horizon, 0.3, group.steps)
    for mark, losses in [(0, runs.start_loss), *zip(runs.marks, runs.curve.T, strict=True)]:
        params = gradient_noise.parameters_at(followed, int(mark))
        np.testing.assert_allclose(moments(problem, params, EXACT, key).loss, losses, rtol=1e-5)


def test_rows_go_from_the_start_to_the_end_in_steps_and_a_diverged_start_has_no_noise_scale() -> None:
    group = Group(SUITE, SUITE.settings_for("line-fit"), gdjax.problems.get("line-fit"), "sgd", 10, "cpu")
    rows = gradient_noise.noise_scale_rows(Reference(group, "linear", 1.0, 0.3, 60))
    assert sorted(rows.step.unique()) == [0, 1, 2, 3, 5, 8, 13, 22, 36, 60]
    assert rows.groupby("step").start.apply(list).tolist() == [list(range(STARTS))] * 10
    np.testing.assert_allclose(rows.b_simple, rows.noise / rows.signal)
    assert set(rows.method) == {"exact"} and set(rows.examples) == {100}
    lost = gradient_noise.noise_scale_rows(Reference(group, "linear", 1.0, 1e30, 60)).groupby("step")
    assert np.isfinite(lost.loss.max()[0]) and lost.b_simple.count()[0] == STARTS
    assert np.isinf(lost.loss.min()[60]) and lost.b_simple.count()[60] == 0


def _finished(batch_size: int, chosen: list[tuple[str, float, int, float]], hits: list[tuple[str, float, float]],
              ) -> Finished:
    """A group whose settings are named by their schedule: (schedule, target, tuning_hits, tuning_ert) chosen, and
    (schedule, target, steps_after) hit."""
    group = Group(SUITE, SUITE.settings_for("line-fit"), gdjax.problems.get("line-fit"), "sgd", batch_size, "cpu")
    setting = {"batch_size": batch_size, "horizon": 1.0, "rate": 0.1}
    return Finished(
        group,
        pd.DataFrame(chosen, columns=["schedule", "target", "tuning_hits", "tuning_ert"]).assign(**setting),
        pd.DataFrame(hits, columns=["schedule", "target", "steps_after"]).assign(**setting, hit=True, split="tuning"))


def test_the_reference_is_a_moderate_batch_size_on_its_way_to_the_hardest_target() -> None:
    """Of 100 examples √n is 10; what it chose for the hardest target is nearest where it was hit by half of two."""
    tables = [
        _finished(4, [("linear", 0.1, 2, 30.0), ("linear", 0.01, 1, 90.0), ("cosine", 0.01, 2, 70.0)],
                  [("cosine", 0.01, 55.0), ("cosine", 0.01, 61.0), ("cosine", 0.1, 99.0), ("linear", 0.01, 80.0)]),
        _finished(10, [("linear", 0.1, 2, 10.0), ("linear", 0.01, 0, np.inf)], [("linear", 0.1, 12.0)]),
        _finished(100, [("linear", 0.01, 2, 5.0)], [("linear", 0.01, 7.0)])]
    found = gradient_noise.reference(tables)
    assert (found.group.batch_size, found.schedule, found.steps) == (4, "cosine", 61)
    assert gradient_noise.reference(tables[2:]).group.batch_size == 100


def test_without_a_hit_the_reference_uses_the_whole_budget_towards_the_easiest_target() -> None:
    table = _finished(10, [("linear", 0.1, 0, np.inf), ("cosine", 0.01, 0, np.inf)], [])
    found = gradient_noise.reference([table])
    assert (found.schedule, found.steps) == ("linear", table.group.steps)


def test_a_group_that_failed_is_no_reference(tmp_path: Path) -> None:
    group = _finished(10, [], []).group
    assert gradient_noise.references(tmp_path, [group]) == []
