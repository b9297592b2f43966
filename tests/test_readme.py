"""What the README shows runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

import gdjax
from gdjax.optimizers import OPTIMIZERS
from gdjax.problems.registry import MAKERS
from gdjax.schedules.registry import KINDS
from tests.openml_stand_in import iris, openml

pytestmark = pytest.mark.usefixtures("as_shipped")
ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
RECIPES = "".join((ROOT / "docs" / name).read_text(encoding="utf-8") for name in ("cluster.md", "streaming.md"))


def block(holds: str) -> str:
    """The one Python block of the README or the recipes that holds a text, indentation of lists removed."""
    found = re.findall(r"^( *)```python\n(.*?)^ *```", README + RECIPES, flags=re.MULTILINE | re.DOTALL)
    (code,) = [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found if holds in code]
    return code


def run(holds: str, names: dict[str, object] | None = None) -> dict[str, object]:
    """The names that a block leaves behind."""
    names = {} if names is None else names
    exec(compile(block(holds), "README.md", "exec"), names)
    return names


def test_the_library_examples_run_and_reach_their_target() -> None:
    names = run("def loss(params, example)")
    runs = names["runs"]
    assert len(runs.frame()) == 64 * 6  # starts x rates x schedules
    assert runs.hits().hit.any()
    late = run("gdjax.optimizers.delayed", names)["late"]
    assert len(late.frame()) == 24


def test_many_starts_end_in_the_four_minima_of_himmelblau() -> None:
    minima = run("runs.minima()", {"gdjax": gdjax})["minima"]
    assert (minima.kind == "minimum").sum() == 4
    assert minima.share.sum() == pytest.approx(1.0)


def test_a_table_of_openml_becomes_a_problem_with_held_out_examples(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("SCIKIT_LEARN_DATA", str(tmp_path))
    with openml(iris()):
        problem = run("load_openml")["make_problem"]()
    runs = gdjax.minibatch(problem, batch_size=12, rates=0.3, starts=4, key=0, max_epochs=20)
    assert problem.examples == 120
    assert (runs.frame().accuracy > 0.8).all(), "of 30 held-out flowers"


def test_a_file_is_streamed_through_a_buffer(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    runs = run("mmap_mode")["runs"]
    assert len(runs.frame()) == 4 * 3 * 2
    assert (runs.final_loss < runs.start_loss).all()


def test_a_registered_problem_is_found_and_descends_to_its_minimum() -> None:
    try:
        run('@register("mccormick")')
        # curvatures near the minimum are between 0.8 and 4.9: rate 0.2 < 2/4.9 converges
        runs = gdjax.bgd(gdjax.problems.get("mccormick"), rates=0.2, starts=4, key=0, tolerance=1e-3, max_steps=5_000)
    finally:
        MAKERS.pop("mccormick", None)
    assert set(runs.frame().status) == {"converged"}
    assert runs.final_loss == pytest.approx(np.full(4, -1.913222954981), abs=1e-5)
    assert runs.params == pytest.approx(np.tile([-0.54719755, -1.54719755], (4, 1)), abs=1e-2)


def test_a_registered_schedule_has_its_name_and_formula() -> None:
    try:
        run("def dome")
        factors = gdjax.schedules.evaluate(gdjax.schedules.get("dome"), np.array([0, 5, 10]), 10, 1.0)
    finally:
        KINDS.pop("dome", None)
    assert factors.tolist() == [1.0, 0.75, 0.0]


def test_an_optimizer_of_ones_own_takes_its_numbers_as_lane_data() -> None:
    """A clipped step is as long as rate × norm: from far out on a bowl, one step without momentum."""
    try:
        run("def clipped")
        optimizer = gdjax.optimizers.get("clipped")
    finally:
        OPTIMIZERS.pop("clipped", None)
    start = np.array([[3.0, 4.0]], np.float32)
    runs = gdjax.bgd(gdjax.problems.get("bowl"), optimizer=optimizer, rates=0.5, starts=start, key=0, max_steps=1,
                     hyper={"norm": [0.1, 2.0], "momentum": 0.0})
    assert runs.params == pytest.approx(np.array([[2.97, 3.96], [2.4, 3.2]]), rel=1e-5)


def test_the_recipe_for_several_devices_runs_on_one() -> None:
    runs = run("starts=1_000_000")["runs"]
    assert len(runs.steps) == 1_000_000 and (runs.frame().status == "converged").mean() > 0.999


def test_the_recipe_for_data_in_parts_runs_on_one() -> None:
    runs = run("shard_examples=True")["runs"]
    assert len(runs.steps) == 32 and (runs.frame().accuracy > 0.8).all()


def test_options_that_readme_and_docs_show_are_there() -> None:
    """Each `python -m bench COMMAND --option` in them; a command's lines may go on after a backslash."""
    from bench.cli import cli

    shown = re.findall(r"^python -m bench (\w+)((?:[^#\n\\]|\\\n)*)", README + RECIPES, flags=re.MULTILINE)
    assert {"run", "merge", "list", "report", "compare"} <= {command for command, _ in shown}
    for command, rest in shown:
        known = {option for parameter in cli.commands[command].params for option in parameter.opts}
        assert set(re.findall(r"(?<!\S)--[a-z-]+", rest)) <= known, f"{command}{rest}"
