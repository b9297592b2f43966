"""Is this machine ready for a run: what is missing or unsteady, and what to do about it. Changes nothing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench import environment, machines
from bench.probe import Rates, measure_machine

LOW_DISK_BYTES = 10**9
LOW_MEMORY_BYTES = 2 * 10**9
NOISE_LIMIT = 0.10  # standard deviation over mean of ten repeats
OLDEST_PYTHON = (3, 11)
GOVERNOR = Path("/sys/devices/system/cpu/cpu0/cpufreq/scaling_governor")


@dataclass(frozen=True)
class Findings:
    """Lines to show, and the exit code that goes with them."""

    lines: list[str]
    code: int


def check_machine() -> Findings:
    """Python, versions, devices, rates, noise, disk, load; exit code 2 for a missing package, 5 for no device."""
    versions = environment.versions()
    rates, trouble = measure_machine()
    missing = [name for name, version in versions.items() if version is None]
    lines = [*_facts(versions, rates), *_warnings(missing, rates, trouble)]
    return Findings(lines, 2 if missing else 5 if trouble else 0)


def _facts(versions: dict[str, str | None], rates: Rates | None) -> Iterator[str]:
    memory = psutil.virtual_memory()
    yield f"python   {sys.version.split()[0]}"
    for name, version in versions.items():
        yield f"{name:<12} {version or 'missing'}"
    yield f"cpu      {environment.cpu_model()}, {_cores()} cores for this process"
    if rates is not None:
        yield from (f"device   {platform}: {kind}" for platform, kind in rates.devices)
        yield f"matmul   {rates.matmul_flops / 1e9:.0f} GFLOP/s in float32"
        yield f"copy     {rates.copy_bytes_s / 1e9:.1f} GB/s read and written"
        yield f"noise    {100 * rates.noise:.1f} % standard deviation over {len(rates.seconds)} runs of one program"
    yield f"memory   {memory.available / 1e9:.1f} of {memory.total / 1e9:.1f} GB free"
    yield f"disk     {shutil.disk_usage('.').free / 1e9:.1f} GB free here"
    yield f"load     {environment.load()[0]}"


def _warnings(missing: list[str], rates: Rates | None, trouble: str) -> Iterator[str]:
    """What is not as it should be, each with its remedy."""
    busy = machines.busy(environment.now())
    if sys.version_info < OLDEST_PYTHON:
        yield "warning: Python is older than 3.11. Mend: make PYTHON=python3.12."
    if missing:
        yield f"missing packages: {', '.join(missing)}. Mend: make install, or pip install -e '.[bench]'."
    if rates is None:
        yield f"no device: {trouble}. Mend: reinstall jax, or unset JAX_PLATFORMS."
    elif all(platform == "cpu" for platform, _ in rates.devices):
        yield "no GPU is visible to JAX: runs use the CPU. With an NVIDIA GPU: pip install -e '.[cuda12]'."
    if rates is not None and rates.noise > NOISE_LIMIT:
        yield (f"warning: equal runs differ by {100 * rates.noise:.0f} %, more than {100 * NOISE_LIMIT:.0f} %. "
               "Stop other programs, or set repeats = 30 in the suite.")
    if busy is not None:
        yield f"warning: the load, {busy}, is above half the cores. Timings will be noisy: stop other programs."
    if shutil.disk_usage(".").free < LOW_DISK_BYTES:
        yield "warning: less than 1 GB of disk is free. Make room, or use --out on another disk."
    if psutil.virtual_memory().available < LOW_MEMORY_BYTES:
        yield "warning: less than 2 GB of memory is free. Stop other programs, or set a smaller width in the suite."
    governor = _text(GOVERNOR)
    if governor in ("powersave", "conservative"):
        yield (f"warning: the processor saves power (governor {governor}). Step times grow: "
               "plug in, or ask for the governor performance.")
    if os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        yield "warning: JAX_COMPILATION_CACHE_DIR is set. Runs switch it off, so that compile times are real; unset it."


def _cores() -> int:
    return len(environment.affinity() or range(os.cpu_count() or 1))


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii").strip()
    except OSError:
        return ""
