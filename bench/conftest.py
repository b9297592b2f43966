"""What pytest-benchmark writes beside its timings: the machine, the JAX stack, the device and the code."""

from __future__ import annotations

import pytest

from bench import environment


@pytest.hookimpl(optionalhook=True)  # examples are also run where pytest-benchmark is switched off
def pytest_benchmark_update_machine_info(machine_info: dict[str, object]) -> None:
    """Add what must be equal for two runs to be compared (see `bench.gate.fingerprint`), and what tells them apart."""
    import jax

    device = jax.devices()[0]
    machine_info["gdjax"] = environment.describe({
        "backend": device.platform, "device_kind": device.device_kind, "device_count": jax.device_count(),
        "x64": bool(jax.config.values["jax_enable_x64"]),
        "matmul_precision": str(jax.config.values["jax_default_matmul_precision"])})
