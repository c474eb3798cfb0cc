"""Recurrent kernels."""

from typing import Any

import numpy as np
import pytest
from onnx import helper

BACKENDS = ("numpy", "jax")
OPS = tuple("GRU LSTM RNN".split())


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", OPS)
def test_official(check_official: Any, op_type: str, backend: str) -> None:
    check_official(op_type, backend)
