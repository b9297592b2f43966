"""Runs: the outcomes of all lanes as DataFrames."""

from __future__ import annotations

import dataclasses
import json
import os
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import jax
import numpy as np

from gdjax import goals, minima
from gdjax.problem import Problem, PyTree
from gdjax.stopping import DIVERGED, STATUSES, interpolate

if TYPE_CHECKING:
    import pandas as pd

ARRAYS = ("start", "setting", "status", "steps", "final_loss", "best_loss", "grad_norm", "start_loss", "marks", "curve")

OF_GOALS = ("start_score", "score_curve")  # where targets are not on the loss


@dataclass(frozen=True, eq=False, kw_only=True)
class Runs:
    """What came of a call of `bgd`, `sgd` or `minibatch`; arrays have a leading (lanes,) axis.

    Attributes:
        params: final parameters, a pytree with leading axis lanes.
        targets: target losses, highest first.
        floor: the problem's optimum, or −inf.
        marks: (marks,) steps at which `curve`, (lanes, marks), was scored.
        hyper: further numbers of the optimizer, for each setting.
        target_on: what targets are on, see `gdjax.minibatch`.
        start_score, score_curve: that at the start and at the marks, where it is not the loss.
        scores: held_out_loss and accuracy of the final parameters, (lanes,) each, where the problem has them.
        lane_steps_needed, lane_steps_run: updates that counted, and updates that the slots computed.
    """

    problem: str
    optimizer: str
    batch_size: int
    examples: int
    max_steps: int
    schedules: tuple[str, ...]  # label of each setting
    rates: tuple[float, ...]  # rate of each setting
    targets: tuple[float, ...]
    floor: float
    start: np.ndarray
    setting: np.ndarray
    status: np.ndarray
    steps: np.ndarray
    final_loss: np.ndarray
    best_loss: np.ndarray
    grad_norm: np.ndarray
    start_loss: np.ndarray
    marks: np.ndarray
    curve: np.ndarray
    params: PyTree
    width: int
    lane_steps_run: int
    hyper: tuple[dict[str, float], ...] = ()
    scores: Mapping[str, np.ndarray] = field(default_factory=dict)
    target_on: str = goals.LOSS
    start_score: np.ndarray | None = None
    score_curve: np.ndarray | None = None

    @property
    def lane_steps_needed(self) -> int:
        """Updates applied, summed over lanes."""
        return int(self.steps.astype(np.int64).sum())

    @property
    def final_score(self) -> np.ndarray:
        """What targets are on, of the final parameters, (lanes,); of a diverged lane a loss is +inf, an error NaN."""
        return self.final_loss if self.target_on == goals.LOSS else goals.of(self.target_on, self.scores)

    def frame(self) -> pd.DataFrame:
        """One row per lane: lane, start, optimizer, schedule, rate, batch_size, status, steps, examples, final_loss,
        best_loss, grad_norm; then held_out_loss and accuracy where the problem has them, and a column for each further
        number of the optimizer. The final loss of a diverged lane is +inf.
        """
        import pandas as pd

        def words(known: Sequence[str], which: np.ndarray) -> pd.api.extensions.ExtensionArray:
            return pd.array(list(known), dtype="str").take(which)

        return pd.DataFrame({  # every array is made here or copied: pandas need not copy all of them once more
            "lane": np.arange(len(self.start)),
            "start": self.start.copy(),
            "optimizer": self.optimizer,
            "schedule": words(self.schedules, self.setting),
            "rate": np.array(self.rates)[self.setting],
            "batch_size": self.batch_size,
            "status": words(STATUSES, self.status),
            "steps": self.steps.astype(np.int64),
            "examples": self.steps.astype(np.int64) * self.batch_size,
            "final_loss": self.final_loss.copy(),
            "best_loss": self.best_loss.copy(),
            "grad_norm": self.grad_norm.copy(),
            **{name: values.copy() for name, values in self.scores.items()},
            **{name: np.array([each[name] for each in self.hyper])[self.setting]
               for name in (self.hyper[0] if self.hyper else ())},
        }, copy=False)

    def hits(self) -> pd.DataFrame:
        """One row per (lane, target): lane, target, hit, steps_before, steps, steps_after, examples; NaN where missed.

        A lane hits a target between the mark before and the first mark at or below it (a lane's end counts as a mark);
        `steps` is log-interpolated between the two, one update after the mark before at least. A target met at the
        start is hit at step 0. Targets are on the loss, or on what `target_on` says.
        """
        import pandas as pd

        step, _, score = self._scored()
        floor = self.floor if self.target_on == goals.LOSS else -np.inf
        pieces = []
        for target in self.targets:
            below = score <= goals.level(self.target_on, target)
            hit = below.any(axis=1)
            after = below.argmax(axis=1)
            before = np.maximum(after - 1, 0)
            rows = np.arange(len(score))
            steps = interpolate(step[rows, before], step[rows, after], score[rows, before], score[rows, after], target,
                                floor)
            steps = np.where(after == 0, 0.0, steps)
            pieces.append(pd.DataFrame({
                "lane": rows,
                "target": target,
                "hit": hit,
                "steps_before": np.where(hit, step[rows, before], np.nan),
                "steps": np.where(hit, steps, np.nan),
                "steps_after": np.where(hit, step[rows, after], np.nan),
                "examples": np.where(hit, steps * self.batch_size, np.nan),
            }))
        none = {"lane": np.int64, "target": float, "hit": bool, **dict.fromkeys(
            ("steps_before", "steps", "steps_after", "examples"), float)}
        return pd.concat(pieces, ignore_index=True) if pieces else pd.DataFrame(
            {name: np.zeros(0, kind) for name, kind in none.items()})

    def curves(self) -> pd.DataFrame:
        """Long: lane, step, examples, loss at the start, the marks and the lane's end; and what targets are on."""
        import pandas as pd

        step, loss, score = self._scored()
        lane, point = np.nonzero(np.isfinite(step))
        steps = step[lane, point].astype(np.int64)
        frame = pd.DataFrame({
            "lane": lane, "step": steps, "examples": steps * self.batch_size, "loss": loss[lane, point],
            **({} if self.target_on == goals.LOSS else {self.target_on: score[lane, point]}),
        })
        return frame.drop_duplicates(["lane", "step"], ignore_index=True)

    def best(self) -> tuple[PyTree, pd.Series]:
        """(parameters, row) of the lane with the finite lowest final loss: the textbook's best of many starts.

        Raises:
            ValueError: every lane diverged.
        """
        finite = np.where(np.isfinite(self.final_loss), self.final_loss, np.inf)
        lane = int(finite.argmin())
        if not np.isfinite(finite[lane]):
            raise ValueError(f"best: every one of the {len(finite)} lanes diverged. Use smaller rates.")
        return jax.tree.map(lambda leaf: leaf[lane], self.params), self.frame().iloc[lane]

    def minima(self, *, problem: Problem | None = None, tolerance: float = 1e-2) -> pd.DataFrame:
        """One row per distinct minimum, saddle or plateau that lanes ended at; arguments and columns of `minima.find`.

        minimum (1 is the lowest; 0 not stationary, −1 diverged), kind, loss, lanes, share, share_low, share_high,
        status, curvature_low, curvature_high, grad_norm, lane, starts_99.
        """
        return minima.find(self, problem=problem, tolerance=tolerance).table

    def save(self, path: str | os.PathLike) -> None:
        """Write everything to one NPZ file, whole or not at all; nothing in it is pickled."""
        path = Path(path)
        leaves = [np.asarray(leaf) for leaf in jax.tree.leaves(self.params)]
        plain = {each.name: getattr(self, each.name) for each in dataclasses.fields(self)
                 if each.name not in (*ARRAYS, *OF_GOALS, "params", "floor", "scores")}
        arrays = {name: getattr(self, name) for name in (*ARRAYS, *(() if self.target_on == goals.LOSS else OF_GOALS))}
        arrays |= {f"score.{name}": score for name, score in self.scores.items()}
        arrays |= {f"leaf{i}": leaf for i, leaf in enumerate(leaves)}
        meta = json.dumps({**plain, "floor": self.floor if np.isfinite(self.floor) else None,
                           "tree": _outline(self.params, iter(range(len(leaves)))),
                           "dtypes": {name: array.dtype.name for name, array in arrays.items()}})
        spare = path.with_name(path.name + ".part")
        with open(spare, "wb") as file:
            np.savez_compressed(file, meta=np.frombuffer(meta.encode(), np.uint8), **arrays)
            file.flush()
            os.fsync(file.fileno())
        os.replace(spare, path)

    @staticmethod
    def load(path: str | os.PathLike) -> Runs:
        """The runs that `save` wrote; ValueError where a file is another one."""
        with open(path, "rb") as whole, _archive(whole) as file:
            meta = json.loads(file["meta"].tobytes())
            tree, floor = meta.pop("tree"), meta.pop("floor")
            # NumPy's format does not know bfloat16 and the like: such bits come back without their type
            arrays = {name: file[name].view(np.dtype(dtype)) for name, dtype in meta.pop("dtypes").items()}
            plain: dict[str, Any] = {
                name: tuple(value) if isinstance(value, list) else value for name, value in meta.items()
            }
            scores = {name.removeprefix("score."): array for name, array in arrays.items() if name.startswith("score.")}
            return Runs(**plain, scores=scores, floor=-np.inf if floor is None else floor, params=_fill(tree, arrays),
                        **{name: arrays[name] for name in (*ARRAYS, *OF_GOALS) if name in arrays})

    def _scored(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Steps, losses and what targets are on, of the start, the marks and the end in order, (lanes, marks + 2).

        NaN after the end.
        """
        lanes = len(self.start)
        step = np.concatenate([np.zeros((lanes, 1)), np.broadcast_to(self.marks, (lanes, len(self.marks))),
                               self.steps[:, None]], axis=1).astype(np.float64)
        end = np.where(self.status == DIVERGED, np.nan, self.final_loss)
        loss = np.concatenate([self.start_loss[:, None], self.curve, end[:, None]], axis=1).astype(np.float64)
        score = loss
        if self.start_score is not None and self.score_curve is not None:
            score = np.concatenate([self.start_score[:, None], self.score_curve, self.final_score[:, None]], axis=1)
        step = np.where(np.isfinite(loss), step, np.nan)
        order = np.argsort(step, axis=1, kind="stable")  # NaN last: marks that a lane did not reach follow its end
        step, loss, score = (np.take_along_axis(each.astype(np.float64), order, axis=1) for each in (step, loss, score))
        reached = np.isfinite(step)
        return step, np.where(reached, loss, np.nan), np.where(reached, score, np.nan)


def _archive(whole: BinaryIO) -> np.lib.npyio.NpzFile:
    """The arrays of a file that `save` wrote."""
    wanted = f"load: must be a file that Runs.save wrote (got {os.fspath(whole.name)!r}, {{}}). Give the path of one."
    try:
        file = np.load(whole, allow_pickle=False)
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise ValueError(wanted.format("which is no whole NPZ file")) from error
    if not isinstance(file, np.lib.npyio.NpzFile):
        raise ValueError(wanted.format("which holds one array"))
    if not {"meta", *ARRAYS} <= set(file.files):
        raise ValueError(wanted.format(f"which holds {', '.join(file.files[:5])}"))
    return file


def _outline(tree: PyTree, numbers: Iterator[int]) -> object:
    """A pytree's shape as JSON with a number for each leaf, in the order in which JAX flattens it."""
    if type(tree) is dict:  # others, an OrderedDict say, may be flattened in another order
        if not all(isinstance(name, str) for name in tree):
            raise TypeError(f"save: dict keys of the parameters must be text (got {list(tree)}).")
        return {"dict": {name: _outline(tree[name], numbers) for name in sorted(tree)}}
    if tree is None:
        return {"none": True}
    if isinstance(tree, list | tuple) and type(tree) in (list, tuple):
        return {type(tree).__name__: [_outline(item, numbers) for item in tree]}
    if jax.tree_util.all_leaves([tree]):
        return {"leaf": next(numbers)}
    raise TypeError(f"save: parameters must be dicts, lists and tuples of arrays (got {type(tree).__name__}). "
                    "Convert them first, with jax.tree.leaves for example.")


def _fill(outline: Mapping[str, Any], leaves: dict[str, np.ndarray]) -> PyTree:
    (kind, value), = outline.items()
    if kind == "dict":
        return {name: _fill(item, leaves) for name, item in value.items()}
    if kind in ("list", "tuple"):
        return {"list": list, "tuple": tuple}[kind](_fill(item, leaves) for item in value)
    return None if kind == "none" else leaves[f"leaf{value}"]
