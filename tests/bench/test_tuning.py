"""The grid of rates and its widening: which settings are next, that none is tuned more than another, when it ends."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import bench
import gdjax
from bench.executors import run_suite
from bench.experiment import Group, measure
from bench.size import lanes_of, size_of
from bench.suite import Suite, suite_from
from bench.tuning import grid, wider


def a_suite(**changes: object) -> Suite:
    return suite_from({"name": "x", "problems": ["line-fit"], "batch_sizes": ["all"],
                       "schedules": ["constant", "cosine"], "rates": 5, "rate_span": 100.0, "horizons": [0.5, 1.0],
                       "tuning_starts": 2, "starts": 3, "gaps": [0.1, 0.01], "epochs": 60.0, "marks": 8, "width": 16,
                       "repeats": 2, "min_sample_s": 0.001, "noise_groups": 0, **changes})


def rates_of(settings: dict[str, list[gdjax.Setting]], name: str) -> list[float]:
    return sorted({setting.rate for setting in settings[name]})


def winners(**rates: float) -> pd.DataFrame:
    return pd.DataFrame({"schedule": list(rates), "rate": list(rates.values())})


def test_what_is_next_lies_beside_the_grid_as_far_apart_as_it() -> None:
    suite = a_suite()
    tried = grid(suite, 1.0)
    np.testing.assert_allclose(rates_of(tried, "cosine"), np.geomspace(0.1, 10, 5))
    found = wider(suite, tried, winners(constant=1.0, cosine=10.0))
    np.testing.assert_allclose(rates_of(found, "cosine"), [10**1.5, 100])
    np.testing.assert_allclose(rates_of(found, "constant"), np.geomspace(10, 100, 5)[1:])
    assert {len(settings) for settings in found.values()} == {4}  # 2 rates at 2 horizons; 4 rates of the constant one
    found = wider(suite, tried, winners(constant=0.1, cosine=10.0))
    np.testing.assert_allclose(rates_of(found, "cosine"), [0.01, 10**-1.5, 10**1.5, 100])
    assert {len(settings) for settings in found.values()} == {8}


@pytest.mark.parametrize(("changes", "best"), [({}, 1.0), ({"rates": 1}, 1.0), ({"rates": [0.1, 1.0]}, 1.0)])
def test_nothing_is_next_where_winners_are_inside_or_there_is_no_grid(changes: dict[str, object], best: float) -> None:
    suite = a_suite(**changes)
    assert wider(suite, grid(suite, 1.0), winners(constant=best, cosine=best)) == {}


def test_given_rates_are_tried_and_the_constant_schedule_tries_others_between_them() -> None:
    """Three rates at three horizons are nine settings: of constant three more in each of two gaps."""
    tried = grid(a_suite(rates=[1.0, 0.01, 0.1], horizons=[0.25, 0.5, 1.0]), 7.0)
    assert {len(settings) for settings in tried.values()} == {9}
    assert rates_of(tried, "cosine") == [0.01, 0.1, 1.0]
    np.testing.assert_allclose(rates_of(tried, "constant"), np.geomspace(0.01, 1.0, 9))
    tried = grid(a_suite(rates=[0.1, 0.2, 5.4]), 7.0)  # at two horizons: of three more the widest gap has two
    assert rates_of(tried, "constant") == pytest.approx([0.1, 0.02**0.5, 0.2, 0.6, 1.8, 5.4])


def test_given_rates_are_all_where_there_is_only_the_constant_schedule() -> None:
    suite = a_suite(rates=[0.1], schedules=["constant"])
    assert [setting.rate for setting in grid(suite, 7.0)["constant"]] == [0.1]
    assert lanes_of(suite, suite.settings_for("line-fit")) == (2, 0, 3)


@pytest.mark.parametrize("changes", [
    {}, {"rates": 1}, {"rates": 1, "horizons": [0.2, 0.5, 1.0]}, {"rates": 7, "rate_span": 1.001},
    {"rates": [0.1, 0.3]}, {"rates": [0.1, 0.1 + 1e-9, 2.0], "horizons": [0.1, 0.2, 0.5, 1.0]},
    {"rates": [0.5], "horizons": [1.0]},
    {"rates": [0.1, 0.3], "schedules": ["cosine", "linear"]}, {"rates": 4, "schedules": ["constant"]}])
def test_lanes_are_counted_as_they_are_tuned(changes: dict[str, object]) -> None:
    """And no setting is there twice, or the library would drop it."""
    suite = a_suite(**changes)
    tried = grid(suite, 0.03)
    counted = lanes_of(suite, suite.settings_for("line-fit"))
    for settings in tried.values():
        assert len(set(settings)) == len(settings)
        assert len(settings) * suite.tuning_starts == counted.tuned
    for _ in range(suite.widenings):  # the most that may come: winners at both ends, each time
        low, high = ({name: end(setting.rate for setting in settings) for name, settings in tried.items()}
                     for end in (min, max))
        both = pd.concat([winners(**low), winners(**high)], ignore_index=True)
        found = wider(suite, tried, both)
        tried = {name: settings + found.get(name, []) for name, settings in tried.items()}
    for settings in tried.values():
        assert len(set(settings)) == len(settings)
        assert len(settings) * suite.tuning_starts == counted.tuned + counted.widened
    assert size_of(suite).lanes == len(suite.schedules) * sum(counted) == group_of(suite).most_lanes


def test_lanes_are_never_named_after_settings_that_did_not_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Were a setting left out, all lanes after it would bear the name of another."""
    whole = gdjax.minibatch
    monkeypatch.setattr(gdjax, "range_test", lambda *args, **kwargs: 1.0)
    monkeypatch.setattr(gdjax, "minibatch", lambda *args, settings, **more: whole(*args, settings=settings[1:], **more))
    with pytest.raises(RuntimeError, match=r"settings: not those that were given \(got 19, wanted 20\)"):
        measure(group_of(a_suite()))


