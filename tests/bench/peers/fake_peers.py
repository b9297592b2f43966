"""Comparisons without jax: a row, or an end of another kind, as the workload's name asks for."""

from __future__ import annotations

from multiprocessing.connection import Connection


def row(workload: str, **changed: object) -> dict[str, object]:
    """A peer that takes three times as long."""
    return {"workload": workload, "words": "work", "peer": "another", "peer_s": 3.0, "peer_s_low": 2.9,
            "peer_s_high": 3.1, "gdjax_s": 1.0, "gdjax_s_low": 0.9, "gdjax_s_high": 1.1, "ratio": 3.0, "ratio_low": 2.8,
            "ratio_high": 3.2, "goal": 2.0, "peer_samples": 10, "gdjax_samples": 10, "peer_loss": 0.5,
            "gdjax_loss": 0.5, "difference": 1e-7, "trouble": "", **changed}


def main(connection: Connection, payload: dict[str, object]) -> None:
    """A plan, a row, the end."""
    name = str(payload["name"])
    if name == "no-device":
        connection.send({"kind": "error", "code": 5, "text": "no such device"})
        return
    connection.send({"kind": "plan", "device": "cpu", "environment": {"backend": "cpu"}})
    if name == "broken":
        raise RuntimeError("broken")
    changed: dict[str, object] = {"slow": {"goal": 4.0}, "differs": {"trouble": "differs"}}.get(name, {})
    connection.send({"kind": "group", "row": row(name, **changed)})
    connection.send({"kind": "done"})
