"""A sweep over a cluster: one task for each shard, through an executor that exists, and one run folder at the end."""

from __future__ import annotations

import contextlib
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, cast

from bench import environment, store
from bench.bad_input import SuiteError, field_error
from bench.command import command
from bench.display import Display
from bench.manifest import LABEL
from bench.merge import merge_folders, missing
from bench.opening import config_changes
from bench.parent import BAD_INPUT, CELLS_FAILED, FINE, guarded
from bench.shards import Shard, shard_of
from bench.store import FolderError, Run
from bench.suite import Suite, config_hash
from bench.task import Ended, ShardTask

EXECUTORS = ("local", "dask", "slurm")
DEVICE = "device"  # the resource of a Dask worker that a task takes: one at a time on each device
ANSWER_S = 10  # seconds that a scheduler has to answer
POLL_S = 0.25
MERGED = FINE, CELLS_FAILED  # exit codes of a shard that is worth merging


class ClusterError(ValueError):
    """The cluster asked for can't be used (exit code 2)."""


class Task(Protocol):
    """A submitted task, as `concurrent.futures.Future` and submitit's jobs have it."""

    def done(self) -> bool:
        """Whether it has ended."""

    def result(self) -> Ended:
        """How; raises what went wrong with the task itself."""


Submit = Callable[[Sequence[ShardTask]], Sequence[Task]]


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """Where tasks go.

    Args:
        executor: "dask" or "slurm".
        scheduler: address of Dask's scheduler; None: a worker of this machine.
        slurm: parameters of submitit's executor, such as slurm_partition; `cluster` may be "local".
    """

    executor: str
    scheduler: str | None = None
    slurm: Mapping[str, str] = field(default_factory=dict)


def cluster_from(executor: str, scheduler: str | None, parameters: Sequence[str], shards: int | None,
                 shard: str | None) -> Cluster | None:
    """The cluster that options ask for; None for this machine.

    Raises:
        SuiteError: an option of another executor, or a parameter that is no NAME=VALUE.
    """
    errors = [field_error(name, f"is for --executor {wanted}", value, f"Leave it out, or add --executor {wanted}.")
              for name, value, wanted, right in (
                  ("--scheduler", scheduler, "dask", executor == "dask"),
                  ("--slurm", " ".join(parameters) or None, "slurm", executor == "slurm"),
                  ("--shards", shards, "dask or slurm", executor != "local")) if value is not None and not right]
    if shard is not None and executor != "local":
        errors.append(field_error("--shard", "is for --executor local", shard, "Use --shards K for a cluster."))
    errors += [field_error("--slurm", "must be NAME=VALUE", each, "Use for example slurm_partition=gpu.")
               for each in parameters if not all(each.partition("=")[::2])]
    if errors:
        raise SuiteError(errors)
    if executor == "local":
        return None
    return Cluster(executor=executor, scheduler=scheduler, slurm=dict(each.split("=", 1) for each in parameters))


