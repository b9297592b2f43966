"""Basins of attraction: a grid that lies as the picture shows it, a calm rate, paths, words, and what is refused."""

from __future__ import annotations

import dataclasses
import io
import re
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
from click.testing import CliRunner
from matplotlib.colors import to_rgb

import gdjax
from bench import basins, basins_picture, basins_worker, picture_session
from bench import cli as command_line
from bench.picture_worker import Say
from bench.report.style import COLOURS
from tests.bench.fake_pictures import BASINS, plane

SIDE = 40
BUDGET, CONVERGED, DIVERGED = gdjax.stopping.BUDGET, gdjax.stopping.CONVERGED, gdjax.stopping.DIVERGED


def call(*arguments: str) -> tuple[int, str]:
    """Exit code, and stdout and stderr together."""
    done = CliRunner().invoke(command_line.cli, ["basins", *arguments])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.output


def find(request: basins.Request, say: Say = lambda text: None) -> basins.Basins:
    return basins_worker.find(request, basins_worker.problem_of(request, print), say)


@pytest.fixture(scope="module")
def said() -> list[str]:
    return []


@pytest.fixture(scope="module")
def found(said) -> basins.Basins:
    """Himmelblau's function from 40 × 40 starts, at a rate that is looked for."""
    return find(basins.check("himmelblau", "sgd", SIDE**2, None, 1000, None), said.append)


def at(found: basins.Basins, point: np.ndarray) -> tuple[int, int]:
    """Row and column of the start next to a point."""
    column, row = ((point - found.box[:, 0]) / (found.box[:, 1] - found.box[:, 0]) * found.side).astype(int)
    return row, column


def test_every_minimum_lies_in_its_own_basin(found):
    """The four minima and the contours are where the picture says: rows are y, columns x, both from low to high."""
    assert found.names == ("x0", "x1") and found.box.tolist() == [[-5, 5], [-5, 5]]
    minima = found.table[found.table.kind == "minimum"]
    assert minima.minimum.tolist() == [1, 2, 3, 4]
    assert minima.lanes.sum() >= SIDE**2 - 2, "all but those that a saddle holds"
    for number, point in zip(minima.minimum, found.points, strict=False):
        assert found.label[at(found, point)] == number
    assert found.points[:4] == pytest.approx(np.array([[-2.805118, 3.131312], [3, 2], [3.584428, -1.848126],
                                                       [-3.77931, -3.283186]]), abs=1e-6), "by share of starts"
    x = -5 + 10 * (np.arange(SIDE) + 0.5) / SIDE
    value = (x[None, :] ** 2 + x[:, None] - 11) ** 2 + (x[None, :] + x[:, None] ** 2 - 7) ** 2
    assert found.loss == pytest.approx(value, rel=1e-4)


def test_paths_end_where_the_colours_say(found):
    assert found.paths.shape[0] == 9
    for path in found.paths:
        assert path[0] % (5 / 3) == pytest.approx([0.37, 5 / 3 - 0.23], abs=1e-5), "off every axis of symmetry"
        near = np.linalg.norm(found.points - path[-1], axis=1)
        assert near.min() < 0.01
        around = found.label[tuple(np.clip(np.array(at(found, path[0]))[:, None] + [[-1, 0, 1]], 0, SIDE - 1))]
        assert 1 + near.argmin() in around, "a start on a border may differ from the grid's next one by a pixel"
    assert np.linalg.norm(np.diff(found.paths[:, :2], axis=1), axis=2).min() > 0, "they begin with the first step"


@pytest.mark.parametrize(("optimizer", "rate"), [("polyak_sgd", 1.0), ("momentum", 0.01)])
def test_a_path_is_that_of_the_engines_lanes(optimizer, rate):
    """Every point of it; Polyak's step goes by the optimum, here −78.3."""
    found = find(basins.check("styblinski-tang", optimizer, 9, rate, 5, None))
    problem = gdjax.problems.get("styblinski-tang")
    starts = found.paths[:, 0].astype(np.float32)
    ends = [gdjax.bgd(problem, rates=rate, starts=starts, key=0, optimizer=optimizer, max_steps=steps).params
            for steps in range(1, 6)]
    assert found.paths == pytest.approx(np.stack([starts, *ends], axis=1), rel=1e-4, abs=1e-4)


