"""The house: which way imports point, what an import may do, how long files are, that public things have examples."""

from __future__ import annotations

import ast
import functools
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import gdjax

ROOT = Path(__file__).parent.parent
LIBRARY = sorted((ROOT / "gdjax").rglob("*.py"))
HARNESS = sorted((ROOT / "bench").rglob("*.py"))
LONGEST = 350

# arrows run one way: what a part of gdjax may import of gdjax, beside itself
LOW = {"names", "scalars"}
ARROWS: dict[str, set[str]] = {
    "names": {"scalars"},
    "scalars": set(),
    "blocks": set(),
    "precision": set(),
    "promotion": set(),
    "rewriting": set(),
    "lapack": {"rewriting"},
    "windows": {"rewriting"},
    "sizes": {"lapack", "rewriting"},
    "tiles": {"precision"},
    "sampling": set(),
    "threads": set(),
    "spare": set(),
    "xla": set(),
    "reading": LOW | {"sampling", "spare", "threads"},
    "examples": {"reading"},
    "problem": {"examples", "precision", "sizes", "tiles", "windows"},
    "data": LOW | {"problem", "reading"},
    "parameters": LOW | {"arguments", "problem"},
    "gradients": LOW | {"arguments", "lapack", "parameters", "problem", "promotion"},
    "problems": LOW | {"problem", "data", "problems"},
    "schedules": LOW,
    "optimizers": LOW | {"precision", "problem", "sampling"},
    "goals": {"problem"},
    "stopping": set(),
    "engine.step": {"precision", "problem", "schedules", "optimizers"},
    "lanes": {"blocks", "lapack", "problem", "schedules", "xla", "engine.step"},
    "engine": {"blocks", "goals", "lapack", "precision", "problem", "promotion", "schedules", "optimizers", "sampling",
               "stopping", "lanes", "engine", "reading", "rewriting", "threads", "tiles", "xla"},
    "arguments": LOW | {"goals", "problem", "reading", "sampling", "schedules", "optimizers", "lanes"},
    "tracing": LOW | {"arguments", "problem", "promotion", "reading", "schedules", "optimizers", "lanes"},
    "compiling": {"arguments", "goals", "problem", "reading", "sampling", "schedules", "optimizers", "lanes", "engine",
                  "promotion", "tracing"},
    "newton": {"lapack", "problem"},
    "linkage": set(),
    "minima": LOW | {"arguments", "lanes", "linkage", "newton", "problem", "problems", "promotion", "stopping"},
    "runs": {"goals", "minima", "problem", "stopping"},
    "gap": {"arguments", "problem", "promotion", "lanes", "engine"},
    "running": {"gap", "goals", "optimizers", "lanes", "engine", "problem", "runs", "stopping"},
    "descent": {
        "arguments", "compiling", "goals", "tracing", "optimizers", "lanes", "schedules", "engine", "parameters",
        "problem", "promotion", "running", "runs", "reading", "stopping",
    },
}
LATE_ONLY = {"pandas", "sklearn", "matplotlib", "plotly", "scipy", "bench", "torch"}  # not at gdjax's module level


def module_of(path: Path) -> str:
    """The dotted name of a file of the repository, packages without `__init__`."""
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


@functools.cache
def text_of(path: Path) -> str:
    return path.read_text(encoding="utf-8")


@functools.cache
def tree_of(path: Path) -> ast.Module:
    return ast.parse(text_of(path))


def imports(path: Path, top_only: bool = False) -> Iterator[str]:
    """Dotted names that a file imports: `from a.b import c` gives a.b.c; those for type checkers alone are left out."""
    waiting: list[ast.AST] = list(tree_of(path).body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where an arrow points"
            yield from (f"{node.module}.{name.name}" for name in node.names)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            waiting += node.orelse
        elif not (top_only and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)):
            waiting += list(ast.iter_child_nodes(node))


def part_of(name: str) -> str:
    """The part of gdjax that a dotted name belongs to: "engine.step", "engine", "problems", "lanes"."""
    pieces = name.split(".")[1:]
    return "engine.step" if pieces[:2] == ["engine", "step"] else pieces[0]


def test_arrows_run_one_way():
    wrong = []
    for path in LIBRARY:
        if path == ROOT / "gdjax" / "__init__.py":
            continue
        here = part_of(module_of(path))
        assert here in ARROWS, f"{module_of(path)}: a new part needs a place among the arrows"
        targets = {part_of(name) for name in imports(path) if name.startswith("gdjax.")}
        wanted = ARROWS[here]
        allowed = wanted | {here} | ({"engine.step"} if "engine" in wanted else set())
        wrong += [f"{module_of(path)} imports {name}" for name in sorted(targets - allowed)]
    assert wrong == []


