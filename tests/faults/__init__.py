"""Faults injected into runs: short in `make test`, all of them in `make faults` (FAULTS=long)."""
