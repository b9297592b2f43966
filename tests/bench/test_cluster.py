"""A sweep over a cluster: tables as on one machine, no task stops another, refusals before anything is made."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path

import pandas
import pytest

from bench import cluster, merge, store
from bench.bad_input import SuiteError
from bench.cli import cli
from bench.cluster import Cluster, cluster_from, run_over
from bench.suite import Suite, load_suite, suite_from
from bench.task import Ended, ShardTask, environment
from tests.bench.merging import REAL, Folders, edit, into, rows, written
from tests.bench.test_shards import a_suite, go
from tests.faults import runs

FAKE_TASK = functools.partial(ShardTask, module="tests.bench.fake_task")
DASK = Cluster(executor="dask")
needs = {name: pytest.mark.skipif(importlib.util.find_spec(name) is None,
                                  reason=f"{name} is not installed (pip install 'gdjax[dask,slurm]')")
         for name in ("distributed", "submitit")}


def over(folder: Path, shards: int = 2, *, suite: Suite | None = None, device: str = "cpu", resume: bool = False,
         report: bool = True, cluster: Cluster = DASK) -> int:
    """Exit code of a sweep of the suite `quick`, or of another."""
    arguments = ["run", "quick", "--device", device]
    return run_over(cluster, suite or load_suite("quick"), device, arguments, folder, shards, resume, report)


def here(monkeypatch: pytest.MonkeyPatch, work: Callable[[int, ShardTask], Ended]) -> list[tuple[str, ...]]:
    """A cluster that runs each task at once, by a function of its number; returns the arguments of the tasks."""
    seen: list[tuple[str, ...]] = []

    def submit(tasks: Sequence[ShardTask]) -> list[Future[Ended]]:
        futures = []
        for number, task in enumerate(tasks, start=1):
            seen.append(task.arguments)
            future: Future[Ended] = Future()
            try:
                future.set_result(work(number, task))
            except Exception as error:
                future.set_exception(error)
            futures.append(future)
        return futures

    @contextlib.contextmanager
    def opened(*_: object) -> Iterator[tuple[cluster.Submit, str]]:
        yield submit, "a fake cluster"

    monkeypatch.setattr(cluster, "opened", opened)
    return seen


def merged(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """Merges asked for, by the names of their folders; none is done."""
    found: list[list[str]] = []

    def merge(folders: Sequence[Path], out: Path, *, report: bool) -> int:
        found.append([*(folder.name for folder in folders), *([] if report else ["no report"])])
        return 0

    monkeypatch.setattr(cluster, "merge_folders", merge)
    return found


def test_every_shard_is_a_resumable_run_in_a_folder_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen, merges = here(monkeypatch, lambda *_: Ended(0, "fine", "h")), merged(monkeypatch)
    assert over(tmp_path / "out", 3) == 0
    assert seen == [("run", "quick", "--device", "cpu", "--resume", "--no-report", "--shard", f"{number}/3", "--out",
                     str(tmp_path / "out-shards" / f"{number}-of-3")) for number in (1, 2, 3)]
    assert merges == [["1-of-3", "2-of-3", "3-of-3"]]
    assert over(tmp_path / "other", 1, report=False) == 0
    assert merges[1:] == [["1-of-1", "no report"]]


@pytest.mark.parametrize(("codes", "result", "merges"), [
    ((0, 3, 0), 0, 1),  # failed cells are merged; the merge says what is missing
    ((0, 5, 5), 5, 0), ((4, 2, 0), 3, 0), ((0, -9, 0), 3, 0)], ids=str)
def test_a_shard_that_cannot_go_on_stops_no_other_and_keeps_the_merge_for_later(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], codes: tuple[int, ...],
        result: int, merges: int) -> None:
    seen = here(monkeypatch, lambda number, _: Ended(codes[number - 1], f"word {number}", f"host{number}"))
    found = merged(monkeypatch)
    assert over(tmp_path / "out", 3) == result
    said = "".join(capfd.readouterr())
    assert len(seen) == 3 and len(found) == merges
    assert all(f"shard {number}/3 on host{number}: " in said and f"word {number}" in said for number in (1, 2, 3))
    assert ("--resume goes on" in said) == (not merges)


def test_row_27_a_task_that_the_cluster_lost_is_told_and_the_others_go_on(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    def work(number: int, _: ShardTask) -> Ended:
        if number == 1:
            raise RuntimeError("the worker is gone")
        return Ended(0, "fine", "h")

    here(monkeypatch, work)
    assert merged(monkeypatch) == []
    assert over(tmp_path / "out") == 3
    said = "".join(capfd.readouterr())
    assert "shard 1/2: exit code -1: RuntimeError: the worker is gone" in said and "shard 2/2 on h: fine" in said
    assert "1 of 2 shards could not go on" in said


def test_folders_of_another_sweep_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                              capfd: pytest.CaptureFixture[str]) -> None:
    seen = here(monkeypatch, lambda *_: Ended(0, "fine", "h"))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep me")
    assert over(tmp_path / "out", resume=True) == 4
    assert "is used already" in "".join(capfd.readouterr())
    (tmp_path / "new-shards" / "1-of-2").mkdir(parents=True)
    assert over(tmp_path / "new") == 4
    assert "holds shards already (got 1). Add --resume" in "".join(capfd.readouterr())
    assert over(tmp_path / "new", 3, resume=True) == 4
    assert "--shards: the sweep was begun with another number (got 3, was 2). Use --shards 2" in "".join(
        capfd.readouterr())
    assert not seen


def test_folders_beside_whose_names_are_no_shards_are_left_alone(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    seen, merges = here(monkeypatch, lambda *_: Ended(0, "fine", "h")), merged(monkeypatch)
    for name in ("2-of-4-old", "one-of-us", "0-of-3", "slurm"):
        (tmp_path / "out-shards" / name).mkdir(parents=True)
    assert over(tmp_path / "out") == 0
    assert len(seen) == 2 and len(merges) == 1
    (tmp_path / "out-shards" / "1-of-2").mkdir()
    assert over(tmp_path / "out", resume=True) == 0
    assert "Traceback" not in "".join(capfd.readouterr())


def test_a_sweep_that_is_merged_is_said_to_be_finished_at_resume_only(
        tmp_path: Path, shards: Folders, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    seen, out = here(monkeypatch, lambda *_: Ended(0, "fine", "h")), tmp_path / "merged"
    assert into(shards, out) == 0
    capfd.readouterr()
    for device in ("auto", "cpu"):
        assert over(out, suite=a_suite(), device=device, resume=True) == 0
        assert f"{out}: is finished and merged." in "".join(capfd.readouterr())
    assert over(out, suite=a_suite()) == 4
    assert f"error: {out}: is used already (got a merged run). Add --resume if it is this one" in capfd.readouterr().err
    assert not seen


@pytest.mark.parametrize(("suite", "device", "change", "says"), [
    (a_suite(epochs=7.0), "cpu", {}, "epochs: 20.0 -> 7.0"), (a_suite(), "gpu", {}, "device: cpu -> gpu"),
    (a_suite(), "cpu", {"code_sha256": "f" * 64}, "code: ffffffffffff -> "),
    (a_suite(), "cpu", {"cpu_model": "of the nodes"}, None)], ids=["suite", "device", "code", "processor"])
def test_a_merged_run_of_another_experiment_is_refused_with_the_difference(
        tmp_path: Path, shards: Folders, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
        suite: Suite, device: str, change: dict[str, str], says: str | None) -> None:
    """The machine that submits need not be like those that run."""
    seen, out = here(monkeypatch, lambda *_: Ended(0, "fine", "h")), tmp_path / "merged"
    assert into(shards, out) == 0
    edit(out, lambda run: run["environment"].update(change))
    assert over(out, suite=suite, device=device, resume=True) == (4 if says else 0)
    said = capfd.readouterr().err
    assert says is None or f"error: {out}: --resume: its run is another experiment (got {says}" in said
    assert not seen


@pytest.mark.parametrize("lost", ["failed", "untimed"])
def test_a_merged_run_that_lacks_cells_or_step_times_is_not_called_finished(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], lost: str) -> None:
    seen, out = here(monkeypatch, lambda *_: Ended(0, "fine", "h")), tmp_path / "merged"
    suite = a_suite("refuses" if lost == "failed" else "fine")
    folders = [tmp_path / "merged-shards" / f"{number}-of-2" for number in (1, 2)]
    for number, folder in enumerate(folders, start=1):
        assert go(folder, number, suite=suite) == (3 if lost == "failed" else 0)
        if lost == "untimed":
            shutil.rmtree(folder / "parts" / f"a.timing.{number}-of-2")
    assert into(folders, out) == 3
    capfd.readouterr()
    assert over(out, suite=suite, resume=True) == 3
    said = capfd.readouterr().out
    assert ("a.sgd.13 (failed)" if lost == "failed" else "6 of 12 cells have no step times: a.sgd.") in said
    assert f"--out {out} --resume" in said
    assert f"or move {out} away: the same command then goes on with the shards in {out}-shards." in said
    assert "finished and merged" not in said and not seen


def test_nothing_is_made_where_the_cluster_cannot_be_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                                          capfd: pytest.CaptureFixture[str]) -> None:
    for name, executor in (("distributed", "dask"), ("submitit", "slurm")):
        monkeypatch.setitem(sys.modules, name, None)
        assert over(tmp_path / "out", cluster=Cluster(executor=executor)) == 2
        said = "".join(capfd.readouterr())
        assert f"error: --executor: what {executor} needs is not installed (got" in said
        assert f"pip install 'gdjax[{executor}]'" in said
    assert not list(tmp_path.iterdir())


@needs["submitit"]
@pytest.mark.skipif(shutil.which("srun") is not None, reason="there is a SLURM here")
def test_slurm_where_there_is_none_is_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert over(tmp_path / "out", cluster=Cluster(executor="slurm")) == 2
    assert "error: --slurm: can't submit to it (got" in "".join(capfd.readouterr())
    asked = Cluster(executor="slurm", slurm={"cluster": "local", "colour": "red"})
    assert over(tmp_path / "out", cluster=asked) == 2
    assert "colour" in "".join(capfd.readouterr())
    assert not list(tmp_path.iterdir())


@needs["distributed"]
@pytest.mark.parametrize("address", ["nonsense://here", "tcp://127.0.0.1:1"])
def test_a_wrong_coordinator_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str,
                                        capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(cluster, "ANSWER_S", 1)
    assert over(tmp_path / "out", cluster=Cluster(executor="dask", scheduler=address)) == 2
    assert f"error: --scheduler: no Dask scheduler answers there (got '{address}')" in "".join(capfd.readouterr())
    assert not list(tmp_path.iterdir())


@needs["distributed"]
def test_workers_without_the_resource_are_refused(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Else several cells would share a device and their seconds would be worth nothing."""
    from distributed import LocalCluster

    with LocalCluster(n_workers=1, threads_per_worker=4, processes=False, dashboard_address=None) as plain:
        asked = Cluster(executor="dask", scheduler=plain.scheduler_address)
        assert over(tmp_path / "out", cluster=asked) == 2
    assert "no worker has the resource 'device' (got '1 workers'). Start one for each device: dask worker" in "".join(
        capfd.readouterr())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("options", "says"), [
    (("local", "tcp://a:1", (), None, None), "--scheduler: is for --executor dask"),
    (("slurm", "tcp://a:1", (), None, None), "--scheduler: is for --executor dask"),
    (("dask", None, ("a=b",), None, None), "--slurm: is for --executor slurm"),
    (("local", None, (), 4, None), "--shards: is for --executor dask or slurm"),
    (("dask", None, (), None, "1/2"), "--shard: is for --executor local"),
    (("slurm", None, ("gpu",), None, None), "--slurm: must be NAME=VALUE (got 'gpu')"),
    (("slurm", None, ("=gpu",), None, None), "--slurm: must be NAME=VALUE"),
])
def test_options_that_do_not_go_together_are_refused(options: tuple, says: str) -> None:
    with pytest.raises(SuiteError) as caught:
        cluster_from(*options)
    assert caught.value.errors[0].startswith(says)