def test_the_arrows_have_no_way_round():
    ends = {part: set(to) - {part} for part, to in ARROWS.items()}
    ends["engine"] -= {"engine.step"}
    placed: set[str] = set()
    while len(placed) < len(ends):
        ready = {part for part, to in ends.items() if part not in placed and to <= placed}
        assert ready, f"these import each other: {sorted(set(ends) - placed)}"
        placed |= ready


def test_the_library_loads_nothing_heavy_when_imported():
    wrong = [f"{module_of(path)} imports {name}" for path in LIBRARY
             for name in [*imports(path, top_only=True), *(name for name in imports(path) if name.startswith("bench"))]
             if name.split(".")[0] in LATE_ONLY]
    assert wrong == []


def test_the_harness_uses_public_names_only():
    wrong = []
    for path in HARNESS:
        wrong += [f"{module_of(path)} imports {name}: use `import gdjax`" for name in imports(path)
                  if name.startswith("gdjax.")]
        for node in ast.walk(tree_of(path)):
            names = dotted(node)
            if len(names) > 1 and names[0] == "gdjax" and (
                    names[1] not in gdjax.__all__ or any(name.startswith("_") for name in names[2:3])):
                wrong.append(f"{module_of(path)} uses {'.'.join(names)}")
    assert wrong == []


def dotted(node: ast.AST) -> list[str]:
    """["a", "b", "c"] of the expression a.b.c, [] of one that begins with no name."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names, node = [node.attr, *names], node.value
    return [node.id, *names] if isinstance(node, ast.Name) else []


def test_only_the_worker_imports_jax():
    """The parent process must start at once and hold no device."""
    reached, waiting = set(), ["bench.__main__", "bench.cli"]
    while waiting:
        module = waiting.pop()
        for suffix in (".py", "/__init__.py"):
            path = ROOT / (module.replace(".", "/") + suffix)
            if module in reached or not path.exists():
                continue
            reached.add(module)
            for name in imports(path, top_only=True):
                assert name.split(".")[0] not in ("jax", "gdjax", "optax"), f"{module} imports {name}"
                if name.startswith("bench."):
                    waiting += [name, name.rpartition(".")[0]]
    assert {"bench.cli", "bench.store", "bench.suite"} <= reached


def test_a_file_is_one_idea_with_a_first_line_that_says_it():
    files = LIBRARY + HARNESS
    assert [module_of(path) for path in files if len(text_of(path).splitlines()) > LONGEST] == []
    assert [module_of(path) for path in files if not ast.get_docstring(tree_of(path))] == []


def test_importing_gdjax_starts_no_backend_and_changes_no_switch():
    code = """
import sys
import jax
before = dict(jax.config.values)
import gdjax
from jax._src import xla_bridge
gdjax.problems.names()
changed = [name for name, value in jax.config.values.items() if before.get(name, value) != value]
late = [name for name in ("pandas", "sklearn", "matplotlib", "scipy.stats") if name in sys.modules]
print(changed, xla_bridge.backends_are_initialized(), late)
"""
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    assert printed.strip() == "[] False []"


def public_things() -> dict[str, object]:
    """Functions and classes that users reach: those of gdjax, and of its modules that are public."""
    found: dict[str, object] = {}
    for name in gdjax.__all__:
        thing = getattr(gdjax, name)
        if inspect.ismodule(thing):
            for inner in getattr(thing, "__all__", None) or dir(thing):
                member = getattr(thing, inner)
                home = getattr(member, "__module__", "")
                if not inner.startswith("_") and home.startswith(thing.__name__) and callable(member):
                    found[f"{name}.{inner}"] = member
        else:
            found[name] = thing
    return found


@pytest.mark.parametrize("name", ["Problem", "Setting", "bgd", "sgd", "minibatch", "compile", "range_test", "targets",
                                  "numerical_gradient", "check_gradient", "schedules.cosine", "problems.get"])
def test_what_the_design_names_is_public(name):
    assert name in public_things()


@pytest.mark.parametrize("name", sorted(public_things()))
def test_every_public_thing_says_what_it_is(name):
    doc = inspect.getdoc(public_things()[name]) or ""
    assert doc.splitlines()[0].endswith((".", ":")), "the first line is a sentence"


@pytest.mark.parametrize("name", ["Problem", "Setting", *filter(lambda name: inspect.isfunction(getattr(gdjax, name)),
                                                                gdjax.__all__)])
def test_every_front_door_has_an_example_that_is_run(name):
    assert ">>> " in inspect.getdoc(getattr(gdjax, name))
    make = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert re.search(r"--doctest-modules gdjax bench tests", make), "examples are run by make test"
