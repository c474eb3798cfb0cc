"""The caller's own JAX, before, between and after our calls: untouched."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from onnx import helper
from sardonyx.compiler import compile_model, load_artifact


@pytest.fixture(name="shifted")
def shifted_fixture(
    model_of: Any, value_info: Any, tensor_proto: Any
) -> onnx.ModelProto:
    """``i + 2**40``, which no 32-bit integer holds, and ``x / 3`` in 64 bits."""
    nodes = [
        helper.make_node("Add", ["i", "big"], ["sum"]),
        helper.make_node("Div", ["x", "three"], ["third"]),
    ]
    inputs = [value_info("i", ["n"], "INT64"), value_info("x", ["n"], "DOUBLE")]
    outputs = [value_info("sum", ["n"], "INT64"), value_info("third", ["n"], "DOUBLE")]
    weights = [
        tensor_proto("big", np.array(2**40)),
        tensor_proto("three", np.array(3.0)),
    ]
    return model_of(nodes, inputs, outputs, weights)


def configuration() -> dict[str, Any]:
    """Every option of JAX, as this thread sees it."""
    return dict(jax.config.values)


def own(x: Any) -> Any:
    """A function of the caller's, whose types JAX's defaults decide."""
    return jnp.cumsum(x) * 1.5, jnp.arange(3), jnp.asarray([1.5])


def check_caller(traced: Any, before: dict[str, Any]) -> None:
    assert not jax.config.jax_enable_x64
    assert configuration() == before
    assert jnp.arange(3).dtype == np.int32
    assert jnp.asarray(1.0).dtype == np.float32
    kinds = [str(y.dtype) for y in traced(np.arange(4.0, dtype=np.float32))]
    assert kinds == ["float32", "int32", "float32"]
    assert traced._cache_size() == 1, "compiled once, and not for us"


def runners(model: onnx.ModelProto, folder: Path) -> list[Callable[..., Any]]:
    executable = compile_model(model, "jax")
    return [executable, load_artifact(executable.save(folder))]


@pytest.mark.parametrize("cached", [False, True])
def test_64_bits_for_us_and_the_caller_s_defaults_for_the_caller(
    shifted: onnx.ModelProto,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    cached: bool,
) -> None:
    if cached:
        monkeypatch.setenv("SARDONYX_CACHE", str(tmp_path / "cache"))
    before, traced = configuration(), jax.jit(own)
    check_caller(traced, before)
    i, x = np.array([-1, 0, 2**41]), np.array([1.0, 2.0, 1e300])
    for run in runners(shifted, tmp_path / "out"):
        for count in (3, 3, 2):
            total, third = run(i[:count], x[:count])
            check_caller(traced, before)
            assert total.dtype == np.int64
            assert np.array_equal(total, i[:count] + 2**40)
            assert third.dtype == np.float64
            np.testing.assert_allclose(third, x[:count] / 3, rtol=1e-15)


def test_a_caller_who_has_64_bits_on_keeps_them(
    shifted: onnx.ModelProto, tmp_path: Path
) -> None:
    with jax.enable_x64(True):
        for run in runners(shifted, tmp_path / "out"):
            run(np.array([1]), np.array([1.0]))
            assert jax.config.jax_enable_x64
            assert jnp.arange(3).dtype == np.int64
    assert jnp.arange(3).dtype == np.int32
