"""Whatever comes in as suite, schedule, data or argument: success or a clear refusal, never a traceback."""

from __future__ import annotations

import math
import re
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

import gdjax
from bench import cli
from bench.bad_input import SuiteError
from bench.doctor import Findings
from bench.size import size_of
from bench.suite import Suite, config_hash, load_suite, shipped_suites, suite_from
from tests.bench.test_suite import FORM
from tests.faults.conftest import LONG, Tally

BOWL = gdjax.problems.get("bowl")
EXAMPLES = 400 if LONG else 25
FUZZ = settings(max_examples=EXAMPLES, deadline=None, database=None, derandomize=not LONG,
                suppress_health_check=list(HealthCheck))
FAULT = "hypothesis: {}"
SHOWN = "success or a refusal that names field, value and remedy; never a traceback"

ODD = st.one_of(st.none(), st.booleans(), st.integers(), st.integers(2**63, 2**200), st.floats(), st.text(max_size=20),
                st.sampled_from([0, -1, 2**32, 1e308, -1e308, math.nan, "all", "", "../..", "<script>", "x" * 10**6]))
DEEP = st.recursive(ODD, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner,
                                                                                   max_size=3), max_leaves=8)
NAMES = st.sampled_from(["digits-softmax", "line-fit", "bowl", "constant", "cosine", "sgd", "my_module:make", "absent"])
GOOD = {
    "name": st.just("t"), "problems": st.lists(NAMES, min_size=1, max_size=3),
    "batch_sizes": st.lists(st.integers(1, 64) | st.just("all"), min_size=1, max_size=3),
    "schedules": st.lists(NAMES, min_size=1, max_size=3), "rates": st.integers(1, 9), "seed": st.integers(0, 2**32 - 1),
    "epochs": st.floats(0.1, 1e3), "width": st.integers(1, 512), "timeout_s": st.floats(1, 1e6),
}
KEYS = st.sampled_from([*Suite.model_fields, "bathc_sizes", "__class__", ""])
CONFIGS = st.builds(lambda good, odd, drop: {key: value for key, value in (good | odd).items() if key not in drop},
                    st.fixed_dictionaries(GOOD), st.dictionaries(KEYS, DEEP, max_size=2),
                    st.sets(st.sampled_from(list(GOOD)), max_size=1) | st.just(set()))
PIECES = st.sampled_from(['name = "t"\n', 'problems = ["a"]\n', "batch_sizes = [1]\n", 'schedules = ["constant"]\n',
                          "[problem.a]\n", "seed = ", "1979-05-27T07:32:00Z\n", "[[", "{", "}", "\x00", "\r", "\ufeff",
                          "'''", '"', "=", ".", "9" * 5_000, "0x" + "f" * 3_000, "nan\n", "a." * 90, "[" * 500])
TOMLS = st.lists(PIECES | st.text(max_size=10), max_size=12).map("".join)
NUMBERS = st.one_of(st.floats(), st.floats(0, 2), st.integers(-3, 100), st.sampled_from(["0.1", None, True, [0.1]]))
MAKERS = ["constant", "exponential", "staircase", "linear", "inverse_time", "inverse_sqrt", "polynomial", "cosine",
          "step"]
ARRAYS = arrays.arrays(st.sampled_from([np.float64, np.float32, np.int64, np.bool_, np.complex64, "U3", object]),
                       arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
WORDS = st.sampled_from(["run", "report", "doctor", "list", "quick", "smoke", "--device", "cpu", "gpu", "tpu", "--out",
                         "--resume", "--force-new", "--yes", "-h", "--", "", "/proc/1", "/dev/null", "/", "absent",
                         "a" * 300, "x" * 10**6, "a\x00b", "../..", "-1", "--bathc"]) | st.text(max_size=8)


@FUZZ
@given(config=CONFIGS)
def test_suites(config: dict[str, object], tally: Tally) -> None:
    with tally(FAULT.format("suites"), SHOWN):
        try:
            suite = suite_from(config)
        except SuiteError as error:
            assert error.errors and all(FORM.match(text) and len(text) < 1_000 for text in error.errors), error.errors
        else:
            assert config_hash(suite_from(suite.config())) == config_hash(suite)
            assert size_of(suite).cells >= 1


@FUZZ
@given(text=TOMLS)
def test_suite_files(text: str, tally: Tally, tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.getbasetemp() / "fuzzed.toml"
    path.write_bytes(text.encode("utf-8", "surrogatepass"))
    with tally(FAULT.format("suite files"), SHOWN):
        try:
            load_suite(path)
        except SuiteError as error:
            assert error.errors and all(FORM.match(text) and len(text) < 1_000 for text in error.errors), error.errors


@FUZZ
@given(name=st.sampled_from(MAKERS), numbers=st.lists(NUMBERS, max_size=2), horizon=NUMBERS)
def test_schedules(name: str, numbers: list[object], horizon: object, tally: Tally) -> None:
    """What a maker takes is finite and not negative over its whole budget, or the front door names the step."""
    with tally(FAULT.format("schedules"), SHOWN):
        try:
            schedule = getattr(gdjax.schedules, name)(*numbers).over(horizon)
            factors = gdjax.schedules.evaluate(schedule, np.arange(101), 100, 10.0)
        except (ValueError, TypeError) as error:
            assert len(str(error)) < 2_000
        else:
            if not (np.isfinite(factors).all() and (factors >= 0).all()):
                with pytest.raises(ValueError, match=r"step \d+"):
                    gdjax.bgd(BOWL, rates=0.1, schedules=schedule, starts=1, key=0, max_steps=100)


@FUZZ
@given(X=ARRAYS, y=ARRAYS, classes=st.integers(-1, 4))
def test_data(X: np.ndarray, y: np.ndarray, classes: int, tally: Tally) -> None:
    """What is taken is finite, of two dimensions and as long as its labels."""
    with tally(FAULT.format("data"), SHOWN):
        try:
            features, values = gdjax.data.check_features(X, y)
        except (ValueError, TypeError) as error:
            assert re.search(r"\(got .*\)|\d", str(error), re.DOTALL)
        else:
            assert features.ndim == 2 and len(features) == len(values) >= 1
            assert np.isfinite(features).all()
        try:
            labels = gdjax.data.check_labels(y, classes)
        except (ValueError, TypeError) as error:
            assert str(error)
        else:
            assert set(np.unique(labels)) <= set(range(classes))
        try:
            problem = gdjax.Problem(name="t", loss=lambda w, e: w @ e[0], init=lambda key: np.zeros(2), data=(X, y))
        except (ValueError, TypeError) as error:
            assert "problem 't'" in str(error)
        else:
            assert problem.examples == len(X) == len(y)


@FUZZ
@given(words=st.lists(WORDS, max_size=6))
def test_command_lines(words: list[str], tally: Tally, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Exit code 0, 2 (bad input) or 4 (folder), and nothing is written outside the run that would be."""
    with tally(FAULT.format("command lines"), SHOWN), pytest.MonkeyPatch.context() as patch:
        patch.chdir(tmp_path_factory.getbasetemp())
        patch.setattr(cli, "run_suite", lambda *_, **_named: 0)
        patch.setattr(cli, "check_machine", lambda: Findings(["fine"], 0))
        done = CliRunner().invoke(cli.cli, words)
        assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
        assert done.exit_code in (0, 2, 4), done.output
        assert "Traceback" not in done.output


def test_shipped_suites_are_no_bad_input() -> None:
    """Or the refusals above would prove nothing."""
    assert all(load_suite(Path(name).name) for name in shipped_suites())
