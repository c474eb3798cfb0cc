"""The user's folder of what need not be computed, or measured, again."""

from __future__ import annotations

import os
from pathlib import Path


def cache_folder(name: str) -> Path | None:
    """
    The user's folder for `name`, made if it is missing; None for no cache.

    It is in ``$SARDONYX_CACHE``; with that variable empty there is none, and without it
    it is in ``sardonyx`` among the user's caches.
    """
    base = os.environ.get("SARDONYX_CACHE")
    if base is None:
        caches = os.environ.get("XDG_CACHE_HOME", "")
        root = Path(caches) if os.path.isabs(caches) else Path.home() / ".cache"
        base = str(root / "sardonyx")
    if not base:
        return None
    folder = Path(base).absolute() / name
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError:
        # Whatever would be kept is computed again.
        return None
    return folder if os.access(folder, os.W_OK) else None