def test_it_says_what_it_does_and_found(found, said):
    assert said[0] == "himmelblau: 40 x 40 = 1,600 starts, sgd, at most 1,000 steps each"
    assert said[1] == f"rate {found.rate:g}, found by a range test" and said[2].endswith(" lane-steps run")
    lines = basins.words(found)
    first = found.table.iloc[0]
    assert lines[0] == (f"minimum 1: loss {first.loss:.4g}, {first.lanes} starts, {100 * first.share:.4g} % "
                        f"[{100 * first.share_low:.4g} %, {100 * first.share_high:.4g} %]")
    many = dataclasses.replace(found, table=pd.concat([found.table.iloc[:1]] * 12, ignore_index=True))
    assert basins.words(many)[10:] == ["and 2 more minima"]
    moving = found.table.assign(minimum=0, kind="not stationary")
    assert "not at rest" in basins.words(dataclasses.replace(found, table=moving))[-1]


def test_a_calm_rate_is_the_smallest_that_does():
    """Columns of `RATES`: the first that converges like the best; else the best of those that lose the fewest."""
    status = np.full((50, len(basins_worker.RATES)), BUDGET)
    loss = np.ones(status.shape)
    status[:40, 6], status[:, 7], status[:, 8], status[:, 9:] = CONVERGED, CONVERGED, CONVERGED, DIVERGED
    assert basins_worker.calm_rate(status, loss) == basins_worker.RATES[7] == 2e-3
    status[:20, 6:9] = BUDGET
    status[:20, 7] = DIVERGED
    status[20:, 6:9] = BUDGET
    loss[:, 8], loss[:, 5], loss[:, 7], loss[:, 9:] = 0.5, 0.7, 0.1, np.inf
    assert basins_worker.calm_rate(status, loss) == basins_worker.RATES[8], "column 7 is lower and loses lanes"
    status[:], loss[:] = DIVERGED, np.inf
    assert basins_worker.calm_rate(status, loss) == basins_worker.RATES[0], "none is any good: the smallest"


def test_two_named_parameters_of_a_problem_with_data():
    """Least squares has one minimum; the axes carry the names of the parameters."""
    request = basins.check("line-fit", "sgd", 100, 0.5, 1000, None)
    found = find(request)
    assert found.names == ("b", "w") and not found.searched
    minimizer = gdjax.problems.get("line-fit").minimizer
    assert found.points == pytest.approx(np.array([[minimizer["b"], minimizer["w"]]]), rel=1e-5)
    assert (found.label == 1).all() and found.table.share.tolist() == [1.0]
    low, high = found.box.T
    assert (low < -3).all() and (high > 3).all() and (high - low < 12).all(), "where 4,096 starts from N(0, 1) lie"


def pixels(found: basins.Basins) -> np.ndarray:
    return matplotlib.image.imread(io.BytesIO(basins_picture.draw(found)))[:, :, :3]


def colour_at(image: np.ndarray, found: basins.Basins, point: tuple[float, float]) -> np.ndarray:
    """The colour of the picture at a place of the landscape."""
    share = (np.array(point) - found.box[:, 0]) / (found.box[:, 1] - found.box[:, 0])
    x, y = 0.062 + 0.56 * share[0], 0.085 + 0.8 * share[1]
    return image[round((1 - y) * image.shape[0]), round(x * image.shape[1])]


def test_the_colour_of_a_place_is_that_of_its_minimum():
    label = np.array([[1, 2, 3], [4, 0, -1], [5, 6, 6]])
    found = plane(label, 6)
    image = pixels(found)
    assert image.shape == (1080, 1650, 3)
    expected = {number: (np.array(to_rgb(COLOURS[number - 1])) + 1) / 2 for number in range(1, 7)}
    expected |= {0: np.array(to_rgb(basins_picture.UNFINISHED)), -1: np.array(to_rgb(basins_picture.LOST))}
    for row in range(3):
        for column in range(3):
            seen = colour_at(image, found, ((column + 0.5) / 3, (row + 0.5) / 3))
            assert seen == pytest.approx(expected[int(label[row, column])], abs=1 / 255), (row, column)


