"""Faults injected into runs: short in `make test`, all of them in `make faults` (FAULTS=long).

In CI most faults of the real worker come once beside the short ones (FAULTS=real).
"""
