"""Runs over several hosts: they begin together or not at all, end together, and lose nothing that is finished.

With workers that need no jax; with real ones: test_hosts_real.py.
"""

from __future__ import annotations

import functools
import signal
import socket
import subprocess
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner

from bench import cli, hosts, store, together
from bench.bad_input import SuiteError
from bench.child import Message
from bench.executors import run_suite
from bench.follow import follow
from bench.meeting import Meeting, meeting_from
from bench.opening import check_plan, opened
from bench.store import FolderError
from bench.suite import Suite, load_suite, suite_from
from tests.bench.meetings import a_suite, ended, free_port, gone, start_fakes, until, worker_of
from tests.faults import runs

FAKE = "tests.bench.fake_hosts"


def meeting(process: int = 0, processes: int = 2, port: int | None = None, wait_s: float = 20.0) -> Meeting:
    return Meeting(name="127.0.0.1", port=port or free_port(), processes=processes, process=process, wait_s=wait_s)


def lead(of: Suite, folder: Path, at: Meeting, resume: bool = False) -> int:
    return run_suite(of, folder, "cpu", resume, reported=False, meeting=at, worker=FAKE)


class Following(threading.Thread):
    """Process 1 or more in a thread of this process."""

    def __init__(self, of: Suite, at: Meeting) -> None:
        super().__init__()
        self.code: int | None = None
        self._work = functools.partial(follow, of, "cpu", at, worker=FAKE)
        self.start()

    def run(self) -> None:
        self.code = self._work()

    def ended(self) -> int | None:
        self.join(30)
        return self.code


def together_with(of: Suite, folder: Path, other: Suite | None = None, **changes: object) -> tuple[int, int | None]:
    """Exit codes of processes 0 and 1."""
    at = replace(meeting(), **changes)  # type: ignore[arg-type]
    following = Following(other or of, replace(at, process=1))
    return lead(of, folder, at), following.ended()


def statuses(folder: Path) -> list[str]:
    return [cell["status"] for cell in store.read_run(folder)["cells"]]


def test_process_0_alone_writes_and_all_end_with_it(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert together_with(a_suite("fine"), tmp_path / "run") == (0, 0)
    assert statuses(tmp_path / "run") == ["finished"] * 3
    assert store.read_run(tmp_path / "run")["environment"]["processes"] == 2
    said = capfd.readouterr().out
    assert "process 1 of 2: follows process 0 at 127.0.0.1:" in said and "through fine" in said
    assert "process 1 of 2: ended with process 0, fine." in said
    assert together_with(a_suite("fine"), tmp_path / "run") == (4, 4)  # the folder is used: all are told
    assert "process 0 ended with exit code 4 (its folder): " in capfd.readouterr().err
    assert run_suite(a_suite("fine"), tmp_path / "run", "cpu", True, worker="tests.bench.fake_worker") == 4
    assert "processes: 2 -> 1" in capfd.readouterr().err


@pytest.mark.parametrize(("changes", "says"), [
    ({"epochs": 30.0}, "epochs: 20.0 -> 30.0"), ({"name": "other"}, "name: 'fine' -> 'other'"), ({}, "code: ")])
def test_unequal_hosts_are_refused_on_all_before_anything_runs(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], changes: dict[str, object],
        says: str) -> None:
    if not changes:
        hashes = iter("ab")
        monkeypatch.setattr(hosts.environment, "code_hash", lambda: next(hashes))
    assert together_with(a_suite("fine"), tmp_path / "run", suite_from({**a_suite("fine").config(), **changes})) == (
        2, 2)
    said = capfd.readouterr().err
    assert said.count("--coordinator: hosts differ from process 0 (got process 1 (") == 2 and said.count(says) == 2
    assert "Start the same suite with the same options, code and versions on every host." in said
    assert not (tmp_path / "run").exists()


def test_a_coordinator_that_nobody_answers_at(capfd: pytest.CaptureFixture[str]) -> None:
    at = meeting(process=1, wait_s=1.0)
    assert follow(a_suite("fine"), "cpu", at) == 5
    assert (f"--coordinator: process 0 did not answer at 127.0.0.1:{at.port} within 1 s (got Connection refused)."
            " Start it there, mend the address, or raise --wait.") in capfd.readouterr().err
    with socket.create_server(("127.0.0.1", 0)) as other:  # takes the call and says nothing
        assert follow(a_suite("fine"), "cpu", replace(at, port=other.getsockname()[1])) == 5
    assert "(got an answer that is none of process 0: silence)" in capfd.readouterr().err


