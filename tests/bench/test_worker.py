"""The real worker, end to end: tables that agree with each other, errors before anything runs, resume."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bench
import gdjax
from bench import environment, experiment, worker
from bench.executors import run_suite
from bench.folder_check import check_run
from bench.speaker import Stopped
from bench.suite import Suite, load_suite, suite_from
from tests.once import made_once

SMALL = {
    "name": "small", "problems": ["line-fit", "tests.bench.user_problem:make_problem"], "batch_sizes": [10, "all"],
    "schedules": ["constant", "inverse_time"], "rates": 3, "horizons": [0.5, 1.0], "tuning_starts": 2, "starts": 5,
    "gaps": [0.1, 0.01], "epochs": 20.0, "min_steps": 40, "marks": 8, "width": 16, "repeats": 2, "min_sample_s": 0.002,
    "noise_groups": 2, "noise_processes": 1, "widenings": 0,
    "problem": {"tests.bench.user_problem:make_problem": {"batch_sizes": ["all"]}},
}


def small(**changes: object) -> Suite:
    return suite_from({**SMALL, **changes})


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    def make(folder: Path) -> None:
        assert run_suite(small(), folder, "cpu") == 0

    return made_once(tmp_path_factory, "finished", make)


def test_every_cell_is_finished_and_every_lane_is_there(finished: Path) -> None:
    tables = bench.load(finished)
    assert {cell["status"] for cell in tables.run["cells"]} == {"finished"}
    assert len(tables.run["cells"]) == 3 * 2  # groups x schedules
    tuning = tables.lanes[tables.lanes.split == "tuning"]
    # equal tuning: 3 rates x 2 horizons x 2 starts for each schedule, the constant one too
    assert set(tuning.groupby(["problem", "batch_size", "schedule"]).size()) == {12}
    reported = tables.lanes[tables.lanes.split == "reported"]
    assert set(reported.groupby(["problem", "batch_size", "schedule", "horizon", "rate"]).size()) == {5}
    assert set(tables.lanes.status) <= {"diverged", "converged", "target", "stalled", "budget"}


def test_lane_steps_of_a_group_are_kept_with_its_memory(finished: Path) -> None:
    tables = bench.load(finished)
    group = ["problem", "optimizer", "batch_size"]
    kept = tables.memory.set_index(group)
    needed = tables.lanes.groupby(group).steps.sum()  # of tuning and report
    assert kept.lane_steps_needed.sort_index().tolist() == needed.sort_index().tolist()
    assert (kept.lane_steps_run >= kept.lane_steps_needed).all() and (kept.lane_steps_run % 16 == 0).all()
    told = pd.read_csv(finished / "timing.csv").set_index(group)
    assert told.lane_steps_run.sort_index().tolist() == kept.lane_steps_run.sort_index().tolist()


def test_tuning_and_reported_starts_differ(finished: Path) -> None:
    lanes = bench.load(finished).lanes
    ended = lanes[(lanes.problem == "square") & (lanes.best_loss > 0)]
    losses = ended.groupby("split").best_loss.agg(set)
    assert min(map(len, losses)) > 2
    assert not losses["tuning"] & losses["reported"]  # of the same start with the same setting they would be the same


def test_chosen_settings_have_the_lowest_tuning_ert(finished: Path) -> None:
    tables = bench.load(finished)
    tuning = tables.hits[tables.hits.split == "tuning"]
    spent = tuning.groupby(["problem", "batch_size", "schedule", "horizon", "rate", "target"]).agg(
        spent=("steps_spent", "sum"), hits=("hit", "sum"))
    ert = (spent.spent / spent.hits.where(spent.hits > 0)).fillna(np.inf)
    best = ert.groupby(["problem", "batch_size", "schedule", "target"]).min()
    chosen = tables.chosen.set_index(["problem", "batch_size", "schedule", "target"]).tuning_ert
    assert len(chosen) == 3 * 2 * 2
    np.testing.assert_allclose(chosen.sort_index(), best.sort_index())


def test_seconds_are_steps_times_step_time(finished: Path) -> None:
    summary = pd.read_csv(finished / "summary.csv")
    hit = summary[np.isfinite(summary.steps_median)]
    assert len(hit) > 0
    np.testing.assert_allclose(hit.seconds_solo_median, hit.steps_median * hit.step_s_solo, rtol=1e-6)
    np.testing.assert_allclose(hit.seconds_batched_median, hit.steps_median * hit.step_s_batched, rtol=1e-6)
    assert (summary.compile_s > 0).all()


def test_a_sample_that_compiled_is_voided_and_none_did(finished: Path) -> None:
    timing = bench.load(finished).timing
    steps = timing[(timing.quantity == "step") & (timing.process == 0)]
    assert not steps.voided.any()
    assert set(steps.groupby(["problem", "batch_size", "program"]).size()) == {4}  # 2 warm-ups + 2 repeats
    again = timing[(timing.quantity == "step") & (timing.process == 1)]
    assert again.groupby(["problem", "batch_size"]).ngroups == 2  # A/A repeats of two groups
    assert (steps[~steps.warmup].seconds > 0).all()
    transfers = timing[timing.quantity == "transfer"]  # "square" has no data to put anywhere
    assert transfers.groupby(["problem", "batch_size"]).size().to_dict() == {("line-fit", 10): 4, ("line-fit", 100): 4}
    assert set(transfers.process) == {0}


def test_the_gradient_noise_scale_goes_along_reported_lanes_of_problems_with_data(finished: Path) -> None:
    tables = bench.load(finished)
    rows, curves = tables.noise_scale, tables.curves
    assert set(rows.problem) == {"line-fit"}  # "square" has no data
    assert rows.step.nunique() > 4 and set(rows.groupby("step").start.nunique()) == {8}
    same = ["problem", "batch_size", "schedule", "horizon", "rate", "start", "step"]
    both = rows.merge(curves[curves.split == "reported"], on=same)
    assert both.step.nunique() > 2 and set(both.start) == {0, 1, 2, 3, 4}
    np.testing.assert_allclose(both.loss_x, both.loss_y, rtol=1e-5)
    assert tables.run["problems"]["line-fit"]["noise_scale"]  # type: ignore[index]
    assert not tables.run["problems"]["square"]["noise_scale"]  # type: ignore[index]


def test_doctor_tells_of_a_missing_noise_scale_and_the_run_is_whole_without_it(
        finished: Path, tmp_path: Path) -> None:
    assert "gradient noise scale of 1 of 1 problems" in check_run(finished).lines
    folder = tmp_path / "without"
    shutil.copytree(finished, folder)
    shutil.rmtree(folder / "parts" / "line-fit.gradients")
    (folder / "noise_scale.parquet").unlink()
    found = check_run(folder)
    assert found.code == 0
    assert "gradient noise scale of 0 of 1 problems (--resume measures the others)" in found.lines
    assert len(bench.load(folder).noise_scale) == 0


def test_the_report_opens_with_an_answer_per_problem(finished: Path) -> None:
    text = (finished / "report.md").read_text()
    assert text.index("line-fit on cpu") < text.index("## ")
    assert text.index("square on cpu") < text.index("## ")
    assert list((finished / "figures").glob("*.png"))


def test_a_resumed_run_equals_the_whole_one_but_for_timings(finished: Path, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    shutil.copytree(finished, folder)
    for part in ("line-fit.sgd.10", "line-fit.gradients"):
        shutil.rmtree(folder / "parts" / part)
    assert run_suite(small(), folder, "cpu", True) == 0
    for name in ("lanes", "hits", "curves", "chosen", "noise_scale"):
        pd.testing.assert_frame_equal(pd.read_parquet(folder / f"{name}.parquet"),
                                      pd.read_parquet(finished / f"{name}.parquet"))


def test_bad_names_are_refused_before_anything_runs(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Every kind of them: test_planning.py."""
    suite = small(problems=["digits-sofmax"], schedules=["cosin"], problem={})
    assert run_suite(suite, tmp_path / "run", "cpu") == 2
    shown = " ".join("".join(capfd.readouterr()).split())
    assert "Did you mean 'digits-softmax'?" in shown and "Did you mean 'cosine'?" in shown
    assert not (tmp_path / "run" / "parts").exists()