def run_over(cluster: Cluster, suite: Suite, device: str, arguments: Sequence[str], folder: Path, shards: int,
             resume: bool, report: bool = True) -> int:
    """Run a suite as shards on a cluster, merge them into one run folder, and return the exit code.

    A shard's folder lies beside the run folder, in FOLDER-shards, on a file system that all hosts share.

    Args:
        cluster: where.
        suite: what to run.
        device: "auto", "cpu" or "gpu".
        arguments: of `python -m bench` for both, "run" and the suite first, without --out, --shard and --resume.
        folder: of the merged run; missing or empty, or with `resume` merged already.
        shards: how many tasks.
        resume: go on with the shards that are there.
        report: whether the report is written too.

    Returns:
        that of the merge, also of one that was done before; or that of the shards where one could not go on.
    """
    display = Display()
    beside = folder.absolute().with_name(f"{folder.name}-shards")

    def work() -> int:
        if resume and (run := _merged_before(folder)) is not None:
            _refuse(run, suite, device, folder)
            lacking = list(missing(run, folder))
            for text in lacking or ["is finished and merged."]:
                display.line(f"{folder}: {text}")
            if lacking and beside.exists():
                display.line(f"or move {folder} away: the same command then goes on with the shards in {beside}.")
            return CELLS_FAILED if lacking else FINE
        _check(folder, beside, shards, resume)
        places = [beside / Shard(number, shards).label for number in range(1, shards + 1)]
        each = [*arguments, "--resume", "--no-report"]
        tasks = [ShardTask((*each, "--shard", f"{number}/{shards}", "--out", str(place)), str(Path.cwd()))
                 for number, place in enumerate(places, 1)]
        codes = []
        with _not_made_for_nothing(beside), opened(cluster, beside) as (submit, words):
            display.line(f"{shards} shards on {words}; their folders: {beside}")
            for number, ended in _as_ended(submit(tasks)):
                codes.append(ended.code)
                host = f" on {ended.host}" if ended.host else ""
                last = (ended.said.strip().splitlines() or ["no output"])[-1 if ended.code in MERGED else -3:]
                display.line(f"shard {number}/{shards}{host}: "
                             + (last[-1] if ended.code in MERGED else f"exit code {ended.code}: {' | '.join(last)}"))
        bad = [code for code in codes if code not in MERGED]
        if bad:
            there = [place for place in places if (place / store.MANIFEST).exists()]
            merge = f"; {command('merge', *there, '--out', folder)} merges what there is" if there else ""
            display.error(f"error: {len(bad)} of {shards} shards could not go on (see above). What is finished is "
                          f"kept: the same command with --resume goes on{merge}.")
            return bad[0] if set(bad) == {bad[0]} and bad[0] > 0 else CELLS_FAILED
        return merge_folders(places, folder, report=report)

    try:
        return guarded(work, folder, display, mend="Finished cells are kept: mend it and use --resume.",
                       kept="finished cells are kept, --resume goes on.")
    except ClusterError as error:
        display.error(f"error: {error}")
        return BAD_INPUT


@contextlib.contextmanager
def opened(cluster: Cluster, folder: Path) -> Iterator[tuple[Submit, str]]:
    """A function that submits tasks, and the cluster in words; raises ClusterError."""
    with (_dask if cluster.executor == "dask" else _slurm)(cluster, folder) as found:
        yield found


def _missing(extra: str, error: ImportError) -> ClusterError:
    return ClusterError(field_error("--executor", f"what {extra} needs is not installed", str(error),
                                    f"Install it with pip install 'gdjax[{extra}]'."))


@contextlib.contextmanager
def _dask(cluster: Cluster, _: Path) -> Iterator[tuple[Submit, str]]:
    try:
        from distributed import Client, LocalCluster
        from distributed.comm import parse_address
        from distributed.comm.registry import get_backend
    except ImportError as error:
        raise _missing("dask", error) from None
    with contextlib.ExitStack() as held:
        if cluster.scheduler is None:
            address = held.enter_context(LocalCluster(n_workers=1, threads_per_worker=1, resources={DEVICE: 1},
                                                      dashboard_address="127.0.0.1:0"))
        else:
            address = cluster.scheduler
        try:
            if cluster.scheduler is not None:
                get_backend(parse_address(cluster.scheduler)[0])  # a client that fails at it complains again later
            client = held.enter_context(Client(address, timeout=ANSWER_S, set_as_default=False))
        except (OSError, ValueError, TypeError, TimeoutError) as error:
            raise ClusterError(field_error("--scheduler", "no Dask scheduler answers there", str(cluster.scheduler),
                                           f"Give its address, such as tcp://host:8786 ({error or 'timed out'})."
                                           )) from None
        workers = client.scheduler_info(n_workers=-1)["workers"]
        able = [worker for worker in workers.values() if worker.get("resources", {}).get(DEVICE)]
        if not able:
            raise ClusterError(field_error(
                "--scheduler", f"no worker has the resource {DEVICE!r}", f"{len(workers)} workers",
                f"Start one for each device: dask worker {cluster.scheduler} --nthreads 1 --resources {DEVICE}=1"))
        executor = held.enter_context(client.get_executor(pure=False, resources={DEVICE: 1}))
        words = f"{len(able)} Dask worker{'s' * (len(able) != 1)}, dashboard {client.dashboard_link}"
        yield lambda tasks: [executor.submit(task) for task in tasks], words