def test_many_minima_are_coloured_by_their_loss():
    label = np.kron(1 + np.arange(100).reshape(10, 10), np.ones((30, 30), int))
    found = plane(label, 100)
    image = pixels(found)
    bright = [colour_at(image, found, (0.95, (row + 0.5) / 10)).mean() for row in range(10)]
    assert (np.diff(bright) > 0).all(), "the lower the darker"
    line = [colour_at(image, found, (0.95, 0.1 + offset)).mean() for offset in (0.001, 0.002, 0.003)]
    assert max(line) == 1, "a white line parts them"


PALE = [(np.array(to_rgb(colour)) + 1) / 2 for colour in COLOURS[:2]]


@pytest.mark.parametrize(("case", "colour"), [
    ("one start", PALE[0]), ("all diverged", np.array(to_rgb(basins_picture.LOST))), ("not finite", PALE[0]),
    ("below the minimum", PALE[1])])
def test_odd_landscapes_are_drawn(found, case, colour):
    """The largest basin of each, or one of four, has its colour in the picture, not in the legend alone."""
    odd = {"one start": plane(np.array([[1]]), 1), "all diverged": plane(np.full((4, 4), -1), 0),
           "not finite": dataclasses.replace(found, loss=np.where(found.label == 1, np.inf, found.loss),
                                             paths=np.full_like(found.paths, np.nan)),
           "below the minimum": dataclasses.replace(found, loss=found.loss - 5)}[case]
    assert (np.abs(pixels(odd) - colour).max(axis=2) < 1 / 255).mean() > 0.05


def test_one_command_draws_a_picture(tmp_path, monkeypatch):
    monkeypatch.setattr(basins, "WORKER", "tests.bench.fake_pictures")
    out = tmp_path / "new folder" / "picture.png"
    code, text = call("himmelblau", "--starts", "1500", "--rate", "0.002", "--steps", "7", "--out", str(out))
    assert code == 0 and text.splitlines()[-1] == f"picture: {out}"
    request = basins.Request(problem="himmelblau", optimizer="sgd", side=39, rate=0.002, steps=7, out=out)
    assert text.splitlines()[0] == repr(request), "39² is the first square of at least 1,500"
    assert out.read_bytes() == basins_picture.draw(BASINS), "the same basins give the same bytes"
    assert len(out.read_bytes()) < 400_000
    code, text = call("himmelblau", "--out", str(out))
    assert code == 0 and "side=512, rate=None" in text.splitlines()[0]


@pytest.mark.parametrize(("arguments", "text"), [
    (["--starts", "0"], "--starts: must be from 1 to 4,194,304 (got 0)."),
    (["--starts", "4194305"], "--starts: must be from 1 to 4,194,304 (got 4194305)."),
    (["--steps", "0"], "--steps: must be from 1 to 1,000,000 (got 0)."),
    (["--rate", "0"], "--rate: must be above 0 and finite (got 0.0)."),
    (["--rate", "-0.1"], "--rate: must be above 0 and finite (got -0.1)."),
    (["--rate", "nan"], "--rate: must be above 0 and finite (got nan)."),
    (["--out", "picture.jpg"], "--out: must end in .png (got 'picture.jpg')."),
    (["--out", "."], "--out: must end in .png (got '.')."),
])
def test_bad_input_is_exit_2_with_one_line_before_anything_runs(monkeypatch, arguments, text):
    monkeypatch.setattr(picture_session, "Child", None)
    code, said = call("himmelblau", *arguments)
    assert code == 2
    assert said.startswith(f"error: {text}") and len(said.splitlines()) == 1


@pytest.mark.parametrize(("problem", "optimizer", "text"), [
    ("himelblau", "sgd", "problem: unknown name (got 'himelblau'). Did you mean 'himmelblau'?"),
    ("himmelblau", "sdg", "optimizer: unknown name (got 'sdg'). Did you mean 'sgd'?"),
    ("parabola", "sgd", "PROBLEM: must have two parameters for a picture (got 'parabola with 1')."),
    ("softmax-2x3", "sgd", "PROBLEM: must have two parameters for a picture (got 'softmax-2x3 with 6')."),
])
def test_bad_names_are_refused(problem, optimizer, text):
    """With exit 2, as those of a stream: test_stream.py."""
    request = basins.check(problem, optimizer, 9, None, 10, None)
    with pytest.raises(ValueError, match=re.escape(text)):
        basins_worker.problem_of(request, print)


def test_the_reference_picture_is_small():
    path = Path(__file__).parents[2] / "results" / "reference" / "basins-himmelblau.png"
    assert path.stat().st_size < 400_000