def test_row_17_a_missing_gpu_is_exit_5_with_what_was_found(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    import jax

    if jax.devices()[0].platform == "gpu":
        pytest.skip("this machine has a GPU")
    assert run_suite(small(), tmp_path / "run", "gpu") == 5
    shown = " ".join("".join(capfd.readouterr()).split())
    assert "no gpu device" in shown and "cpu" in shown.lower() and "--device cpu" in shown


def test_a_fresh_process_repeats_a_sample_as_it_was_measured_first(finished: Path) -> None:
    timing = bench.load(finished).timing
    again = timing[timing.process == 1]
    assert set(zip(again.problem, again.batch_size, strict=True)) == {("line-fit", 10), ("square", 1)}
    assert set(again.quantity) == {"step", "trace", "compile", "first_run"}
    steps = again[again.quantity == "step"]
    assert set(steps.groupby(["problem", "program"]).size()) == {2 + 2}  # warm-ups and repeats
    assert (steps.seconds > 0).all() and not steps.voided.any()
    how = ["problem", "batch_size", "program", "width", "steps"]
    first = timing[(timing.process == 0) & (timing.quantity == "step")]
    assert set(map(tuple, steps[how].to_numpy())) <= set(map(tuple, first[how].to_numpy()))
    assert "medians of 2 processes differed by at most" in (finished / "report.md").read_text()


def test_the_manifest_names_the_machine_and_the_data(finished: Path) -> None:
    run = json.loads((finished / "run.json").read_text())
    assert run["environment"]["backend"] == "cpu"
    assert run["environment"]["versions"]["jax"]
    assert len(run["problems"]["line-fit"]["data_sha256"]) == 64
    assert run["problems"]["square"]["data_sha256"] is None
    assert run["problems"]["line-fit"]["budgets"]["10"] == {"steps": 200, "epochs": 20.0}


def test_a_resume_looks_at_every_file_that_measures() -> None:
    root = Path(bench.__file__).parent
    using_jax = {f"bench/{path.name}" for path in root.glob("*.py") if not path.name.startswith("test_")
                 and re.search(r"^import (jax|gdjax)$", path.read_text(encoding="utf-8"), re.MULTILINE)}
    of_no_run = ("basins_worker", "ceilings", "growth_worker", "listing", "pilot", "schedule_plot", "stream_arms",
                 "stream_worker")
    using_jax -= {f"bench/{name}.py" for name in of_no_run}
    assert using_jax == {"bench/worker.py", "bench/experiment.py", "bench/clock.py", "bench/step_times.py",
                         "bench/device.py", "bench/tuning.py", "bench/gradient_noise.py", "bench/planning.py",
                         "bench/together.py", "bench/problems.py"}
    found = {name: list(root.parent.glob(name)) for name in environment.MEASURING}
    assert all(found.values())
    measuring = {path.relative_to(root.parent).as_posix() for paths in found.values() for path in paths}
    claims = {path.relative_to(root.parent).as_posix() for path in (root / "study").glob("claim*/**/*.py")}
    assert using_jax | claims | {"bench/study/worker.py"} <= measuring


class _Heard:
    """The parent's end of a connection, which never says anything."""

    def __init__(self) -> None:
        self.messages: list[dict[str, object]] = []
        self.send = self.messages.append

    def poll(self) -> bool:
        return False


def test_schedules_are_looked_at_over_the_budget_of_every_group_first(tmp_path: Path) -> None:
    """1 − 1.001 t is negative at the last step, t = (n − 1)/n, of budgets n > 1,001: of batch size 10 only."""

    def overshoot(rate: float = 1.001) -> gdjax.schedules.Schedule:
        """Overshoot: 1 − 1.001 t."""
        return gdjax.schedules.Schedule("overshoot", lambda t, shape: 1 - shape[0] * t, (rate,))

    gdjax.schedules.register(overshoot)
    heard = _Heard()
    try:
        suite = suite_from({**SMALL, "problems": ["line-fit"], "schedules": ["constant", "overshoot"], "epochs": 200.0,
                            "horizons": [1.0], "batch_sizes": ["all", 10], "problem": {}})
        with pytest.raises(Stopped):
            worker.Worker(heard, suite, tmp_path, set()).work("cpu", 0.0)  # type: ignore[arg-type]
    finally:
        del gdjax.schedules.KINDS["overshoot"]
    assert [(message["kind"], message["code"]) for message in heard.messages] == [("error", 2)]  # no plan, no cell
    assert re.fullmatch(r"schedules\[1\]: line-fit, batch size 10: overshoot: factors must be finite and not "
                        r"negative over the budget of 2000 steps \(got -0.0004\d+ at step 1999\)\. Change .*",
                        str(heard.messages[0]["text"]))


def test_the_look_at_the_schedules_of_quick_costs_little() -> None:
    suite = load_suite("quick")
    groups = [experiment.Group(suite, suite.settings_for(name), gdjax.problems.get(name), "sgd", int(size), "cpu")
              for name in suite.problems for size in suite.settings_for(name).batch_sizes if size != "all"]
    assert len(groups) > 5
    began = time.process_time()
    assert experiment.schedule_errors(groups) == []
    assert time.process_time() - began < 5  # 0.7 s on an idle core
