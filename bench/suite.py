"""A suite: one experiment as data, read from TOML and checked whole before anything runs."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, ValidationError

from bench.bad_input import SHOWN, SuiteError, closest, field_error, from_pydantic, key_text, needed, show
from bench.suite_fields import (
    AXIS_LIMIT,
    NAME_LIMIT,
    BatchSizes,
    Claims,
    Count,
    Devices,
    Gaps,
    Name,
    Names,
    Positive,
    Rates,
    Sampling,
    SamplingRule,
    Shares,
    TargetOn,
    Targets,
)
from bench.toml_file import read_toml

SUITES = Path(__file__).parent / "suites"
NO_PART = ("timeout_s", "noise_groups", "noise_processes")  # of the experiment: may be changed before a resume
# fields that older runs lack, and the value that means what they did
NEWER = {"deterministic": False, "devices": 1, "target_on": "loss", "sampling": "shuffle"}
OF_CELLS = ("problems", "batch_sizes", "schedules")  # what a suite of cells cannot do without
OF_CLAIMS = ("name", "claims", "seed", "dtype", "matmul_precision", "deterministic", "timeout_s")  # all it may have


class Override(BaseModel):
    """What one problem has of its own; None takes the suite's value."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    epochs: Positive | None = None
    min_steps: Count | None = None
    batch_sizes: BatchSizes | None = None
    targets: Targets | None = None
    gaps: Gaps | None = None
    target_on: TargetOn | None = None
    sampling: SamplingRule | None = None


@dataclass(frozen=True)
class Settings:
    """What holds for one problem: the suite's values, the problem's own on top; `targets` None: by `gaps`."""

    epochs: float
    min_steps: int
    batch_sizes: list[int | str]
    gaps: list[float]
    targets: list[float] | None
    target_on: str = "loss"
    sampling: Sampling = "shuffle"

    @property
    def target_count(self) -> int:
        """How many targets, by gaps or as losses."""
        return len(self.gaps if self.targets is None else self.targets)

    def budget(self, examples: int, batch_size: int) -> int:
        """Steps of one lane: max(epochs · examples / batch size, min_steps), rounded up.

        >>> Settings(2.0, 10, [4], [0.1], None).budget(examples=9, batch_size=4)
        10
        """
        return max(math.ceil(self.epochs * examples / batch_size * (1 - 1e-12)), self.min_steps)  # as in gdjax