@contextlib.contextmanager
def _slurm(cluster: Cluster, folder: Path) -> Iterator[tuple[Submit, str]]:
    os.environ.setdefault("SUBMITIT_LOG_LEVEL", "NOCONFIG")  # else its import closes all log handlers of this process
    try:
        import submitit
    except ImportError as error:
        raise _missing("slurm", error) from None
    parameters: dict[str, object] = {name: int(value) if value.isdigit() else value
                                     for name, value in cluster.slurm.items()}
    where = str(parameters.pop("cluster", "slurm"))
    try:
        executor = submitit.AutoExecutor(folder=folder / "slurm", cluster=where)
        executor.update_parameters(name="gdjax", **{"timeout_min": 24 * 60, **parameters})
    except (RuntimeError, ValueError, TypeError, NameError) as error:
        raise ClusterError(field_error("--slurm", "can't submit to it", str(error).strip(),
                                       "Run it where sbatch is, or give other parameters of submitit.")) from None
    jobs: list[submitit.Job] = []

    def submit(tasks: Sequence[ShardTask]) -> Sequence[Task]:
        with executor.batch():  # one array
            jobs.extend(executor.submit(task) for task in tasks)
        return jobs

    try:
        yield submit, f"{where} through submitit, its logs: {folder / 'slurm'}"
    except BaseException:  # interrupted: nobody will wait for them
        for job in jobs:
            job.cancel()
        raise


def _as_ended(tasks: Sequence[Task]) -> Iterator[tuple[int, Ended]]:
    """Number of a shard, and how it ended, as they end; one that could not run at all does not stop the others."""
    left = dict(enumerate(tasks, 1))
    while left:
        for number in [number for number, task in left.items() if task.done()]:
            try:
                yield number, left.pop(number).result()
            except Exception as error:  # of the cluster: a lost worker, a machine that could not start Python
                yield number, Ended(-1, f"{type(error).__name__}: {error}", "")
        time.sleep(POLL_S if left else 0)


@contextlib.contextmanager
def _not_made_for_nothing(folder: Path) -> Iterator[None]:
    """A folder, made where it is missing and taken back where the cluster can't be used."""
    made = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except ClusterError:
        if made:
            shutil.rmtree(folder)
        raise


def _merged_before(folder: Path) -> Run | None:
    """The manifest of a run that was merged, if the folder holds one."""
    run = store.read_run(folder) if (folder / store.MANIFEST).exists() else None
    return run if run is not None and "merged" in run else None


def _refuse(run: Run, suite: Suite, device: str, folder: Path) -> None:
    """Raise FolderError where a merged run is another experiment than the sweep."""
    now = {"config": suite.config(), "config_hash": config_hash(suite)}
    here = {"versions": environment.versions(), "code_sha256": environment.code_hash()}
    texts = config_changes(run, cast(Run, now)) + environment.changes(run["environment"], here, processor=False)
    if device not in ("auto", run["device"]):
        texts.append(f"device: {run['device']} -> {device}")
    if texts:
        raise FolderError(f"{folder}: --resume: its run is another experiment (got {'; '.join(texts[:10])}). "
                          "Undo the change, or use another --out.")


def _check(folder: Path, beside: Path, shards: int, resume: bool) -> None:
    """Raise FolderError where the folders can't be those of this sweep."""
    if not store.is_unused(folder):
        merged = _merged_before(folder) is not None
        raise FolderError(f"{folder}: is used already (got {'a merged run' if merged else 'a folder that is not empty'}"
                          f"). {'Add --resume if it is this one, or use' if merged else 'Use'} another --out.")
    names = [path.name for path in beside.iterdir() if LABEL.fullmatch(path.name)] if beside.is_dir() else []
    if names and not resume:
        raise FolderError(f"{beside}: holds shards already (got {len(names)}). "
                          "Add --resume to go on with them, or use another --out.")
    other = sorted({shard_of(name).of for name in names} - {shards})
    if other:
        raise FolderError(f"--shards: the sweep was begun with another number (got {shards}, was {other[0]}). "
                          f"Use --shards {other[0]}, or another --out.")
