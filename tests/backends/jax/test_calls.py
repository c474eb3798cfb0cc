"""How weights and inputs reach JAX, and that no result shares their memory."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import numpy as np
import onnx
import pytest
from onnx import helper
from sardonyx.backends import runtime
from sardonyx.backends.jax import call, calls, prepare_weights
from sardonyx.compiler import compile_model, load_artifact
from sardonyx.compiler.weights import write_weights
from sardonyx.dialects.onnx import WeightStore
from sardonyx.dialects.onnx.store import ArrayWeight


@pytest.mark.skipif(jax.default_backend() != "cpu", reason="elsewhere JAX copies")
def test_mapped_weights_are_used_where_they_lie(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    shapes = {"odd": (3,), "w": (64, 3), "b": (16,), "wide": (5, 8), "ids": (32,)}
    store = WeightStore()
    for name, shape in shapes.items():
        kind = {"wide": np.float64, "ids": np.int64}.get(name, np.float32)
        store.add(name, ArrayWeight((rng.standard_normal(shape) * 9).astype(kind)))
    path = tmp_path / "w.safetensors"
    write_weights(path, store, shapes)
    mapped = runtime.read_weights(str(path))
    held = prepare_weights(mapped)
    for name, array in mapped.items():
        assert held[name].dtype == array.dtype
        assert np.array_equal(held[name], array)
        in_place = held[name].unsafe_buffer_pointer() == array.ctypes.data
        assert in_place or array.nbytes % 64, name


def runners(model: onnx.ModelProto, folder: Path) -> list[Callable[..., Any]]:
    executable = compile_model(model, "jax")
    return [executable, load_artifact(executable.save(folder))]


def test_the_caller_s_arrays_are_not_shared(
    model_of: Any, value_info: Any, tmp_path: Path
) -> None:
    node = helper.make_node("Identity", ["x"], ["y"])
    # Aligned as JAX wants what it uses in place.
    x = np.frombuffer(bytearray(1 << 16), np.float32)
    x = x[-(x.ctypes.data // 4) % 16 :][:1024]
    assert x.ctypes.data % 64 == 0
    infos = [value_info("x", [1024])], [value_info("y", [1024])]
    for run in runners(model_of([node], *infos), tmp_path / "out"):
        x[:] = 1
        (y,) = run(x)
        x[:] = 2
        assert np.asarray(y).tolist() == [1] * 1024


def test_what_is_on_the_device_stays_there() -> None:
    x = jax.device_put(np.ones(3, np.float32))
    seen: list[Any] = []

    def forward(weights: Any, x: Any) -> Any:
        seen.append(x)
        return (x,)

    call(forward, {}, [x])
    assert [value is x for value in seen] == [True]


def test_options_that_this_jax_does_not_know_are_left_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    options = {"xla_cpu_no_such_option": "1"}
    monkeypatch.setattr(calls, "COMPILER_OPTIONS", options)
    held, x = prepare_weights({"w": np.float32(3)}), np.arange(4, dtype=np.float32)
    jitted = jax.jit(lambda weights, x: (weights["w"] * x,))
    for _ in range(2):
        (found,) = call(jitted, held, [x])
        assert np.array_equal(found, 3 * x)
    assert options == {}


def test_other_errors_are_raised_with_options(monkeypatch: pytest.MonkeyPatch) -> None:
    def failing(weights: Any, x: Any) -> Any:
        raise RuntimeError("No such thing")

    options = dict(calls.COMPILER_OPTIONS)
    monkeypatch.setattr(calls, "COMPILER_OPTIONS", options)
    with pytest.raises(RuntimeError, match="No such thing"):
        call(jax.jit(failing), {}, [np.zeros(1)])
    assert options == calls.COMPILER_OPTIONS != {}


@pytest.mark.parametrize(
    ("found", "alone"),
    [
        (["X86_V3"], True),
        (["AVX2", "FMA3"], True),
        (["X86_V3", "X86_V4"], False),
        (["AVX2", "AVX512F", "AVX512_SKX"], False),
        (["ASIMD", "ASIMDHP"], False),
        ([], False),
    ],
)
def test_products_are_kept_where_vectors_have_8_floats(
    monkeypatch: pytest.MonkeyPatch, found: list[str], alone: bool
) -> None:
    simd = {"SIMD Extensions": {"baseline": ["X86_V2"], "found": found}}
    monkeypatch.setattr(np, "show_config", lambda mode: simd)
    options = dict(calls.COMPILER_OPTIONS)
    monkeypatch.setattr(calls, "COMPILER_OPTIONS", options)
    calls.keep_products()
    assert list(options) == ["xla_cpu_experimental_ynn_fusion_type"]
    assert ("INDIVIDUAL_DOT" not in str(options)) is alone
    (y,) = call(jax.jit(lambda weights, x: (x @ x,)), {}, [np.eye(16)])
    assert np.array_equal(y, np.eye(16))


def test_a_numpy_that_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(np, "show_config", lambda mode: None)
    assert not calls.has_avx2_alone()


def test_this_jax_knows_the_options() -> None:
    plain = jax.jit(lambda x: x + 1, compiler_options=calls.COMPILER_OPTIONS)
    assert calls.COMPILER_OPTIONS
    assert plain.lower(1.0).compile() is not None