class Suite(BaseModel):
    """One experiment: the cells (problems × optimizers × batch sizes × schedules) and how they are measured.

    Or the claims of the textbook study, "all" or by name: such a suite has no problems, batch sizes or schedules.
    `batch_sizes` are examples, or "all" for BGD; `rates` is how many per (schedule, horizon), or the rates themselves
    (see `bench.tuning.grid`); `rate_span` is the highest over the lowest of a grid of so many rates, and `widenings`
    how often it may be widened at the ends where a winner is (all schedules alike);
    `target_on` is what targets are on ("error": 1 − accuracy, see `gdjax.minibatch`); gaps are of the loss.
    `sampling` is how examples are drawn (see `gdjax.minibatch`): "stream", or a table of its `buffer` and `block` in
    examples (`gdjax.Stream`), for data that memory can't hold.
    `horizons` are shares of the budget; a lane's budget is max(epochs · n / batch size, min_steps) steps.
    `matmul_precision` is that of float32 products on a GPU ("tf32", "bf16": TensorFloat-32, bfloat16); `deterministic`
    leaves out the GPU's kernels that may add in another order each time; `devices` share the lanes of a call, a number
    (with --device cpu they are made of the one there is) or "all" there are. At the end
    the programs of `noise_groups` groups (a problem, optimizer and batch size; 0: none) are timed again in
    `noise_processes` fresh processes. `timeout_s` are the seconds after which a worker is taken for hung (see
    `bench.watch`). These last three are no part of the experiment: they may be changed before a resume.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    name: Name
    problems: Names = []
    batch_sizes: BatchSizes = []
    schedules: Names = []
    optimizers: Names = ["sgd"]
    rates: Rates = 5
    rate_span: Annotated[float, Field(ge=1.001, le=1e12, allow_inf_nan=False)] = 100.0  # at 1 all rates are the same
    widenings: Annotated[int, Field(ge=0, le=20)] = 2
    horizons: Shares = [0.25, 0.5, 1.0]
    tuning_starts: Count = 8
    starts: Count = 32
    gaps: Gaps = [1e-1, 1e-2, 1e-3]
    targets: dict[str, Targets] = {}
    target_on: TargetOn = "loss"
    sampling: SamplingRule = "shuffle"
    epochs: Positive = 20.0
    min_steps: Count = 300
    marks: Annotated[int, Field(ge=2, le=10_000)] = 24
    width: Annotated[int, Field(ge=1, le=1_048_576)] = 128
    repeats: Annotated[int, Field(ge=1, le=10_000)] = 10
    min_sample_s: Annotated[float, Field(ge=1e-3, le=60, allow_inf_nan=False)] = 0.1
    noise_groups: Annotated[int, Field(ge=0, le=AXIS_LIMIT)] = 3
    noise_processes: Annotated[int, Field(ge=1, le=100)] = 2
    seed: Annotated[int, Field(ge=0, lt=2**32)] = 0
    dtype: Literal["float32", "float64"] = "float32"
    matmul_precision: Literal["default", "high", "highest", "tf32", "bf16"] = "highest"
    deterministic: bool = False
    devices: Devices = 1
    timeout_s: Annotated[float, Field(ge=1, le=1e9, allow_inf_nan=False)] = 3600.0
    problem: dict[str, Override] = {}
    claims: Claims | None = None
    _notes: tuple[str, ...] = PrivateAttr(())

    @property
    def setting_count(self) -> int:
        """Settings of each schedule on the first grid: rates × horizons, or those given if all are constant."""
        if isinstance(self.rates, int):
            return self.rates * len(self.horizons)
        return len(self.rates) * (1 if self.schedules == ["constant"] else len(self.horizons))

    @property
    def settings_added(self) -> int:
        """Settings of each schedule that widening adds at an end of a grid, for half as many rates; given ones stay."""
        return self.rates // 2 * len(self.horizons) if isinstance(self.rates, int) else 0

    @property
    def notes(self) -> tuple[str, ...]:
        """What was mended while reading: duplicates that were removed."""
        return self._notes

    def config(self) -> dict[str, object]:
        """The suite as plain data that JSON holds and `suite_from` reads back."""
        return self.model_dump(exclude_none=True, include=None if self.claims is None else set(OF_CLAIMS))

    def settings_for(self, problem: str) -> Settings:
        """Budget, batch sizes and targets of one problem: its own where it has them, the suite's otherwise."""
        own = self.problem.get(problem, Override())
        return Settings(
            epochs=self.epochs if own.epochs is None else own.epochs,
            min_steps=self.min_steps if own.min_steps is None else own.min_steps,
            batch_sizes=list(self.batch_sizes if own.batch_sizes is None else own.batch_sizes),
            gaps=list(self.gaps if own.gaps is None else own.gaps),
            targets=self.targets.get(problem) if own.targets is None else list(own.targets),
            target_on=self.target_on if own.target_on is None else own.target_on,
            sampling=self.sampling if own.sampling is None else own.sampling,
        )


def load_suite(name_or_path: str | Path) -> Suite:
    """A suite by its shipped name ("quick"), or from a TOML file.

    Raises:
        SuiteError: with every error found, each `<field path>: <what> (got <value>). <what to do>`.

    >>> load_suite("quick").seed
    0
    """
    return suite_from(read_toml(_find(name_or_path)))


def suite_from(config: dict[str, object]) -> Suite:
    """A suite from plain data, as `Suite.config` gives it; raises SuiteError with every error found."""
    errors = _across_fields(config)
    notes: list[str] = []
    try:
        suite = Suite.model_validate(config, context=notes)
    except ValidationError as error:
        raise SuiteError(from_pydantic(error, list(Suite.model_fields), list(Override.model_fields)) + errors) from None
    if errors:
        raise SuiteError(errors)
    suite._notes = tuple(notes)
    return suite


