"""A suite has cells or claims: both, neither, and what is no list of names are refused with what to do."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.bad_input import SuiteError
from bench.executors import modules_of
from bench.study.registry import known_claims
from bench.suite import config_hash, load_suite, suite_from

REFERENCE = Path(__file__).resolve().parents[3] / "results" / "reference"


def errors_of(config: dict[str, object]) -> list[str]:
    with pytest.raises(SuiteError) as caught:
        suite_from(config)
    return caught.value.errors


def test_the_textbook_suite_is_all_claims_and_nothing_of_cells() -> None:
    suite = load_suite("textbook")
    assert suite.config() == {"name": "textbook", "claims": "all", "seed": 0, "dtype": "float32",
                              "matmul_precision": "highest", "deterministic": False, "timeout_s": 3600.0}
    assert modules_of(suite.config()) == ("bench.study.worker", "bench.study.report", None)


def test_claims_by_name_lose_duplicates_with_a_note() -> None:
    suite = suite_from({"name": "t", "claims": ["b", "a", "b"]})
    assert suite.claims == ["b", "a"]
    assert suite.notes == ("claims: duplicates removed (got 'b' more than once).",)


def test_neither_cells_nor_claims_names_all_that_is_missing() -> None:
    for config in ({"name": "t"}, {"name": "t", "claims": None}):
        assert [text.split(" (")[0] for text in errors_of(config)] == [
            "problems: is needed", "batch_sizes: is needed", "schedules: is needed"]


def test_cells_beside_claims_are_refused_key_by_key() -> None:
    assert errors_of({"name": "t", "claims": "all", "problems": ["a"], "epochs": 3.0, "seed": 1}) == [
        "problems: has no place beside claims (got ['a']). Remove it, or claims.",
        "epochs: has no place beside claims (got 3.0). Remove it, or claims."]


@pytest.mark.parametrize("value", ["some", 3, True, {"a": 1}])
def test_what_is_no_list_of_claims_is_refused(value: object) -> None:
    (error,) = errors_of({"name": "t", "claims": value})
    assert error.startswith('claims: must be "all" or a list of names (got ')
    assert error.endswith('). Use claims = "all", or claims = ["NAME", ...].')


@pytest.mark.parametrize(("value", "field"), [([], "claims"), ([3], "claims[0]"), ([""], "claims[0]")])
def test_a_wrong_list_of_claims_names_its_field(value: object, field: str) -> None:
    (error,) = errors_of({"name": "t", "claims": value})
    assert error.startswith(f"{field}: must ")


@pytest.mark.parametrize("run", sorted(REFERENCE.glob("*/run.json")), ids=lambda path: path.parent.name)
def test_runs_of_cells_made_before_there_were_claims_can_go_on(run: Path) -> None:
    stored = json.loads(run.read_text(encoding="utf-8"))
    assert config_hash(suite_from(stored["config"])) == stored["config_hash"]


def test_the_sixteen_claims_are_there_by_number() -> None:
    found = known_claims()
    assert [claim.number for claim in found.values()] == list(range(1, 17))
    assert all(name == claim.name and 0 < len(name) <= 50 for name, claim in found.items())
    assert all(claim.statement.endswith(".") and claim.method for claim in found.values())
