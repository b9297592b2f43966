"""What the README shows runs as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

README = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")


def blocks() -> list[str]:
    """The Python blocks of the README, indentation of lists removed."""
    found = re.findall(r"^( *)```python\n(.*?)^ *```", README, flags=re.MULTILINE | re.DOTALL)
    return [re.sub(rf"^{indent}", "", code, flags=re.MULTILINE) for indent, code in found]


def test_the_library_example_runs_and_reaches_its_target() -> None:
    names: dict[str, object] = {}
    exec(compile(blocks()[0], "README.md", "exec"), names)
    runs = names["runs"]
    assert len(runs.frame()) == 64 * 6  # starts x rates x schedules
    assert runs.hits().hit.any()


def test_a_registered_problem_is_found_and_descends_to_its_minimum() -> None:
    import gdjax

    exec(compile(blocks()[1], "README.md", "exec"), {})
    booth = gdjax.problems.get("booth")
    runs = gdjax.bgd(booth, rates=0.1, starts=4, key=0, tolerance=1e-4, max_steps=5_000)
    # curvatures of Booth are 2 and 18: rate 0.1 < 2/18 converges from every start
    assert set(runs.frame().status) == {"converged"}
    assert runs.final_loss.max() < 1e-6
