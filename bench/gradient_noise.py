"""The gradient noise scale along a run: tr(Σ) and |G|² of the data at marks of a reference trajectory."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd

import gdjax
from bench import store
from bench.analysis.noise import noise_scale
from bench.cells import group_name
from bench.experiment import REPORTED, Group

STARTS = 8  # the first reported ones
MARKS = 10  # of a trajectory, step 0 among them
EXACT_BYTES = 256 << 20  # n × parameters × bytes of a number: at 80 such points 2 s on two cores
CHUNK_BYTES = 32 << 20  # gradients of single examples held at once; where that is all, compiling takes a third less
SMALL, BATCHES = 8, 64  # of the two-batch estimate: examples of its small batch, at most so many of them
DRAWS = 2  # folded into the seed, beside those of the two splits
EXACT, TWO_BATCH = "exact", "two-batch"


class Finished(NamedTuple):
    """A finished group with its tables of chosen settings and of hits."""

    group: Group
    chosen: pd.DataFrame
    hits: pd.DataFrame


@dataclass(frozen=True)
class Reference:
    """The setting whose trajectory is followed, for `steps` steps."""

    group: Group
    schedule: str
    horizon: float
    rate: float
    steps: int


class Moments(NamedTuple):
    """Loss, |G|² and tr(Σ) at the parameters of every start, (starts,) each."""

    loss: np.ndarray
    signal: np.ndarray
    noise: np.ndarray


def has_noise(group: Group) -> bool:
    """Whether a gradient of few examples differs from that of all, and all are in memory."""
    return group.problem.examples > 1 and not group.streamed


def references(folder: Path, groups: Sequence[Group]) -> list[Reference]:
    """The trajectories of one problem: one for each optimizer of which a group is finished.

    Args:
        folder: of the run.
        groups: all groups of the problem.
    """
    finished: dict[str, list[Finished]] = {}
    for group in groups:
        part = folder / "parts" / store.part_name(group_name(group.problem.name, group.optimizer, group.batch_size))
        if part.is_dir():
            tables = [pd.read_parquet(part / f"{name}.parquet") for name in ("chosen", "hits")]
            finished.setdefault(group.optimizer, []).append(Finished(group, *tables))
    return [reference(each) for each in finished.values()]


def reference(finished: Sequence[Finished]) -> Reference:
    """The trajectory of one problem and optimizer: a moderate batch size on its way to the hardest target.

    The target is the hardest that a batch size hit in half of its tuning starts, the batch size of those that did the
    one nearest to √n by ratio, the setting its soonest by tuning ERT; it goes on until the last tuning start that hit
    has hit. Where none was hit so: all of the budget, towards the easiest target.

    Args:
        finished: groups of one problem and optimizer, at least one.
    """
    chosen = pd.concat([each.chosen.assign(place=place) for place, each in enumerate(finished)], ignore_index=True)
    hit = chosen[2 * chosen.tuning_hits >= finished[0].group.suite.tuning_starts]
    rows = hit[hit.target == hit.target.min()] if len(hit) else chosen[chosen.target == chosen.target.max()]
    ratio = np.abs(np.log(rows.batch_size / math.sqrt(finished[0].group.problem.examples)))
    best = rows.assign(ratio=ratio).sort_values(["ratio", "tuning_ert"], kind="stable").iloc[0]
    group, _, hits = finished[best.place]
    same = ((hits.split == "tuning") & hits.hit & (hits.target == best.target) & (hits.schedule == best.schedule)
            & (hits.horizon == best.horizon) & (hits.rate == best.rate))
    steps = int(hits.steps_after[same].max()) if len(hit) else group.steps
    return Reference(group, str(best.schedule), float(best.horizon), float(best.rate), max(1, steps))


def noise_scale_rows(followed: Reference) -> pd.DataFrame:
    """Rows of the table `noise_scale`: one for each mark and start of a trajectory.

    Marks are step 0 and steps log-spaced up to the trajectory's end. Starts and batches are those of the reported
    lanes. A start that diverged has the loss ∞ and no noise scale.
    """
    group = followed.group
    marks = np.unique(np.rint(np.geomspace(1, followed.steps, MARKS - 1)).astype(int))
    frames = []
    for step in (0, *map(int, marks)):
        params = parameters_at(followed, step)
        method = EXACT if is_exact(group.problem) else TWO_BATCH
        found = moments(group.problem, params, method, jax.random.fold_in(_key(group, DRAWS), step))
        sound = np.isfinite(found.loss) & np.isfinite(found.signal) & np.isfinite(found.noise)
        with np.errstate(divide="ignore", invalid="ignore"):
            ratio = np.where(found.signal > 0, np.maximum(found.noise, 0.0) / found.signal, np.inf)
        frames.append(pd.DataFrame({
            **group.key, "schedule": followed.schedule, "horizon": followed.horizon, "rate": followed.rate,
            "device": group.device, "start": np.arange(STARTS), "step": step,
            "loss": np.where(sound, found.loss, np.inf),
            **{name: np.where(sound, values, np.nan)
               for name, values in (("signal", found.signal), ("noise", found.noise), ("b_simple", ratio))},
            "method": method, "examples": group.problem.examples}))
    return pd.concat(frames, ignore_index=True)


def parameters_at(followed: Reference, step: int) -> object:
    """Parameters of the trajectory's starts after so many steps, (starts, …) leaves.

    One lane at a time, by the program that the clock has compiled: the full width would be filled with nothing. The run
    ends there and its schedule goes on as over the whole budget: what is left of its horizon is counted in
    epochs, which do not end with the run.
    """
    group, key = followed.group, _key(followed.group, REPORTED)
    if step == 0:
        return gdjax.lanes.draw_starts(group.problem, jax.random.fold_in(key, gdjax.lanes.KEY_STARTS), STARTS)
    schedule, horizon = gdjax.schedules.get(followed.schedule), followed.horizon * group.steps
    schedule = schedule.over(horizon / step) if horizon <= step else schedule.in_epochs(horizon / group.steps_per_epoch)
    runs = gdjax.minibatch(group.problem, batch_size=group.batch_size, rates=None, starts=STARTS, key=key,
                           settings=[gdjax.Setting(schedule, followed.rate)], optimizer=group.optimizer,
                           max_steps=step, sampling=group.sampling, program=group.program(solo=True))
    return runs.params


def is_exact(problem: gdjax.Problem) -> bool:
    """Whether the gradients of all examples are affordable: a loss per example, and at most EXACT_BYTES of them."""
    return problem.loss is not None and problem.examples * problem.parameter_bytes <= EXACT_BYTES


def moments(problem: gdjax.Problem, params: object, method: str, key: jax.Array) -> Moments:
    """|G|², the squared norm of the gradient of all n examples, and tr(Σ), the variance of one example's gradient.

    Exact: tr(Σ) = Σᵢ |gᵢ − G|²/(n − 1). Two-batch: unbiased, by `bench.analysis.noise` from disjoint batches of
    min(8, n/2) examples, at most 64 of them, and the batch of all examples, so that |G|² is exact there too. Either
    way the variance of the gradient of a batch of B without replacement is tr(Σ) (1/B − 1/n).

    Args:
        params: (starts, …) leaves.
        method: "exact" or "two-batch".
        key: of the small batches; the exact ones need none.
    """
    keys = jax.random.split(key, len(jax.tree.leaves(params)[0]))
    found = _measurer(problem, method)(problem.device_data(), keys, params)
    loss, signal, spread = (np.asarray(each, np.float64) for each in found)
    if method == EXACT:
        return Moments(loss, signal, spread)
    examples = problem.examples
    noise = [noise_scale(norms, np.array([whole]), _small(examples), examples, examples).noise
             for norms, whole in zip(spread, signal, strict=True)]
    return Moments(loss, signal, np.array(noise))


@functools.lru_cache(maxsize=8)
def _measurer(problem: gdjax.Problem, method: str) -> Callable[..., tuple[jax.Array, jax.Array, jax.Array]]:
    """Compiled for the parameters of several starts: loss, |G|², and tr(Σ) or the squared norms of small batches."""
    spread = _exact_noise if method == EXACT else _small_norms

    def start(data: object, key: jax.Array, params: object) -> tuple[jax.Array, jax.Array, jax.Array]:
        loss, whole = jax.value_and_grad(problem.objective)(params, data)
        return loss, _square(whole), spread(problem, data, key, params, whole)

    def many(data: object, keys: jax.Array, params: object) -> tuple[jax.Array, jax.Array, jax.Array]:
        return jax.lax.map(lambda each: start(data, *each), (keys, params))

    return jax.jit(gdjax.lapack.one_by_one(many))


def _exact_noise(problem: gdjax.Problem, data: object, key: jax.Array, params: object, whole: object) -> jax.Array:
    """tr(Σ) from the gradients of all examples, a chunk of them at a time."""
    def distance(example: object) -> jax.Array:
        one = jax.grad(problem.example_objective)(params, example)
        return _square(jax.tree.map(jnp.subtract, one, whole))

    chunk = min(max(1, CHUNK_BYTES // problem.parameter_bytes), problem.examples)
    return jnp.sum(jax.lax.map(distance, data, batch_size=chunk)) / (problem.examples - 1)


def _small_norms(problem: gdjax.Problem, data: object, key: jax.Array, params: object, whole: object) -> jax.Array:
    """Squared gradient norms of disjoint small batches, (batches,)."""
    size = _small(problem.examples)
    count = min(BATCHES, problem.examples // size)
    indices = jax.random.permutation(key, problem.examples)[:count * size].reshape(count, size)
    return jax.lax.map(lambda index: _square(jax.grad(problem.objective)(
        params, jax.tree.map(lambda leaf: leaf[index], data))), indices)


def _small(examples: int) -> int:
    return min(SMALL, examples // 2)


def _square(tree: object) -> jax.Array:
    return sum((jnp.sum(leaf**2) for leaf in jax.tree.leaves(tree)), jnp.zeros(()))


def _key(group: Group, use: int) -> jax.Array:
    return jax.random.fold_in(jax.random.key(group.suite.seed), use)