def test_row_27_a_host_that_is_missing(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    at = meeting(processes=3, wait_s=1.0)
    following = Following(a_suite("fine"), replace(at, process=2))
    assert (lead(a_suite("fine"), tmp_path / "run", at), following.ended()) == (5, 5)
    said = capfd.readouterr().err
    assert said.count("--coordinator: hosts are missing after 1 s (got no process 1 of 3). Start the same command") == 2
    assert not (tmp_path / "run").exists()


def test_a_port_that_is_in_use(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        at = meeting(port=other.getsockname()[1])
        assert lead(a_suite("fine"), tmp_path / "run", at) == 2
    assert f"can't listen on its port (got {at.port}: Address already in use). Use another" in capfd.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(("second", "says"), [
    ({"process": 1}, "--process-id: process 1 is there already, on "),
    ({"process": 3, "processes": 4}, "--processes: differs from the 3 of process 0 (got 4 on ")])
def test_numbers_that_do_not_fit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str],
                                 second: dict[str, int], says: str) -> None:
    monkeypatch.setattr(hosts, "LINGER_S", 1.0)
    at = meeting(processes=3)
    both = [Following(a_suite("fine"), replace(at, process=1)), Following(a_suite("fine"), replace(at, **second))]
    assert lead(a_suite("fine"), tmp_path / "run", at) == 2
    assert [each.ended() for each in both] == [2, 2]
    assert capfd.readouterr().err.count(says) == 3


def test_strangers_at_the_port_are_no_hosts(tmp_path: Path) -> None:
    at = meeting()
    leading = threading.Thread(target=lambda: codes.append(lead(a_suite("fine"), tmp_path / "run", at)))
    codes: list[int] = []
    leading.start()
    until(lambda: _sent(at, b"GET / HTTP/1.1\r\n\r\n") and _sent(at, b'{"kind": "hello", "process": "x"}\n')
          and _sent(at, b"\xff" * 99 + b"\n" + b"[" * 99_999 + b"\n"))
    following = Following(a_suite("fine"), replace(at, process=1))
    leading.join(30)
    assert (codes, following.ended()) == ([0], 0)


def _sent(at: Meeting, words: bytes) -> bool:
    try:
        with socket.create_connection((at.name, at.port), timeout=1) as line:
            line.sendall(words)
    except OSError:
        return False
    return True


def test_where_all_hosts_fail_the_run_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert together_with(a_suite("all fail"), tmp_path / "run") == (3, 3)
    assert statuses(tmp_path / "run") == ["finished", "failed", "finished"]
    assert "process 0 ended with exit code 3 (some cells failed)." in capfd.readouterr().err


