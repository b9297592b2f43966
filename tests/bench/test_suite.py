"""Every wrong suite is refused at once, with every error, in the form path: what (got value). what to do."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import pytest

from bench.bad_input import SuiteError
from bench.size import size_of, too_long
from bench.suite import Suite, config_hash, load_suite, narrowed, shipped_suites, suite_from

# a field, its keys in quotes where they hold a colon; what is wrong; what came; what to do
FORM = re.compile(r"""^([^:"]|"([^"\\]|\\.)*")+( line \d+)?: .+ \(got .*\)\. \S.*$""", re.DOTALL)
GOOD = {"name": "t", "problems": ["digits-softmax"], "batch_sizes": [1, "all"], "schedules": ["constant"]}


def errors_of(config: dict[str, object]) -> list[str]:
    with pytest.raises(SuiteError) as caught:
        suite_from(config)
    assert all(FORM.match(text) for text in caught.value.errors), caught.value.errors
    return caught.value.errors


def errors_of_file(path: Path) -> list[str]:
    began = time.monotonic()
    with pytest.raises(SuiteError) as caught:
        load_suite(path)
    assert time.monotonic() - began < 30  # a hang, not a speed: refusals take milliseconds
    assert all(FORM.match(text) for text in caught.value.errors), caught.value.errors
    return caught.value.errors


@pytest.mark.parametrize("name", sorted(shipped_suites()))
def test_shipped_suites_load_and_round_trip(name: str) -> None:
    suite = load_suite(name)
    assert suite.name == name
    assert suite.notes == ()
    assert suite_from(json.loads(json.dumps(suite.config()))) == suite
    assert not size_of(suite).too_large


def test_quick_is_the_designs_quick() -> None:
    quick = load_suite("quick")
    assert quick.problems == ["diabetes-linear", "cancer-logistic", "digits-softmax", "digits-mlp"]
    assert quick.batch_sizes == [1, 8, 32, 128, "all"]
    assert (quick.tuning_starts, quick.starts, quick.rates) == (8, 32, 5)
    assert size_of(quick).cells == 4 * 5 * 5


@pytest.mark.parametrize(("key", "value"), [
    ("seed", -1), ("seed", 2**32), ("seed", 1.0), ("seed", True), ("seed", "0"),
    ("starts", 0), ("starts", -3), ("starts", True), ("starts", 2.5), ("tuning_starts", 0), ("min_steps", 0),
    ("epochs", 0), ("epochs", -1.0), ("epochs", float("nan")), ("epochs", float("inf")), ("epochs", True),
    ("batch_sizes", []), ("problems", []), ("schedules", []), ("horizons", []), ("gaps", []), ("rates", []),
    ("batch_sizes", [0]), ("batch_sizes", [-1]), ("batch_sizes", [1.5]), ("batch_sizes", [True]),
    ("batch_sizes", ["most"]), ("batch_sizes", 32),
    ("problems", "digits-softmax"), ("problems", [3]), ("problems", [""]), ("problems", ["x" * 1_000_000]),
    ("rates", 0), ("rates", [0.1, -0.1]), ("rates", [0.0]), ("rates", True), ("rates", "five"), ("rate_span", 0.5),
    ("rate_span", 1.0),
    ("horizons", [1.5]), ("horizons", [0.0]), ("gaps", [1.0]), ("gaps", [0.0]), ("gaps", [float("nan")]),
    ("dtype", "float16"), ("matmul_precision", "fast"), ("width", 0), ("repeats", 0), ("min_sample_s", 1e-4),
    ("marks", 1),
    ("starts", 10**4000), ("name", 7), ("name", "a\nb"), ("problem", 3), ("problem", {"digits-softmax": 3}),
    ("targets", {"digits-softmax": [float("nan")]}), ("targets", {"digits-softmax": []}),
])
def test_a_wrong_value_is_one_error_that_names_its_field(key: str, value: object) -> None:
    (error,) = errors_of(GOOD | {key: value})
    assert re.match(rf"{key}\b", error), error
    assert len(error) < 600


def test_all_errors_come_at_once() -> None:
    found = errors_of({"name": "t", "problems": ["a"], "bathc_sizes": [1], "seed": -1, "starts": 0,
                       "rates": [0.1, -2.0], "schedules": [], "problem": {"b": {"epoch": 3}}})
    assert {text.split(":")[0] for text in found} == {
        "bathc_sizes", "batch_sizes", "seed", "starts", "rates[1]", "schedules", "problem.b.epoch", "problem.b"}


def test_an_unknown_key_is_answered_with_the_closest() -> None:
    (error,) = errors_of(GOOD | {"bathc_size": 3})
    assert error.startswith("bathc_size: unknown key (got 3). Did you mean 'batch_sizes'? Known: name, problems,")
    (error,) = errors_of(GOOD | {"problem": {"digits-softmax": {"epoch": 3}}})
    assert error.startswith("problem.digits-softmax.epoch: unknown key (got 3). Did you mean 'epochs'?")


def test_a_table_of_an_absent_problem_is_answered_with_the_closest() -> None:
    (error,) = errors_of(GOOD | {"problem": {"digits-sofmax": {"epochs": 3}}})
    assert "Did you mean 'digits-softmax'?" in error
    (error,) = errors_of(GOOD | {"targets": {"bowl": [0.1]}})
    assert error.startswith("targets.bowl: is not one of this suite's problems")


@pytest.mark.parametrize(("name", "path"), [
    (":", 'targets.":"'), ("my_module:make", 'targets."my_module:make"'), ("a b", 'targets."a b"'), ("", 'targets.""'),
    ('a"b', r'targets."a\"b"'), ("digits-mlp", "targets.digits-mlp")])
def test_a_key_that_would_mislead_is_in_quotes(name: str, path: str) -> None:
    errors = errors_of({**GOOD, "targets": {name: None}})
    assert errors[0] == f"{path}: must be a list (got None). Put it in brackets: [...]."
    assert errors[1].startswith(f"{path}: is not one of this suite's problems (got ")


def test_targets_given_twice_are_refused() -> None:
    own = {"digits-softmax": {"targets": [0.2]}}
    (error,) = errors_of(GOOD | {"targets": {"digits-softmax": [0.1]}, "problem": own})
    assert error.startswith("problem.digits-softmax.targets: targets are given twice (got [0.2])")


@pytest.mark.parametrize("targets", [
    {"problem": {"digits-softmax": {"gaps": [0.01], "targets": [0.2]}}},
    {"problem": {"digits-softmax": {"gaps": [0.01]}}, "targets": {"digits-softmax": [0.2]}}])
def test_gaps_beside_targets_are_refused(targets: dict[str, object]) -> None:
    (error,) = errors_of(GOOD | targets)
    assert error.startswith("problem.digits-softmax.gaps: have no meaning beside targets (got [0.01])")
    assert suite_from(GOOD | {"gaps": [0.01], "targets": {"digits-softmax": [0.2]}})  # other problems may use them


def test_duplicates_are_removed_with_a_note() -> None:
    suite = suite_from(GOOD | {"batch_sizes": [8, "all", 8, "all", 1], "rates": [0.1, 0.1]})
    assert suite.batch_sizes == [8, "all", 1]
    assert suite.rates == [0.1]
    assert [note.split(":")[0] for note in suite.notes] == ["batch_sizes", "rates"]
    assert config_hash(suite) == config_hash(suite_from(GOOD | {"batch_sizes": [8, "all", 1], "rates": [0.1]}))


def test_overrides_are_merged_per_problem() -> None:
    suite = suite_from(GOOD | {"problems": ["a", "b", "c"], "epochs": 7, "targets": {"c": [0.3]},
                               "problem": {"a": {"epochs": 3, "batch_sizes": [2], "targets": [0.5]}}})
    own, plain, other = (suite.settings_for(name) for name in "abc")
    assert (own.epochs, own.batch_sizes, own.targets) == (3.0, [2], [0.5])
    assert (plain.epochs, plain.batch_sizes, plain.targets) == (7.0, [1, "all"], None)
    assert other.targets == [0.3]
    assert plain.budget(examples=100, batch_size=1) == 700
    assert plain.budget(examples=100, batch_size=100) == 300  # epochs alone would starve it: 7 steps


def test_the_hash_ignores_order_and_sees_values() -> None:
    suite = suite_from(GOOD)
    assert config_hash(suite) == config_hash(suite_from(dict(reversed(GOOD.items()))))
    assert config_hash(suite) == config_hash(suite_from(GOOD | {"seed": 0}))
    assert config_hash(suite) != config_hash(suite_from(GOOD | {"seed": 1}))


def test_a_narrowed_suite_keeps_what_is_asked_for_and_its_overrides() -> None:
    full = load_suite("full")
    part = narrowed(full, ["digits-mlp", "cancer-logistic"], ["sgd"])
    assert (part.problems, part.optimizers) == (["cancer-logistic", "digits-mlp"], ["sgd"])  # in the suite's order
    assert list(part.problem) == ["digits-mlp"]
    assert part.settings_for("digits-mlp") == full.settings_for("digits-mlp")
    assert narrowed(full) == full
    assert config_hash(part) != config_hash(full)


def test_a_name_that_the_suite_lacks_is_answered_with_the_closest() -> None:
    with pytest.raises(SuiteError) as caught:
        narrowed(load_suite("quick"), ["digits-softmx"], ["adam"])
    assert [error.split(":")[0] for error in caught.value.errors] == ["--problem", "--optimizer"]
    assert "Did you mean 'digits-softmax'?" in caught.value.errors[0]
    with pytest.raises(SuiteError, match="a suite of claims has none"):
        narrowed(load_suite("textbook"), ["bowl"])


def test_an_unknown_suite_is_answered_with_the_closest() -> None:
    with pytest.raises(SuiteError, match=r"suite: unknown name or file \(got 'quikc'\)\. Did you mean 'quick'\?"):
        load_suite("quikc")


def write(path: Path, text: str | bytes) -> Path:
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


GOOD_FILE = 'name = "t"\nproblems = ["a"]\nbatch_sizes = [1]\nschedules = ["constant"]\n'


def test_a_byte_order_mark_and_windows_lines_are_read(tmp_path: Path) -> None:
    suite = load_suite(write(tmp_path / "s.toml", b"\xef\xbb\xbf" + GOOD_FILE.replace("\n", "\r\n").encode()))
    assert isinstance(suite, Suite)
    assert suite.problems == ["a"]


@pytest.mark.parametrize(("content", "says"), [
    ("", "is empty"), ("# nothing\n", "is empty"),
    (GOOD_FILE + "seed = 1\nseed = 2\n", "line 6: a key or table is given twice"),
    (GOOD_FILE + "[problem.a]\n[problem.a]\n", "line 6: a key or table is given twice"),
    (GOOD_FILE + "seed = \n", "line 5: is not TOML"),
    (b'name = "\xff"\n', "is not UTF-8"),
    ("a = " + "[" * 50_000, "nested too deeply"),
    ("a = " + "{b = " * 10_000, "nested too deeply"),
    (".".join(["a"] * 30_000) + " = 1\n", "has more than 100 points"),
    ("starts = " + "9" * 60_000, "cannot be read"),
    ("x" * 1_500_000, "too large"),
    (f'name = "{"x" * 1_000_000}"', "too large"),
])
def test_a_wrong_file_is_refused_with_its_place(tmp_path: Path, content: str | bytes, says: str) -> None:
    (error,) = errors_of_file(write(tmp_path / "s.toml", content))
    assert says in error
    assert error.startswith(str(tmp_path)[:20])
    assert len(error) < 600


def test_hostile_but_well_formed_files_are_refused_in_bounds(tmp_path: Path) -> None:
    huge = errors_of_file(write(tmp_path / "hex.toml", GOOD_FILE + "starts = 0x" + "f" * 60_000))
    assert huge[0].startswith("starts: must be at most 10000000 (got an integer of 240000 bits)")
    many = errors_of_file(write(tmp_path / "keys.toml", "\n".join(f"k{i} = 1" for i in range(5_000))))
    assert len(many) <= 60
    absent = GOOD_FILE + "".join(f"[problem.p{i}]\n" for i in range(3_000))
    assert len(errors_of_file(write(tmp_path / "tables.toml", absent))) <= 60
    errors_of_file(write(tmp_path / "deep.toml", GOOD_FILE + "problem" + ".a" * 100 + " = 1\n"))


def test_what_is_no_file_is_refused(tmp_path: Path) -> None:
    assert "is a directory" in errors_of_file(tmp_path)[0]
    assert "no such file" in errors_of_file(tmp_path / "absent.toml")[0]
    assert "not a regular file" in errors_of_file(Path("/dev/zero"))[0]
    assert "cannot be read" in errors_of_file(Path("/" + "x" * 5_000 + ".toml"))[0]
    assert "cannot be read" in errors_of_file(Path("a\0b.toml"))[0]


def test_a_million_cells_are_too_large() -> None:
    axes = {"problems": [f"p{i}" for i in range(100)], "batch_sizes": list(range(1, 101)),
            "schedules": [f"s{i}" for i in range(100)]}
    size = size_of(suite_from(GOOD | axes))
    assert size.cells == 1_000_000
    assert size.too_large


def test_a_run_of_more_than_a_week_is_too_long() -> None:
    assert too_long(7 * 86_400) is None
    assert FORM.match(str(too_long(3e6)))
    assert str(too_long(3e6)).startswith("epochs: the run is very long (got at least 35 days).")


def test_lanes_are_counted_with_all_that_widening_may_add() -> None:
    """Five rates at three horizons, widened twice by two rates at both ends: 13, so 39 settings on 8 starts."""
    suite = suite_from(GOOD)
    assert (suite.rates, suite.widenings, len(suite.horizons), suite.tuning_starts, suite.starts) == (5, 2, 3, 8, 32)
    assert f"up to {2 * (39 * 8 + 3 * 32)} lanes" in str(size_of(suite))
    assert f"up to {2 * (15 * 8 + 3 * 32)} lanes" in str(size_of(suite_from(GOOD | {"widenings": 0})))
    assert size_of(suite).seconds > size_of(suite_from(GOOD | {"widenings": 0})).seconds


@pytest.mark.parametrize(("suite", "took_s"), [
    (load_suite("quick"), 196.0), (narrowed(load_suite("smoke"), ["digits-softmax"]), 34.0),
    (narrowed(load_suite("full"), ["cancer-logistic", "digits-softmax", "digits-mlp"], ["sgd"]), 1080.0)],
    ids=["quick", "a part of smoke", "full-sgd"])
def test_the_time_told_before_a_run_is_about_what_it_took_on_the_machine_of_the_readme(suite: Suite, took_s: float
                                                                                        ) -> None:
    assert took_s / 1.5 < size_of(suite).seconds < 1.5 * took_s


def test_every_part_of_the_time_is_in_what_is_told() -> None:
    """One group of one cell, 10 examples a step over 2 epochs of 1,000: 200 steps of 0.1 + 10·0.03 µs for 15·8 + 32
    lanes; 12 and 12 and 5 samples of 0.12 s; start, report, compiling; two processes that repeat two programs."""
    one = {"name": "x", "problems": ["bowl"], "batch_sizes": [10], "schedules": ["constant"], "epochs": 2.0,
           "min_steps": 1, "gaps": [0.1], "widenings": 0, "noise_groups": 1}
    lanes_s = (15 * 8 + 32) * 200 * 0.4e-6
    once = 5 + 10 + 3 + 29 * 0.12 + lanes_s
    assert size_of(suite_from(one | {"noise_groups": 0})).seconds == pytest.approx(once)
    assert size_of(suite_from(one)).seconds == pytest.approx(once + 2 * (5 + 3 + 14 * 0.12))
    assert "1 cells, up to 152 lanes, about 41 seconds, " in str(size_of(suite_from(one)))
