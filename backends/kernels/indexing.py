"""Kernels: indexing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

KERNELS: dict[str, Callable[..., Any]] = {}

STATIC: dict[str, tuple[int, ...]] = {}
