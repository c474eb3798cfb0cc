"""Casts to and from few-bit types are those of ml_dtypes, bit for bit."""

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import helper
from onnx.helper import np_dtype_to_tensor_dtype as number_of

BACKENDS = ["numpy", "jax"]
INTEGERS = ["int2", "uint2", "int4", "uint4"]
FLOATS = [
    "float8_e4m3fn",
    "float8_e4m3fnuz",
    "float8_e5m2",
    "float8_e5m2fnuz",
    "float4_e2m1fn",
]


def dtype_of(name: str) -> Any:
    return np.dtype(getattr(ml_dtypes, name, name))


def every_pattern(name: str) -> Any:
    """All values of a type: each bit pattern that it has."""
    bits = {"2": 2, "4": 4}.get(name.split("_")[0][-1], 8)
    signed = 2 ** (bits - 1) if name in ("int2", "int4") else 0
    if name in INTEGERS:
        return (np.arange(2**bits) - signed).astype(dtype_of(name))
    return np.arange(2**bits, dtype=np.uint8).view(dtype_of(name))


def many_floats() -> Any:
    """Every float16 as float32, what lies between, and the ends of the range."""
    halves = np.arange(2**16, dtype=np.uint16).view(np.float16).astype(np.float32)
    with np.errstate(all="ignore"):
        near = [np.nextafter(halves, np.float32(s)) for s in (-np.inf, np.inf)]
    # NumPy keeps a signalling nan's payload, which no result shows.
    ends = np.array([3e38, -3e38, 1e-40, -1e-40, np.inf, -np.inf, np.nan], np.float32)
    return np.concatenate((halves[~np.isnan(halves)], *near, ends))


def cast(run_kernel: Any, x: Any, to: str, backend: str, **how: Any) -> Any:
    number = number_of(dtype_of(to))
    node = helper.make_node("Cast", ["x"], ["y"], to=number, **how)
    found = run_kernel(node, [x], backend)[0]
    assert found.dtype == dtype_of(to)
    return found


def assert_bits(found: Any, wanted: Any) -> None:
    """The same bits; of nans, only that they are some."""
    lost = np.isnan(wanted.astype(np.float32))
    np.testing.assert_array_equal(np.isnan(found.astype(np.float32)), lost)
    raw = np.dtype(f"u{wanted.dtype.itemsize}")
    np.testing.assert_array_equal(found[~lost].view(raw), wanted[~lost].view(raw))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", [*INTEGERS, *FLOATS])
@pytest.mark.parametrize("to", ["float32", "float16", "bfloat16", "float64"])
def test_from_every_pattern(run_kernel: Any, name: str, to: str, backend: str) -> None:
    x = every_pattern(name)
    assert_bits(cast(run_kernel, x, to, backend), x.astype(dtype_of(to)))


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", FLOATS)
@pytest.mark.parametrize("source", ["float32", "float16", "bfloat16"])
def test_of_many_floats(run_kernel: Any, name: str, source: str, backend: str) -> None:
    x = many_floats()
    with np.errstate(all="ignore"):
        x = x.astype(dtype_of(source))
        wanted = x.astype(dtype_of(name))
    assert_bits(cast(run_kernel, x, name, backend, saturate=0), wanted)
    if name == "float4_e2m1fn":
        return
    # What `saturate` changes is what lies beyond the largest value.
    largest = np.float32(ml_dtypes.finfo(dtype_of(name)).max)
    with np.errstate(all="ignore"):
        held = np.clip(x.astype(np.float32), -largest, largest).astype(dtype_of(name))
    assert_bits(cast(run_kernel, x, name, backend), held)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", INTEGERS)
def test_of_every_byte(run_kernel: Any, name: str, backend: str) -> None:
    """The low bits of every int8 and uint8; of whole floats in range, the same."""
    for source in (np.int8, np.uint8):
        x = np.arange(256).astype(np.uint8).view(source)
        assert_bits(cast(run_kernel, x, name, backend), x.astype(dtype_of(name)))
    whole = every_pattern(name)
    found = cast(run_kernel, whole.astype(np.float32), name, backend)
    assert_bits(found, whole)
