"""The harness: runs suites of cells over gdjax's public names, stores them, and reports."""

from __future__ import annotations

from bench.tables import Tables, load

__all__ = ["Tables", "load"]
