"""All claims, by number: every module of `bench.study.claims` is imported, so that a new file needs no list."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from bench.study import claims
from bench.study.claim import CLAIMS, Claim


def known_claims() -> dict[str, Claim]:
    """Name -> claim, by number. Imports JAX through the experiments."""
    for module in pkgutil.walk_packages(claims.__path__, f"{claims.__name__}."):
        import_module(module.name)
    return dict(sorted(CLAIMS.items(), key=lambda item: item[1].number))
