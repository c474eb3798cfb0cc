"""
Python's cyclic garbage collector, out of the way while IR is made.

A stage makes hundreds of thousands of objects that live as long as the module. The
collector walks them all again each time their number has grown by a quarter, and finds
nothing: on 20,000 ops that is a third to a half of the time.
"""

from __future__ import annotations

import gc
from collections.abc import Generator
from contextlib import contextmanager


@contextmanager
def collection_paused() -> Generator[None]:
    """No automatic collection within; afterwards as before."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
