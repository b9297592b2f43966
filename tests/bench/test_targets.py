"""Targets by a pilot: what it runs, the rule, what is refused, and a suite file that stays as it is beside them."""

from __future__ import annotations

import os
import tomllib
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import jax
import numpy as np
import pytest
from click.testing import CliRunner, Result

import gdjax
from bench import cli_targets, experiment, gradient_noise, pilot, suite_file, targets
from bench.bad_input import SuiteError
from bench.cli import cli
from bench.suite import load_suite
from bench.targets import Pilot, Request
from tests.bench.fake_pilot import FACTS

SQUARE = "tests.bench.user_problem:make_problem"
SUITE = """# mine
name = "mine"
problems = ["done", "b"]  # two
batch_sizes = [1]
schedules = ["constant"]
epochs = 3
"""
LINES = ["# Pilot (python -m bench targets): of eight", "# starts", "targets = [0.2, 0.1]"]
PUT = '\n[problem."done"]\n' + "\n".join(LINES) + "\n"
SEEN = Pilot(**FACTS)  # type: ignore[arg-type]


def a_request(problem: str = "done", **changed: object) -> Request:
    return replace(targets.check(problem, "cpu", None, None, 10.0, 8, "10,40,90", 0), **changed)  # type: ignore[arg-type]


