"""Work in threads, which have no share in the settings that the caller's thread has made for itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import jax

Given = TypeVar("Given")
Found = TypeVar("Found")


def as_here(run: Callable[[Given], Found]) -> Callable[[Given], Found]:
    """The same function for a thread: it runs in the x64 mode that is on where this is called.

    >>> import threading
    >>> with jax.enable_x64(True):
    ...     mode = as_here(lambda _: jax.config.read("jax_enable_x64"))
    >>> thread = threading.Thread(target=lambda: print(mode(None)))
    >>> thread.start(); thread.join()
    True
    """
    x64 = jax.config.read("jax_enable_x64")

    def in_thread(given: Given) -> Found:
        with jax.enable_x64(x64):
            return run(given)

    return in_thread