def group_of(suite: Suite) -> Group:
    return Group(suite, suite.settings_for("line-fit"), gdjax.problems.get("line-fit"), "sgd", 100, "cpu")


def test_a_suite_needs_no_constant_schedule() -> None:
    """Its grid is centred where that of one with a constant schedule is."""
    alone, both = (measure(group_of(a_suite(schedules=names))) for names in (["cosine"], ["constant", "cosine"]))
    rates = [sorted(set(found.tables["lanes"].query("schedule == 'cosine' and split == 'tuning'").rate))
             for found in (alone, both)]
    assert rates[0] == rates[1] and len(rates[0]) == 5
    assert set(alone.tables["lanes"].schedule) == {"cosine"}


def test_rates_that_the_suite_gives_need_no_range_test(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gdjax, "range_test", lambda *args, **kwargs: pytest.fail("rates are given"))
    found = measure(group_of(a_suite(rates=[0.05, 0.1], schedules=["cosine"])))
    assert set(found.tables["lanes"].rate) >= {0.05, 0.1}


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_a_grid_in_the_wrong_place_is_widened_until_the_winner_is_inside(
    factor: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The best rate on a least-squares problem is known to lie near 1/λ; the range test is made to miss it."""
    true = measure(group_of(a_suite()))
    centre = float(true.tables["chosen"].rate.iloc[0])
    monkeypatch.setattr(gdjax, "range_test", lambda *args, **kwargs: centre * factor)
    found = measure(group_of(a_suite(widenings=20)))
    assert found.widened >= 1
    assert len(found.tables["lanes"]) <= group_of(a_suite(widenings=20)).most_lanes
    assert not found.tables["chosen"].edge_of_grid.any()
    assert (found.tables["chosen"].tuning_ert < 2 * true.tables["chosen"].tuning_ert).all()  # of a grid elsewhere
    tuning = found.tables["lanes"].query("split == 'tuning'")
    assert tuning.lane.is_unique
    assert not tuning.duplicated(["schedule", "horizon", "rate", "start"]).any()
    assert tuning.groupby("schedule").size().nunique() == 1  # none is tuned more than another
    assert set(tuning.groupby(["schedule", "horizon", "rate"]).size()) == {2}
    hits = found.tables["hits"].query("split == 'tuning'")
    assert len(hits) == 2 * len(tuning)
    assert set(hits.lane) == set(tuning.lane)


def test_it_ends_where_the_suite_says_and_the_flag_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gdjax, "range_test", lambda *args, **kwargs: 1e-9)
    for rounds in (0, 1):
        found = measure(group_of(a_suite(widenings=rounds)))
        assert found.widened == rounds
        assert found.tables["chosen"].edge_of_grid.all()
        tuning = found.tables["lanes"].query("split == 'tuning'")
        assert len(tuning) == 2 * (10 + 4 * rounds) * 2  # schedules x settings x starts


def test_settings_that_were_inside_are_the_same_lanes_as_without(monkeypatch: pytest.MonkeyPatch) -> None:
    """Widening adds lanes on the same starts and batches; it changes none."""
    monkeypatch.setattr(gdjax, "range_test", lambda *args, **kwargs: 1e-4)
    narrow, wide = (measure(group_of(a_suite(widenings=rounds))).tables["lanes"].query("split == 'tuning'")
                    for rounds in (0, 2))
    shared = wide.iloc[:len(narrow)].reset_index(drop=True)
    pd.testing.assert_frame_equal(shared, narrow.reset_index(drop=True))


def test_the_manifest_and_the_report_tell_of_it(tmp_path: Path) -> None:
    """A grid of two rates has nothing inside: its winners are at its ends, however often it is widened.

    All hit between marks some steps apart, where rates so near to each other do not take equally many.
    """
    suite = a_suite(rates=2, rate_span=1.01, widenings=1, gaps=[1e-3, 1e-4], epochs=3000.0)
    assert run_suite(suite, tmp_path / "run", "cpu") == 0
    tables = bench.load(tmp_path / "run")
    assert tables.run["widened"] == {"line-fit.sgd.100": 1}
    lanes = tables.lanes.query("split == 'tuning'")
    assert set(lanes.groupby(["schedule", "horizon"]).rate.nunique()["cosine"]) == {3}  # one more, at one end
    assert tables.chosen.edge_of_grid.any()
    assert "line-fit, sgd, batch size 100: constant, cosine (grid widened 1×)" in (
        tmp_path / "run" / "report.md").read_text(encoding="utf-8")
