"""`python -m bench list`: everything that is registered, readable at any width, and the picture of the schedules."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from matplotlib.figure import Figure
from matplotlib.image import imread

import gdjax
from bench import cli as command_line
from bench import listing, schedule_plot


def call(*arguments: str) -> tuple[int, str]:
    """Exit code, and stdout and stderr together."""
    done = CliRunner().invoke(command_line.cli, ["list", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


@pytest.fixture(scope="module")
def figure() -> Figure:
    return schedule_plot.schedule_figure()


def test_everything_that_is_registered_is_listed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    code, said = call()
    assert code == 0
    lines = said.splitlines()
    assert max(map(len, lines)) <= 80
    first = [line.split()[0] for line in lines if line.startswith("  ") and line[2] != " "]
    problems = [name for names in list(listing.sections().values())[:2] for name in names]
    assert sorted(problems) == gdjax.problems.names()
    claims = [name.split()[0] for name in listing.sections()["claims"]]
    suites = ["full", "quick", "smoke", "textbook"]
    names = [*gdjax.schedules.names(), *gdjax.optimizers.names()]
    assert [word for word in first if not word.isdigit()] == [*problems, *names, *suites]
    assert claims == [str(number) for number in range(1, 17)]
    assert all(f" {number} " in said for number in claims)
    assert f"schedules ({len(gdjax.schedules.names())}):" in lines


@pytest.mark.parametrize("width", [20, 40, 80, 200])
def test_no_line_is_wider_than_the_terminal_and_no_word_is_lost(width: int) -> None:
    text = "a loss of one example with a rather long explanation that no terminal holds in a line, " * 3
    entries = {"x": text, "a-name-as-long-as-a-user-may-choose": text, "empty": ""}
    lines = listing.lines("problems", entries, width)
    # a name is never broken, so that it can be copied
    assert all(len(line) <= min(width, 120) or line.strip() in entries for line in lines)
    wanted = " ".join(["problems (3):", *(f"{name} {entries[name]}" for name in entries)])
    assert " ".join(lines).split() == wanted.split()


def test_the_picture_is_drawn_where_asked_with_its_svg(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    code, said = call("--schedules", "--out", str(tmp_path / "new" / "all.png"))
    assert code == 0
    assert f"picture: {tmp_path}/new/all.png and {tmp_path}/new/all.svg" in said
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["all.png", "all.svg"]
    assert imread(tmp_path / "new" / "all.png").shape[1] > 1500  # pixels: small multiples that can be read
    svg = (tmp_path / "new" / "all.svg").read_text(encoding="utf-8")
    for name in gdjax.schedules.names():
        assert f">{name}<" in svg
        assert f"  {name}  " in said


def test_without_out_the_picture_is_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(schedule_plot, "schedule_figure", lambda: Figure(figsize=(1, 1)))
    assert "picture: schedules.png and schedules.svg" in call("--schedules")[1]
    assert (tmp_path / "schedules.png").exists() and (tmp_path / "schedules.svg").exists()


def test_every_panel_shows_its_own_schedule_with_formula_and_numbers(figure: Figure) -> None:
    assert len(figure.axes) == len(gdjax.schedules.names())
    for axes, name in zip(figure.axes, gdjax.schedules.names(), strict=True):
        title, formula, numbers = (text.get_text() for text in axes.texts)
        assert title == name
        assert formula.replace("\n", " ") == schedule_plot.formula(name) != ""
        assert numbers == schedule_plot.numbers(name)
        times, values = axes.lines[0].get_data()
        wanted = gdjax.schedules.evaluate(gdjax.schedules.get(name), np.arange(1001), 1000, 1.0)
        assert times[[0, -1]].tolist() == [0, 1] and np.array_equal(values, wanted)
        assert axes.get_xlim() == (0, 1) and axes.get_ylim()[0] == 0
    columns = figure.axes[0].get_subplotspec().get_gridspec().ncols
    for axes in figure.axes[-columns:]:
        assert axes.get_xlabel() == "share of the budget", "the lowest panel of a column has the axis"


def test_no_text_of_a_panel_reaches_into_the_next(figure: Figure) -> None:
    figure.canvas.draw()
    columns = figure.axes[0].get_subplotspec().get_gridspec().ncols
    for place, axes in enumerate(figure.axes):
        alone = (place + 1) % columns == 0 or axes is figure.axes[-1]
        right = figure.bbox.x1 if alone else figure.axes[place + 1].bbox.x0
        assert max(text.get_window_extent().x1 for text in axes.texts) < right, gdjax.schedules.names()[place]
        if place >= columns:
            assert max(text.get_window_extent().y1 for text in axes.texts) < figure.axes[place - columns].bbox.y0


def test_bars_follow_the_curve() -> None:
    assert schedule_plot.sparkline("constant", 5) == "█████"
    assert schedule_plot.sparkline("step", 6) == "███▁▁▁"
    linear = schedule_plot.sparkline("linear", 8)
    assert list(linear) == sorted(linear, reverse=True) and len(set(linear)) == 8


@pytest.mark.parametrize(("arguments", "code", "text"), [
    (["--out", "a.png"], 2, "error: --out: is for the picture of the schedules (got a.png). Add --schedules."),
    (["--schedules", "--out", "a.pdf"], 2, "error: --out: must end in .png (got a.pdf). The .svg goes beside it."),
    (["--schedules", "--out", "folder"], 2, "error: --out: must end in .png (got folder)."),
    (["--schedules", "--out", "file/a.png"], 4, "error: file/a.png: cannot be written (got "),
    (["--schedules", "--out", "folder.png"], 4, "error: folder.png: cannot be written (got Is a directory). Name "),
])
def test_a_bad_place_for_the_picture_is_said(arguments: list[str], code: int, text: str, tmp_path: Path,
                                             monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(schedule_plot, "schedule_figure", lambda: Figure(figsize=(1, 1)))
    (tmp_path / "file").touch()
    (tmp_path / "folder.png").mkdir()
    found, said = call(*arguments)
    assert found == code
    assert text in said
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "folder.png"], "nothing is left behind"
