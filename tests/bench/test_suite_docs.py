"""The page about suites tells every key with its default, and its example is a suite."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from bench.suite import Override, Suite, suite_from

PAGE = (Path(__file__).parents[2] / "docs/suites.md").read_text(encoding="utf-8")


def test_every_key_stands_there_with_its_default() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+?) \|", PAGE, flags=re.MULTILINE))
    assert set(rows) == set(Suite.model_fields) - {"problem"}, "which has a section of its own"
    for name, told in rows.items():
        field = Suite.model_fields[name]
        if name in ("name", "problems", "batch_sizes", "schedules"):
            assert told == "needed"
        elif field.default is None:
            assert told == "none"
        else:
            assert tomllib.loads(f"x = {told.strip('`')}") == {"x": field.default}, name


def test_what_a_problem_may_have_of_its_own_is_told() -> None:
    _, _, section = PAGE.partition("## What one problem has of its own")
    section, _, _ = section.partition("## ")
    assert set(re.findall(r"`(\w+)`", section)) == set(Override.model_fields)


def test_the_example_is_a_suite() -> None:
    text, = re.findall(r"```toml\n(.*?)```", PAGE, flags=re.DOTALL)
    suite = suite_from(tomllib.loads(text))
    assert suite.schedules[2:] == ["cosine(warmup=0.1)", "inverse_time(decay=20)"]
    assert suite.settings_for("my_module:make_problem").targets == [0.5, 0.2]
