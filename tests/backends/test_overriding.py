"""Shared kernels in a backend's table: they call the backend's own kernels."""

import inspect
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sardonyx.backends.jax import TABLE as JAX
from sardonyx.backends.jax.kernels import INNER as JAX_INNER
from sardonyx.backends.jax.kernels import KERNELS as JAX_OWN
from sardonyx.backends.kernels import KERNELS as SHARED
from sardonyx.backends.kernels import convolution, recurrent
from sardonyx.backends.numpy import TABLE as NUMPY
from sardonyx.backends.numpy.kernels import INNER as NUMPY_INNER
from sardonyx.backends.numpy.kernels import KERNELS as NUMPY_OWN
from sardonyx.backends.overriding import table_of
from sardonyx.backends.source import Pasted

OWN = {**{f"numpy {n}": (n, k) for n, k in NUMPY_OWN.items()}}
OWN |= {f"jax {n}": (n, k) for n, k in JAX_OWN.items()}

SEEN: list[str] = []


def own_conv(xp: Any, *operands: Any, **attributes: Any) -> Any:
    SEEN.append("own")
    return convolution.conv(xp, *operands, **attributes)


def test_a_shared_kernel_calls_the_backends() -> None:
    """As an op, and by shared kernels of its module and of another."""
    table = table_of({"onnx.Conv": own_conv}, {})
    x, w = np.ones((1, 1, 3, 3), np.float32), np.ones((1, 1, 2, 2), np.float32)
    for name in ("onnx.Conv", "onnx.ConvInteger", "microsoft.FusedConv"):
        SEEN.clear()
        assert table[name](np, x, w).max() == 4
        assert SEEN == ["own"]
        # The shared table is as it was.
        SHARED[name](np, x, w)
        assert SEEN == ["own"]


def test_inner_functions_are_replaced() -> None:
    """The loop over time is no op's kernel."""
    looked_up = inspect.getclosurevars(JAX["onnx.LSTM"]).globals["run_lstm"]
    assert looked_up.__globals__["time_loop"] is JAX_INNER[recurrent.time_loop]
    plain = SHARED["onnx.LSTM"]
    assert plain.__globals__["run_lstm"].__globals__["time_loop"] is recurrent.time_loop


def test_a_program_may_hold_both() -> None:
    """What the host runs on NumPy, and what JAX traces, under two names."""
    pasted = Pasted()
    names = [pasted.add(table["onnx.LSTM"]) for table in (SHARED, JAX, SHARED)]
    assert names[0] == names[2] != names[1]
    text = "\n".join(pasted.blocks)
    assert text.count("def time_loop(") == text.count("def scan_loop(") == 1
    # What both call alike stands there once.
    assert text.count("def lstm_cell(") == 1


@pytest.mark.parametrize("table", [NUMPY, JAX], ids=["numpy", "jax"])
def test_what_is_pasted_is_what_runs(table: Any) -> None:
    pasted = Pasted()
    pasted.add(table["microsoft.FusedConv"])
    wanted = inspect.getsource(table["onnx.Conv"])
    assert wanted.strip() in "\n".join(pasted.blocks)


@pytest.mark.parametrize("which", OWN)
def test_own_kernels_take_what_the_shared_ones_do(which: str) -> None:
    """In the same order: shared kernels call them by position too."""
    name, own = OWN[which]
    if name in SHARED:
        assert begins(own, SHARED[name])


@pytest.mark.parametrize("inner", [NUMPY_INNER, JAX_INNER], ids=["numpy", "jax"])
def test_inner_functions_take_what_they_replace_does(inner: Any) -> None:
    assert inner
    assert all(begins(own, shared) for shared, own in inner.items())


def begins(own: Callable[..., Any], shared: Callable[..., Any]) -> bool:
    """Whether the parameters of `own` are those of `shared`, perhaps with more."""
    wanted = list(inspect.signature(shared).parameters)
    return list(inspect.signature(own).parameters)[: len(wanted)] == wanted


def test_two_kernels_in_place_of_one() -> None:
    shared = [n for n, k in SHARED.items() if k is SHARED["onnx.AveragePool"]]
    assert len(shared) > 1
    own = {
        name: SHARED["onnx.Abs" if n else "onnx.Neg"] for n, name in enumerate(shared)
    }
    with pytest.raises(AssertionError, match="two kernels in place of one"):
        table_of(own, {})