def narrowed(suite: Suite, problems: Sequence[str] = (), optimizers: Sequence[str] = (),
             devices: int | str | None = None) -> Suite:
    """The part of a suite that has these problems and optimizers only (none given: all), an experiment of its own.

    Args:
        devices: how many share the lanes, or "all", where not as many as the suite says.

    Raises:
        SuiteError: a name that the suite does not have, or a suite of claims.

    >>> narrowed(load_suite("full"), optimizers=["adam"]).optimizers
    ['adam']
    """
    errors = [
        field_error(f"--{axis}", "is not in this suite", name,
                    closest(name, known) if suite.claims is None else "Leave it out: a suite of claims has none.")
        for axis, names, known in (("problem", problems, suite.problems), ("optimizer", optimizers, suite.optimizers))
        for name in names if suite.claims is not None or name not in known
    ]
    if errors:
        raise SuiteError(errors)
    config = suite.config()
    if problems:
        config["problems"] = [name for name in suite.problems if name in problems]
        config["targets"] = {name: own for name, own in suite.targets.items() if name in problems}
        config["problem"] = {name: own.model_dump(exclude_none=True) for name, own in suite.problem.items()
                             if name in problems}
    if devices is not None:
        config["devices"] = devices
    if optimizers:
        config["optimizers"] = [name for name in suite.optimizers if name in optimizers]
    part = suite_from(config)
    part._notes = suite.notes
    return part


def shipped_suites() -> dict[str, Path]:
    """Names of the shipped suites and their files."""
    return {path.stem: path for path in sorted(SUITES.glob("*.toml"))}


def config_hash(suite: Suite) -> str:
    """SHA-256 of the suite as canonical JSON: equal for equal experiments, whatever the order of keys in the file."""
    config = {key: value for key, value in suite.config().items()
              if key not in NO_PART and not (key in NEWER and value == NEWER[key])}
    text = json.dumps(config, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def _find(name_or_path: str | Path) -> Path:
    text, shipped = str(name_or_path), shipped_suites()
    if text in shipped:
        return shipped[text]
    looks_like_a_name = "/" not in text and not text.endswith(".toml")
    if looks_like_a_name and "\0" not in text and len(text) <= NAME_LIMIT and not Path(text).exists():
        raise SuiteError([f"suite: unknown name or file (got {show(text)}). {closest(text, shipped)}"])
    return Path(text)


def _across_fields(config: dict[str, object]) -> list[str]:
    return _kind_errors(config) + _stranger_errors(config)


def _kind_errors(config: dict[str, object]) -> list[str]:
    """Problems, batch sizes and schedules are needed without claims, and out of place beside them."""
    if config.get("claims") is None:
        return [needed(key) for key in OF_CELLS if key not in config]
    return [field_error(key, "has no place beside claims", config[key], "Remove it, or claims.")
            for key in Suite.model_fields if key in config and key not in OF_CLAIMS]


def _stranger_errors(config: dict[str, object]) -> list[str]:
    problems, own, shared = (config.get(key) for key in ("problems", "problem", "targets"))
    if not isinstance(problems, list):
        return []
    names = dict.fromkeys(name for name in problems if isinstance(name, str))
    strangers = [(key, name) for key, table in (("problem", own), ("targets", shared)) if isinstance(table, dict)
                 for name in table if name not in names]
    errors = [
        field_error(f"{key}.{key_text(name)}", "is not one of this suite's problems", name,
                    f"Add it to problems, or remove this. {closest(name, names)}")
        for key, name in strangers[:SHOWN]
    ]
    tables = {name: table for name, table in own.items() if isinstance(table, dict)} if isinstance(own, dict) else {}
    known = shared if isinstance(shared, dict) else {}
    errors += [
        field_error(f"problem.{key_text(name)}.targets", "targets are given twice", table["targets"],
                    f"Keep this, or targets.{key_text(name)}.")
        for name, table in tables.items() if "targets" in table and name in known
    ][:SHOWN]
    return errors + [
        field_error(f"problem.{key_text(name)}.gaps", "have no meaning beside targets", table["gaps"],
                    "Keep these, or the targets of this problem.")
        for name, table in tables.items() if "gaps" in table and ("targets" in table or name in known)
    ][:SHOWN]
