"""Normalization kernels: the official tests, and what those leave out."""

from typing import Any

import pytest
from sardonyx.backends.kernels import normalization

BACKENDS = ("numpy", "jax")


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", sorted(normalization.KERNELS))
def test_official(check_official: Any, op_type: str, backend: str) -> None:
    check_official(op_type, backend)
