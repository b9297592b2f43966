"""Is this machine ready, and is this run folder whole: what is missing and how to mend it. Changes nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from bench import environment, store
from bench.cells import cell_name, groups_of
from bench.store import FolderError

LOW_DISK_BYTES = 10**9
DEVICES_TIMEOUT_S = 120
FIND_DEVICES = """
import json, jax
print(json.dumps([[each.platform, each.device_kind] for each in jax.devices()]))
"""


@dataclass(frozen=True)
class Findings:
    """Lines to show, and the exit code that goes with them."""

    lines: list[str]
    code: int


def check_machine() -> Findings:
    """Python, versions, devices, disk, load; exit code 2 when a package is missing, 5 when JAX finds no device."""
    versions = environment.versions()
    missing = [name for name, version in versions.items() if version is None]
    devices, trouble = find_devices()
    free = shutil.disk_usage(".").free
    busy = environment.load()[0]
    cores = len(environment.affinity() or [0])
    lines = [
        f"python   {sys.version.split()[0]}",
        *(f"{name:<12} {version or 'missing'}" for name, version in versions.items()),
        f"cpu      {environment.cpu_model()}, {cores} cores for this process",
        *(f"device   {platform}: {kind}" for platform, kind in devices),
        f"disk     {free / 1e9:.1f} GB free here",
        f"load     {busy}",
    ]
    if missing:
        lines.append(f"missing packages: {', '.join(missing)}. Mend: make install, or pip install -e '.[bench]'.")
    if trouble:
        lines.append(f"no device: {trouble}. Mend: reinstall jax, or unset JAX_PLATFORMS.")
    elif all(platform == "cpu" for platform, _ in devices):
        lines.append("no GPU is visible to JAX: runs use the CPU. With an NVIDIA GPU: pip install -e '.[cuda12]'.")
    if free < LOW_DISK_BYTES:
        lines.append("warning: little disk space is left. Make room before a long run.")
    if busy > cores / 2:
        lines.append("warning: the load is above half the cores. Timings will be noisy: stop other programs.")
    return Findings(lines, 2 if missing else 5 if trouble else 0)


def find_devices() -> tuple[list[tuple[str, str]], str]:
    """JAX's devices as (platform, kind), asked in a process of its own, and what went wrong ("" if nothing did)."""
    try:
        done = subprocess.run([sys.executable, "-c", FIND_DEVICES], capture_output=True, text=True,
                              timeout=DEVICES_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        return [], f"JAX did not answer in {DEVICES_TIMEOUT_S} s"
    if done.returncode:
        return [], (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
    return [(str(platform), str(kind)) for platform, kind in json.loads(done.stdout.splitlines()[-1])], ""


def check_run(folder: Path) -> Findings:
    """A run folder: manifest, cells, parts, tables; exit code 0 whole, 3 cells missing, 4 something unreadable."""
    try:
        run = store.read_run(folder)
    except FolderError as error:
        return Findings([f"error: {error}"], 4)
    troubles = check_files(folder)
    counts = Counter(cell["status"] for cell in run["cells"])
    lines = [f"suite    {run['suite']} on {run['device']}",
             f"time     started {run['started']}, finished {run['finished'] or 'no'}",
             f"cells    {counts['finished']} of {len(run['cells'])} finished"]
    lines += [f"         {count} {status}" for status, count in sorted(counts.items()) if status != "finished"]
    failed = [cell for cell in run["cells"] if cell["status"] in ("failed", "oom")]
    lines += [f"{cell['status']:<8} {cell_name(cell)}: {cell['note'][:200]}"
              for cell in failed[:20]]
    absent = missing_parts(folder, run)
    lines += [f"missing  parts/{name}" for name in absent[:20]]
    lines += [f"damaged  {trouble}" for trouble in troubles]
    incomplete = counts["finished"] < len(run["cells"]) or not run["cells"] or bool(absent)
    if troubles or incomplete:
        lines.append(f"mend: python -m bench run SUITE --out {folder} --resume runs what is missing or damaged; "
                     f"python -m bench report {folder} makes tables and report again.")
    else:
        lines.append("everything is there.")
    return Findings(lines, 4 if troubles else 3 if incomplete else 0)


def missing_parts(folder: Path, run: store.Run) -> list[str]:
    """Part folders that the manifest's cells need and that are not there: groups, and step times of each problem."""
    names = [store.part_name(group) for group in groups_of(run["cells"])]
    return [name for name in names if not (folder / "parts" / name).is_dir()]


def check_files(folder: Path) -> list[str]:
    """What is wrong with each part and each top-level table that is there."""
    import pyarrow
    import pyarrow.parquet as parquet

    parts = folder / "parts"
    found = sorted(path for path in parts.iterdir() if not path.name.startswith(".")) if parts.is_dir() else []
    troubles = [f"parts/{part.name}: {trouble}" for part in found if (trouble := store.check_part(part)) is not None]
    for path in sorted(folder.glob("*.parquet")):
        try:
            parquet.read_table(path)
        except (pyarrow.ArrowException, OSError) as error:
            troubles.append(f"{path.name}: cannot be read ({str(error)[:80]})")
    return troubles