def test_where_one_host_fails_the_run_ends_in_time(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    began = time.monotonic()
    assert together_with(a_suite("one fails"), tmp_path / "run", wait_s=2.0) == (3, 3)
    assert time.monotonic() - began < 2 + 8  # the time to agree, and some to begin
    assert statuses(tmp_path / "run") == ["finished", "pending", "pending"]
    assert "was lost (got it alone failed in a.sgd.13: ValueError: on purpose)" in capfd.readouterr().err


def test_row_27_a_worker_that_dies_on_another_host(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert together_with(a_suite("one dies"), tmp_path / "run") == (3, 3)
    said = capfd.readouterr().err
    assert "error: --coordinator: process 1 (" in said and ") was lost (got worker killed by SIGKILL" in said
    assert "trying once more" not in said
    assert statuses(tmp_path / "run") == ["finished", "pending", "pending"]
    before = runs.whole_parts(tmp_path / "run")
    assert len(before) == 1


def test_a_host_without_the_device_is_named(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert together_with(a_suite("no device"), tmp_path / "run") == (5, 5)
    assert "): --device: no gpu device (got cpu). Use --device cpu." in capfd.readouterr().err


def test_workers_that_can_not_reach_each_other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
                                               capfd: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(hosts, "CAUSE_S", 0.5)
    assert together_with(a_suite("no way"), tmp_path / "run") == (5, 5)
    said = capfd.readouterr().err
    assert said.count("the workers of the hosts did not meet (got process ") == 2 and "open them between the" in said
    assert not (tmp_path / "run").exists()


def _in_the_middle(tmp_path: Path, name: str = "waits") -> list[subprocess.Popen[str]]:
    both = start_fakes(a_suite(name), tmp_path / "run")
    until(lambda: store.parts_of(tmp_path / "run") and (tmp_path / "run/run.json").exists()
          and "a.sgd.1" in runs.whole_parts(tmp_path / "run"))
    return both


@pytest.mark.parametrize("process", [0, 1])
def test_a_signal_at_any_host_stops_all(tmp_path: Path, process: int) -> None:
    both = _in_the_middle(tmp_path)
    began = time.monotonic()
    both[process].send_signal(signal.SIGINT if process else signal.SIGTERM)
    codes, said = zip(*map(ended, both), strict=True)
    assert codes == (130, 130), said
    assert time.monotonic() - began < 10
    assert statuses(tmp_path / "run") == ["finished", "pending", "pending"]
    assert "process 0 ended with exit code 130 (interrupted)" in said[1]


@pytest.mark.parametrize("process", [0, 1])
def test_row_27_a_host_that_is_killed_leaves_no_process(tmp_path: Path, process: int) -> None:
    both = _in_the_middle(tmp_path)
    workers = [worker_of(each) for each in both]
    both[process].kill()
    code, said = ended(both[1 - process])
    ended(both[process])
    assert code == 3
    assert ("has lost process 0 at 127.0.0.1:" if process == 0 else "was lost (got it ended without a word: connection "
            "closed)") in said
    assert "--resume on every host" in said
    until(lambda: all(map(gone, workers)), within_s=5)
    assert store.read_run(tmp_path / "run")["finished"] is None


def test_a_second_signal_at_a_follower_ends_it_at_once(tmp_path: Path) -> None:
    both = _in_the_middle(tmp_path)
    both[0].send_signal(signal.SIGSTOP)  # it does not answer
    both[1].send_signal(signal.SIGINT)
    time.sleep(0.5)
    began = time.monotonic()
    both[1].send_signal(signal.SIGINT)
    assert ended(both[1])[0] == 130
    assert time.monotonic() - began < 3
    both[0].kill()
    ended(both[0])


def from_options(coordinator: str | None = None, processes: int | None = None, process: int | None = None,
                 device: str = "cpu", devices: int | None = None, shard: str | None = None, executor: str = "local",
                 suite: str = "smoke", wait_s: float | None = None) -> Meeting | None:
    return meeting_from(coordinator, processes, process, wait_s, suite=load_suite(suite), device=device,
                        devices=devices, shard=shard, executor=executor)


PART = "Give --coordinator HOST:PORT, --processes N and --process-id I, or --coordinator auto alone."


@pytest.mark.parametrize(("options", "says"), [
    ({"coordinator": "h:1"}, ["--processes: is needed beside --coordinator (got nothing). " + PART,
                              "--process-id: is needed beside --coordinator (got nothing). " + PART]),
    ({"processes": 2, "process": 0}, [f"--coordinator: is needed beside --processes and --process-id (got nothing). "
                                      f"{PART}"]),
    ({"wait_s": 5.0}, ["--wait: is for --coordinator (got 5.0). Leave it out, or add --coordinator HOST:PORT."]),
    ({"coordinator": "auto", "process": 0}, ["--process-id: is not for --coordinator auto, which asks the cluster "
                                             "(got 0). Leave it out, or give --coordinator HOST:PORT."]),
    ({"coordinator": "h", "processes": 2, "process": 0},
     ["--coordinator: must be HOST:PORT of process 0, or auto (got 'h'). Use for example node1:1234."]),
    ({"coordinator": "h:99999", "processes": 2, "process": 0},
     ["--coordinator: must be HOST:PORT of process 0, or auto (got 'h:99999'). Use for example node1:1234."]),
    ({"coordinator": "h:1", "processes": 2, "process": 2},
     ["--process-id: must be from 0 to 1 (got 2). Number the 2 processes from 0, each differently."]),
    ({"coordinator": "h:1", "processes": 2, "process": -1},
     ["--process-id: must be from 0 to 1 (got -1). Number the 2 processes from 0, each differently."]),
    ({"coordinator": "h:1", "processes": 2, "process": 0, "devices": 3},
     ["--devices: must be divisible by the 2 processes (got 3). Each host gives as many."]),
    ({"coordinator": "h:1", "processes": 2, "process": 0, "shard": "1/2"},
     ["--coordinator: can't be combined with --shard (got 'h:1'). Leave out --shard."]),
    ({"coordinator": "h:1", "processes": 2, "process": 0, "executor": "dask"},
     ["--coordinator: can't be combined with --executor (got 'h:1'). Leave out --executor."]),
    ({"coordinator": "h:1", "processes": 2, "process": 0, "suite": "textbook"},
     ["--coordinator: is for suites of cells, and this is one of claims (got 'h:1'). Leave it out: claims run on one "
      "device."]),
], ids=str)
def test_options_that_do_not_fit(options: dict[str, object], says: list[str]) -> None:
    with pytest.raises(SuiteError) as caught:
        from_options(**options)  # type: ignore[arg-type]
    assert caught.value.errors == says


def test_options_that_fit() -> None:
    assert from_options() is None
    found = from_options("[::1]:1234", 2, 1, device="gpu", devices=8)
    assert found is not None
    assert (found.name, str(found), found.at(5)) == ("::1", "[::1]:1234", "[::1]:5")
    assert found.host(5).gpus == [0, 1, 2, 3]
    assert found.options == ("--coordinator=[::1]:1234", "--processes=2", "--process-id=1")


def test_the_command_line_says_what_is_wrong_with_its_options() -> None:
    done = CliRunner().invoke(cli.cli, ["run", "smoke", "--coordinator", "h:1", "--processes", "2"])
    assert done.exit_code == 2 and "error: --process-id: is needed beside --coordinator" in done.output
    done = CliRunner().invoke(cli.cli, ["run", "smoke", "--wait", "5"])
    assert done.exit_code == 2 and "error: --wait: is for --coordinator" in done.output


def test_what_the_cluster_says_is_asked_of_jax(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"JOB_ID": "12", "STEP_NODELIST": "node[7-9]", "NTASKS": "3", "LOCALID": "0"}.items():
        monkeypatch.setenv(f"SLURM_{name}", value)
    with pytest.raises(SuiteError, match="Start it by srun: a shell in an allocation has half of them, or give"):
        from_options("auto")
    monkeypatch.setenv("SLURM_PROCID", "1")
    found = from_options("auto")
    assert found is not None
    assert (str(found), found.processes, found.process, found.gpus) == ("node7:61452", 3, 1, (0,))


def test_hosts_with_other_data_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "everyone", lambda mine: [mine, mine, '{"p": {"examples": 9, "data_sha256": "b"}}'])
    assert together.unlike({"p": {"examples": 9, "data_sha256": "a"}}) == [
        "problems.p.data_sha256: process 2 has another than process 0 (got 'b', process 0 has 'a'). Give all hosts the "
        "same code of yours, the same data and the same kind of processor."]


def test_all_devices_are_as_many_after_a_resume(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    run = opened(a_suite("fine", devices="all"), tmp_path / "run", "cpu", resume=False, processes=2)
    run["environment"]["device_count"] = 4
    message: Message = {"problems": {}, "environment": {"device_count": 6}}
    with pytest.raises(FolderError, match=r"the devices that share the lanes changed \(got 6, was 4\)"):
        check_plan(tmp_path / "run", run, message)


@pytest.mark.parametrize("devices", ["some", 0, 10_001, True, 1.5])
def test_devices_of_a_suite_are_a_number_or_all(devices: object) -> None:
    small = a_suite("fine").config()
    assert suite_from({**small, "devices": "all"}).devices == "all"
    with pytest.raises(SuiteError, match='devices: must be a whole number from 1 to 10000, or "all"'):
        suite_from({**small, "devices": devices})
