"""The examples run as they stand, and what they compute is what their words say."""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

import jax
import numpy as np
import pytest

import bench
import gdjax
from bench.executors import run_suite
from bench.suite import load_suite

pytestmark = pytest.mark.usefixtures("as_shipped")
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
INSTALL = "is not installed: pip install -e '.[examples]'"


def example(name: str) -> dict:
    """The names of an example, `main` among them, as `python examples/<name>` has them before it calls it."""
    return runpy.run_path(str(EXAMPLES / name))


@pytest.fixture
def own_registries(monkeypatch: pytest.MonkeyPatch) -> None:
    """What an example registers is forgotten afterwards: other tests walk the registries."""
    monkeypatch.setattr("gdjax.problems.registry.MAKERS", dict(gdjax.problems.registry.MAKERS))
    monkeypatch.setattr("gdjax.schedules.registry.KINDS", dict(gdjax.schedules.registry.KINDS))


@pytest.mark.slow
def test_a_flax_model_learns_the_digits(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("flax", reason=f"flax {INSTALL}")
    found = example("flax_model.py")["main"]()
    assert set(found) == {(schedule, rate) for schedule in ("constant", "cosine") for rate in (0.03, 0.3, 3.0)}
    # a network of this size is right in 96 to 98 of 100; one in ten is chance, which is where rate 3 leaves it
    assert min(found["constant", 0.3], found["cosine", 0.3]) > 0.95
    assert max(found["constant", 3.0], found["cosine", 3.0]) < 0.7
    said = capsys.readouterr().out.splitlines()
    assert len(said) == 6
    assert f"{found['constant', 0.3]:.1%}" in said[1] and "rate 0.3" in said[1]


@pytest.mark.slow
def test_an_equinox_model_fits_a_sine_down_to_its_noise(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("equinox", reason=f"equinox {INSTALL}")
    names = example("equinox_model.py")
    runs = names["main"]()
    x, y = names["data"]()
    noise = np.mean((np.sin(3 * x) - y) ** 2)
    constant, cosine = (runs.final_loss[runs.frame().schedule == name] for name in ("constant", "cosine"))
    assert len(constant) == len(cosine) == 16
    assert 0.9 * noise < cosine.min() and cosine.max() < 1.8 * noise, "as good as the truth, nearly; the noise stays"
    assert cosine.max() < np.median(constant), "what does not decay goes on jumping about the minimum"
    # gdjax's final loss is that of the equinox model put together again and called as equinox calls it
    for lane in (0, 17, 31):
        fitted = names["eqx"].combine(jax.tree.map(lambda leaf, lane=lane: leaf[lane], runs.params), names["FUNCTIONS"])
        assert np.mean((jax.vmap(fitted)(x) - y) ** 2) == pytest.approx(runs.final_loss[lane], rel=1e-4)
    said = capsys.readouterr().out
    assert f"{cosine.min():.4f} the best" in said and "it is 0.997" in said


def test_a_loss_of_ones_own_is_robust_and_decays_are_compared(own_registries: None,
                                                              capsys: pytest.CaptureFixture[str]) -> None:
    best = example("my_loss.py")["main"]().set_index("schedule")
    assert set(best.index) == {"constant", "half_sine", "one_cycle", "inverse_time(decay=20)"}
    assert best.median_steps.is_monotonic_increasing, "soonest first"
    decays = best.drop(index="constant")
    assert (decays.arrived >= 0.5).all() and np.isfinite(decays.median_steps).all()
    said = capsys.readouterr().out
    slope, intercept = (float(part) for part in said.split("the line is ")[1].split(";")[0].split(" x "))
    assert abs(slope - 2) < 0.1 and abs(intercept + 1) < 0.2, "outliers in one of ten points hardly move it"
    assert "half_sine" in gdjax.schedules.names() and "robust-line" in gdjax.problems.names()


@pytest.mark.slow
def test_a_suite_with_a_problem_of_ones_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(EXAMPLES / "suite_with_my_problem")
    assert run_suite(load_suite("my_suite.toml").model_copy(update={"noise_groups": 0}), tmp_path / "run", "cpu") == 0
    tables = bench.load(tmp_path / "run")
    assert [cell["status"] for cell in tables.run["cells"]] == ["finished"] * 4
    problem = example("suite_with_my_problem/my_module.py")["make_problem"]()
    features, y = problem.data
    residual = y - features @ problem.minimizer
    assert problem.optimum == pytest.approx(np.mean(residual**2))
    assert features.T @ residual == pytest.approx(np.zeros(4), abs=1e-10), "normal equations: it is the optimum"
    reported = tables.hits[tables.hits.split == "reported"]
    assert reported[reported.gap == 0.1].hit.all(), "a convex problem with a tuned rate gets within a tenth of the gap"
    assert "cubic-through-sine on cpu" in (tmp_path / "run" / "report.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("name", "package"), [("flax_model.py", "flax"), ("equinox_model.py", "equinox")])
def test_without_its_package_an_example_says_what_to_install(name: str, package: str,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(SystemExit, match=rf"error: {package}: is not installed. Run: pip install -e '.\[examples\]'"):
        example(name)