def ran(request: Request) -> list[dict[str, object]]:
    """The words of a pilot that runs in this process."""
    said: list[dict[str, object]] = []
    pilot.main(SimpleNamespace(send=said.append, poll=lambda: False), {"request": request})  # type: ignore[arg-type]
    return said


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pilot may run in this process: its device is the one there is, its warnings go to pytest as ever."""
    monkeypatch.setattr(pilot.device, "open_device", lambda *_: SimpleNamespace(trouble="", warning=""))
    monkeypatch.setattr(pilot.warnings, "showwarning", pilot.warnings.showwarning)


def test_a_pilot_tells_medians_of_its_own_starts(here) -> None:
    """BGD on x² multiplies x by 1 − 2·rate; of the rates of a range test 0.398 is the one next to ½."""
    asked = a_request(SQUARE, seed=7)
    *said, warning, done = ran(asked)
    assert any("range test" in str(word["text"]) for word in said) and "its optimum is known" in str(warning["text"])
    found = Pilot(**done["facts"])  # type: ignore[arg-type]
    assert (found.batch_size, found.rate, found.diverged, found.steps) == (1, 0.398, 0, (1, 4, 9))
    key = jax.random.fold_in(pilot.pilot_key(7), gdjax.lanes.KEY_STARTS)
    begin = np.median(np.square(gdjax.lanes.draw_starts(pilot.problem_from(SQUARE, lambda _: None), key, 8)))
    assert found.start_score == pytest.approx(begin)
    assert found.scores == pytest.approx([begin * 0.204 ** (2 * steps) for steps in (1, 4, 9)], rel=1e-4)
    assert "constant rate 0.398 (by a range test)" in " ".join(targets.lines_of(asked, found, [0.1]))


def test_no_start_of_a_pilot_is_one_of_a_suite() -> None:
    seed = jax.random.key(0)
    keys = [pilot.pilot_key(0), *(jax.random.fold_in(seed, use) for use in
                                  (experiment.TUNING, experiment.REPORTED, gradient_noise.DRAWS))]
    assert len({tuple(jax.random.key_data(key).tolist()) for key in keys}) == 4
    problem = gdjax.problems.get("bowl")
    drawn = [np.asarray(gdjax.lanes.draw_starts(problem, jax.random.fold_in(key, gdjax.lanes.KEY_STARTS), 64))
             for key in keys]
    assert len(np.unique(np.concatenate(drawn), axis=0)) == 4 * 64


@pytest.mark.parametrize(("changed", "text"), [
    ({"problem": "bowll"}, "unknown name (got 'bowll'). Did you mean 'bowl'?"),
    ({"problem": SQUARE, "batch_size": 2}, "--batch-size: square has 1 examples (got 2). Use at most 1."),
    ({"problem": SQUARE, "epochs": 2.0}, "--shares: must fall on different steps (got [1, 1, 2]). Give more --epochs"),
    ({"problem": "tests.bench.user_problem:make_trouble"}, "cannot be made (got KeyError: 'no such column')"),
])
def test_what_a_pilot_cannot_run_is_bad_input(here, changed, text) -> None:
    error = ran(replace(a_request(), **changed))[-1]
    assert (error["kind"], error["code"]) == ("error", 2)
    assert text in str(error["text"])


def test_targets_are_rounded_up_so_that_the_pilot_reached_them() -> None:
    assert targets.targets_of(a_request(), SEEN) == [0.406, 0.2, 0.101]
    falling = replace(SEEN, start_score=1e9, scores=(123456.0, 0.99951, -0.0, -4.5678e-7))
    assert targets.targets_of(a_request(), falling) == [124000.0, 1.0, 0.0, -4.56e-07]
    assert targets.rounded_up(float(np.float32(0.41))) == 0.41, "0.41 in float32 is just below: it stays"


@pytest.mark.parametrize(("changed", "text"), [
    ({"scores": (0.4, np.inf, np.inf), "diverged": 5}, "must not diverge (got 5 of 8 at rate 0.5). Give a smaller"),
    ({"scores": (2.5, 2.4, 2.3)}, "must fall from share to share (got 2.5 at the start, then 2.5, 2.4 and 2.3;"),
    ({"scores": (0.4, 0.5, 0.3)}, "Give a smaller --rate where it rises; a larger one, more --epochs, or"),
    ({"scores": (0.4, 0.2002, 0.2001)}, "when rounded up to 3 digits (got 2.5 at the start, then 0.4, 0.2002 and"),
    ({"scores": (2.499, 0.2, 0.1)}, "must still fall when rounded up"),
])
def test_a_pilot_that_gives_no_targets_is_refused(changed, text) -> None:
    with pytest.raises(ValueError, match=r"^pilot: .*Give .*--") as error:
        targets.targets_of(a_request(), replace(SEEN, **changed))
    assert text in str(error.value)


def test_the_lines_name_the_whole_rule() -> None:
    lines = targets.lines_of(a_request(seed=3, epochs=2.5, rate=0.5), SEEN, [0.406, 0.2, 0.101])
    said = " ".join(line.removeprefix("# ") for line in lines[:-1])
    assert said == (
        "Pilot (python -m bench targets): median training losses of 8 starts that no suite tunes or reports on (seed "
        "3), sgd, batch size 32, constant rate 0.5, after 10, 40 and 90 % of 2.5 epochs (step 6, 22 and 50), rounded "
        "up to 3 digits.")
    assert all(line.startswith("# ") and len(line) <= 120 for line in lines[:-1])
    assert lines[-1] == "targets = [0.406, 0.2, 0.101]"
    assert targets.header('a"b:c') == r'[problem."a\"b:c"]'


@pytest.mark.parametrize(("before", "after"), [
    (SUITE, SUITE + PUT),
    (SUITE.rstrip("\n"), SUITE + PUT),
    ("\ufeff" + SUITE, "\ufeff" + SUITE + PUT),
    (SUITE.replace("\n", "\r\n"), (SUITE + PUT).replace("\n", "\r\n")),
    (SUITE + "[problem.done]  # mine\nmin_steps = 9\n[problem.b]\nepochs = 1",
     SUITE + "[problem.done]  # mine\n" + PUT.split("\n", 2)[2] + "min_steps = 9\n[problem.b]\nepochs = 1\n"),
    (SUITE + '[ problem . "done" ]', SUITE + '[ problem . "done" ]\n' + PUT.split("\n", 2)[2]),
    (SUITE + '[targets]\nb = [\n  1.0, # "done" = [2.0]\n]\n', None),
    (SUITE.replace("epochs = 3", 'targets."b" = [1.0]\nproblem.b.epochs = 2'), None),
])
def test_everything_else_of_a_suite_file_stays(before: str, after: str | None) -> None:
    after = after or before + PUT
    assert suite_file.edited(before, "done", LINES) == after
    mended = [line.replace("0.2, 0.1", "0.4").replace("eight", "nine") for line in LINES]
    again = suite_file.edited(after, "done", mended)
    assert sorted(again) == sorted(after.replace("0.2, 0.1", "0.4").replace("eight", "nine")), "its lines are replaced"


@pytest.mark.parametrize(("old", "rest"), [
    ("targets = { done = [1.0] }\n", ""),
    ('targets."done" = [\n  1.0,  # ]\n  0.5]\n', ""),
    ("[targets]\nb = [3.0]\ndone = [1.0]\n", "[targets]\nb = [3.0]\n"),
    ("[targets]\ndone = [1.0]\n", "[targets]\n"),
    ("problem = { done = { targets = [1.0] } }\n", ""),
    ("# by hand\nproblem.done.targets = [1.0] # old\n", "# by hand\n"),
])
def test_old_targets_go_wherever_they_are(old: str, rest: str) -> None:
    assert suite_file.edited(SUITE + old, "done", LINES) == SUITE + rest + PUT


@pytest.mark.parametrize("text", [
    "problem = { done = { epochs = 2 } }\n", "problem.done.epochs = 2\n", "targets = { done = [1.0], b = [2.0] }\n"])
def test_a_layout_without_a_place_is_left_alone(text: str) -> None:
    with pytest.raises(SuiteError, match=r'--suite: has no place .* Write its table as \[problem\."done"\]'):
        suite_file.edited(SUITE + text, "done", LINES)


@pytest.fixture(autouse=True)
def _fake(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cli_targets, "WORKER", "tests.bench.fake_pilot")


def call(*arguments: object) -> Result:
    done = CliRunner().invoke(cli, ["targets", *map(str, arguments)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "suite.toml"
    path.write_text(SUITE)
    return path


def test_the_lines_alone_are_on_stdout() -> None:
    done = call("done")
    assert done.exit_code == 0
    assert done.stdout.startswith('[problem."done"]\n# Pilot (')
    assert tomllib.loads(done.stdout) == {"problem": {"done": {"targets": [0.406, 0.2, 0.101]}}}
    assert "warning: runs code of yours: float32 highest\n" in done.stderr


def test_they_are_put_into_a_suite_which_loads_as_before_but_for_them(file: Path, tmp_path: Path) -> None:
    """Written aside and renamed; a link and the rights of the file stay; not twice unless told."""
    file.write_text(SUITE + 'dtype = "float64"\nmatmul_precision = "high"\n')
    file.chmod(0o640)
    before, link = load_suite(file), tmp_path / "link.toml"
    link.symlink_to(file.name)
    done = call("done", "--suite", link)
    assert done.exit_code == 0 and "float64 high" in done.stderr and done.stderr.endswith(f"written into {link}\n")
    assert link.is_symlink() and file.stat().st_mode & 0o777 == 0o640
    assert sorted(os.listdir(tmp_path)) == ["link.toml", "suite.toml"]
    after, text = load_suite(file), file.read_text()
    assert after.settings_for("done").targets == [0.406, 0.2, 0.101]
    assert after.config() | {"problem": {}} == before.config()
    again = call("done", "--suite", file)
    assert again.exit_code == 2 and again.stderr.startswith("error: problem.done.targets: are in ")
    assert "already (got [0.406, 0.2, 0.101]). Add --force to replace them." in again.stderr
    assert call("done", "--suite", file, "--force").exit_code == 0 and file.read_text() == text


@pytest.mark.parametrize(("arguments", "text"), [
    (["done", "--suite", "quick"], "error: --suite: is a shipped suite, which stays as it is (got 'quick'). Give"),
    (["done", "--suite", suite_file.SUITES / "smoke.toml"], "error: --suite: is a shipped suite"),
    (["done", "--suite", "nowhere.toml"], "error: nowhere.toml: no such file"),
    (["stranger", "--suite", "FILE"], "error: PROBLEM: is not one of the problems of "),
    (["done", "--force"], "error: --force: replaces targets of a suite (got no --suite). Add --suite FILE."),
    (["done", "--rate", "nan"], "error: --rate: must be above 0 and finite (got nan)."),
    (["done", "--epochs", "inf"], "error: --epochs: must be above 0 and at most 1,000,000 (got inf)."),
    (["done", "--batch-size", "0"], "error: --batch-size: must be at least 1 (got 0)."),
    (["done", "--starts", "0"], "error: --starts: must be from 1 to 1,000,000 (got 0)."),
    (["done", "--seed", "-1"], "error: --seed: must be from 0 to 4,294,967,295 (got -1)."),
    (["done", "--shares", "10;40"], "error: --shares: must be percentages above 0 and at most 100"),
    (["done", "--shares", "0,nan"], "error: --shares: must be percentages above 0 and at most 100"),
])
def test_bad_input_is_exit_2_before_a_pilot_runs(file, monkeypatch, arguments, text) -> None:
    monkeypatch.setattr(cli_targets, "Child", None)
    done = call(*(file if each == "FILE" else each for each in arguments))
    assert done.exit_code == 2 and text in done.stderr and not done.stdout


@pytest.mark.parametrize(("how", "code", "text"), [
    ("flat", 3, "error: pilot: the median loss must fall from share to share"),
    ("aborts", 3, "error: pilot: did not come to its end (got pilot killed by SIGABRT"),
    ("no-memory", 3, "Try fewer --starts or a smaller --batch-size."),
    ("no-device", 5, "error: --device: no gpu device"),
    ("interrupted", 130, "stopping: nothing was written."),
])
def test_a_pilot_without_targets_writes_nothing(file: Path, how: str, code: int, text: str) -> None:
    file.write_text(SUITE.replace('"b"', f'"{how}"'))
    before = file.read_bytes()
    done = call(how, "--suite", file)
    assert (done.exit_code, done.stdout) == (code, "") and text in done.stderr
    assert file.read_bytes() == before


def test_a_few_diverged_starts_are_said() -> None:
    done = call("some-diverged")
    assert done.exit_code == 0 and "warning: 3 of 8 starts diverged at rate 0.5" in done.stderr


def test_a_file_that_changed_meanwhile_keeps_its_change(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Someone wrote targets while the pilot ran: theirs stay, and the pilot's are printed all the same."""
    theirs = SUITE + "[targets]\ndone = [1.0]\n"
    real = targets.lines_of
    monkeypatch.setattr(targets, "lines_of", lambda *given: (file.write_text(theirs), real(*given))[1])
    done = call("done", "--suite", file)
    assert done.exit_code == 2 and "are in" in done.stderr and "targets = [0.406" in done.stdout
    assert file.read_text() == theirs


def test_a_folder_that_cannot_be_written_is_said_before_the_pilot(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: Path) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(suite_file.files, "probe", full)
    monkeypatch.setattr(cli_targets, "Child", None)
    done = call("done", "--suite", file)
    assert done.exit_code == 4 and f"{file}: cannot go on (got No space left on device)" in done.stderr


def test_the_real_command_finds_targets_of_the_digits_network(monkeypatch) -> None:
    monkeypatch.setattr(cli_targets, "WORKER", "bench.pilot")
    done = call("digits-mlp", "--rate", 0.5, "--device", "cpu")
    assert done.exit_code == 0, done.output
    found = tomllib.loads(done.stdout)["problem"]["digits-mlp"]["targets"]
    assert found == pytest.approx(load_suite("quick").settings_for("digits-mlp").targets, rel=0.03), "of other starts"
