"""A worker that hangs, aborts, raises or runs out of memory: its cell says so, the rest finishes."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from bench import store
from bench.watch import CGROUPS, Watch, oom_kills, ran_out_of_memory
from tests.faults import runs
from tests.faults.conftest import LONG, REAL, Tally, times

ODD = "tests.faults.odd_worker"
REST = "cell failed with the reason and the last lines of the log after a second try, the rest finishes"
HOW = {
    "hangs": ("worker hung: it computed nothing for", "misbehave"),
    "spins": ("worker hung: no step for", "misbehave"),
    "aborts": ("worker killed by SIGABRT", "misbehave"),
    "killed": ("worker killed by SIGKILL", ""),
    "raises": ("raised on purpose", ""),
}
REAL_TIMES = {"hangs": 2, "spins": 1, "aborts": 5, "killed": 2, "raises": 5}  # a spin is waited for for two minutes


def _statuses(folder: Path) -> dict[int, tuple[str, str]]:
    return {cell["batch_size"]: (cell["status"], cell["note"]) for cell in store.read_run(folder)["cells"]}


@pytest.mark.parametrize("trial", times(1, 5))
@pytest.mark.parametrize("fault", list(HOW) if LONG else ["hangs", "aborts"])
def test_a_worker_fails(fault: str, trial: int, folder: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULT", fault)
    with tally(f"a worker that {fault} (fast worker)".replace("that killed", "that is killed"), REST):
        assert runs.run(folder, of=runs.suite(problems=["a"], timeout_s=6.0 if fault == "hangs" else 3.0)) == 3
        found = _statuses(folder)
        assert [found[size][0] for size in (1, 13, 99)] == ["finished", "failed", "finished"]
        for word in HOW[fault]:
            assert word in found[13][1]
        assert any("trying once more" in text for text in store.read_run(folder)["warnings"])
        assert sorted(set(pd.read_parquet(folder / "lanes.parquet")["batch_size"])) == [1, 99]
        runs.no_orphans(folder)


@pytest.mark.skipif(not REAL, reason="the real worker, killed in many ways: in CI and make faults only")
@pytest.mark.parametrize(("fault", "trial"), [(fault, trial) for fault, many in REAL_TIMES.items()
                                              for trial in (range(many) if LONG else [0] * (fault != "spins"))])
def test_the_real_worker_fails(fault: str, trial: int, folder: Path, tally: Tally,
                               monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULT", fault)
    with tally(f"a worker that {fault} (real worker)".replace("that killed", "that is killed"), REST):
        assert runs.run(folder, ODD, runs.suite(runs.REAL_SUITE, timeout_s=30.0)) == 3
        found = _statuses(folder)
        assert [found[size][0] for size in (10, 100)] == ["finished", "failed"]
        for word in HOW[fault]:
            assert word in found[100][1]


@pytest.mark.skipif(not REAL, reason="the real worker twice: in CI and make faults only")
@pytest.mark.parametrize("trial", times(1, 5))
def test_memory_runs_out(trial: int, folder: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    """RLIMIT_AS in the real worker: at no width there is enough, so half of it is tried, then the cell is oom."""
    monkeypatch.setenv("FAULT", "memory")
    with tally("memory limit (RLIMIT_AS, real worker)", "oom with the width to try, the rest finishes"):
        assert runs.run(folder, ODD, runs.suite(runs.REAL_SUITE)) == 3
        found = _statuses(folder)
        assert [found[size][0] for size in (10, 100)] == ["finished", "oom"]
        assert "Try width = 4 in the suite." in found[100][1]  # 16 and 8 were tried
        assert any("memory ran out at width 16 (trying once more at 8)" in text
                   for text in store.read_run(folder)["warnings"])


@pytest.mark.parametrize("trial", times(1, 5))
def test_half_the_width_is_enough(trial: int, folder: Path, tally: Tally, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FAULT", "memory")
    monkeypatch.setenv("FAULT_WIDTH", "16")
    with tally("memory limit that half the width meets (RLIMIT_AS, real worker)", "finished, the narrower width noted"):
        assert runs.run(folder, ODD, runs.suite(runs.REAL_SUITE)) == 0
        notes = {size: note for size, (_, note) in _statuses(folder).items()}
        assert notes[10] == ""
        assert notes[100].startswith("ran at width 8, memory ran out at 16")
        memory = pd.read_parquet(folder / "memory.parquet").set_index("batch_size")
        assert memory.width.to_dict() == {10: 16, 100: 8}
        assert memory.fresh.to_dict() == {10: True, 100: False}  # only the first is of a fresh process
        assert (memory.peak_bytes >= memory.before_bytes).all()
        assert (memory.before_bytes > 50_000_000).all()  # JAX alone is more
        timing = pd.read_parquet(folder / "timing.parquet")
        widths = timing[timing.program == "batched"].groupby("batch_size").width.agg(set).to_dict()
        assert widths == {10: {16}, 100: {8}}


def test_memory_is_told_from_other_ends() -> None:
    for text in ("XlaRuntimeError: RESOURCE_EXHAUSTED: Out of memory allocating 8 bytes.", "MemoryError: ",
                 "terminate called after throwing an instance of 'std::bad_alloc'",
                 "worker killed by SIGKILL of the out-of-memory killer; nothing in the log"):
        assert ran_out_of_memory(text)
    assert not ran_out_of_memory("worker killed by SIGKILL (often: out of memory); nothing in the log")


def test_kills_for_memory_are_those_of_the_control_groups_of_this_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both versions of them: three and two."""
    files = {Path("/proc/self/cgroup"): ["0::/a", "4:memory:/b", "3:cpu:/c"],
             CGROUPS / "a" / "memory.events": ["oom 9", "oom_kill 3"],
             CGROUPS / "memory" / "b" / "memory.oom_control": ["under_oom 0", "oom_kill 2"],
             CGROUPS / "cpu" / "c" / "memory.events": ["oom_kill 7"]}
    monkeypatch.setattr("bench.watch._lines", lambda path: files.get(path, []))
    assert oom_kills() == 5


def test_a_busy_worker_may_take_long_and_an_idle_one_may_not() -> None:
    now = [0.0]
    watch = Watch(60.0, now=lambda: now[0])
    watch.heard("progress", expected_s=100.0)  # so 2,000 s are allowed
    for second in range(10, 1_990, 10):
        now[0] = second
        watch.heard("warning")  # talk is no step
        watch.beat(second * 0.9)
        assert watch.trouble() is None
    now[0] = 2_000.0
    assert watch.trouble() == "worker hung: no step for 2000 s (limit 2000 s)"
    watch.heard("group")
    assert watch.trouble() is None
    now[0] = 2_010.0
    watch.beat(1_782.0)  # as at 1,980 s
    assert watch.trouble() == "worker hung: it computed nothing for 10 s (limit 10 s)"
    watch.heard("progress")
    now[0] = 2_030.0
    watch.beat(None)  # on a GPU the processor may wait
    assert watch.trouble() is None