def test_this_machine_is_no_cluster() -> None:
    assert cluster_from("local", None, (), None, None) is None
    assert cluster_from("slurm", None, ("slurm_partition=gpu", "mem_gb=4"), 3, None) == Cluster(
        executor="slurm", slurm={"slurm_partition": "gpu", "mem_gb": "4"})


def run(*arguments: str) -> int:
    with pytest.raises(SystemExit) as ended:
        cli(["run", *arguments], prog_name="python -m bench")
    return int(ended.value.code or 0)


@needs["distributed"]
def test_a_real_sweep_gives_the_tables_of_one_machine(
        tmp_path: Path, undivided: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """But for the seconds, of which test_merge compares how many there are: nothing is timed again here."""
    once = {**REAL, "noise_groups": 0}
    suite = str(written(tmp_path / "small.toml", once))
    assert load_suite(suite) == suite_from(once)
    out = tmp_path / "out"
    command = (suite, "--device", "cpu", "--executor", "dask", "--shards", "2", "--out", str(out))
    assert run(*command) == 0
    for name in ("lanes", "hits", "curves", "chosen"):
        pandas.testing.assert_frame_equal(rows(out, name), rows(undivided, name))
    assert (out / "report.html").exists() and not (tmp_path / "out-shards" / "1-of-2" / "report.html").exists()
    capfd.readouterr()
    assert run(*command, "--resume") == 0
    assert "is finished and merged" in "".join(capfd.readouterr())


@needs["submitit"]
def test_a_sweep_of_slurm_jobs_gives_the_tables_of_one_machine(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    """Of the fake worker: what a shard computes has nothing to do with who submits it."""
    reported: list[Path] = []
    monkeypatch.setattr(cluster, "ShardTask", FAKE_TASK)
    monkeypatch.setattr(merge, "write_report", lambda folder, *_: not reported.append(folder))
    out, suite = tmp_path / "out", str(written(tmp_path / "fast.toml", runs.FAST_SUITE))
    command = (suite, "--device", "cpu", "--executor", "slurm", "--slurm", "cluster=local", "--shards", "2", "--out",
               str(out))
    assert run(*command) == 0
    assert go(tmp_path / "all", None, suite=runs.suite()) == 0
    for name in ("lanes", "timing"):
        pandas.testing.assert_frame_equal(rows(out, name), rows(tmp_path / "all", name))
    assert store.read_run(out)["config"] == runs.suite().config()
    assert reported == [out] and not (tmp_path / "out-shards" / "1-of-2" / "report.md").exists()
    capfd.readouterr()
    assert run(*command, "--resume") == 0
    assert "is finished and merged" in "".join(capfd.readouterr())


@needs["distributed"]
def test_a_shard_is_timed_as_on_a_machine_without_dask() -> None:
    import distributed  # noqa: F401 - as in a worker

    given = {"MALLOC_TRIM_THRESHOLD_": "65536", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    assert environment({**given, "PATH": "/bin", "OPENBLAS_NUM_THREADS": "2"}) == {
        "PATH": "/bin", "OPENBLAS_NUM_THREADS": "2"}


@needs["distributed"]
def test_a_worker_that_is_killed_loses_no_cell_and_leaves_no_orphan(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Dask starts another and runs the task again, which goes on where its shard was."""
    from distributed import Client, LocalCluster

    monkeypatch.setenv("FAKE_WORKER_ONCE", str(tmp_path / "waits"))
    suite, folder = str(written(tmp_path / "waits.toml", {**runs.FAST_SUITE, "name": "waits"})), tmp_path / "1-of-2"
    with LocalCluster(n_workers=1, threads_per_worker=1, resources={"device": 1}, dashboard_address=None) as one, \
            Client(one) as client:
        first = FAKE_TASK(("run", suite, "--device", "cpu", "--resume", "--no-report", "--shard", "1/2", "--out",
                           str(folder)), str(Path.cwd()))
        future = client.submit(first, pure=False, resources={"device": 1})
        _until((tmp_path / "waits").exists)  # its own worker is in its last group
        before = runs.whole_parts(folder)
        parents = client.run(os.getpid)
        os.kill(next(iter(parents.values())), signal.SIGKILL)
        ended = future.result(timeout=240)
    assert ended.code == 0, ended.said
    assert len(before) == 2
    runs.nothing_lost(before, folder)
    run = store.read_run(folder)
    assert {cell["status"] for cell in run["cells"]} == {"finished"} and len(run["resumed"]) == 1


def _until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + 120
    while not holds():
        assert time.monotonic() < end, "waited for two minutes"
        time.sleep(0.05)
