"""`compile_model` and what it returns, as a user calls them."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper
from onnx.reference import ReferenceEvaluator
from sardonyx.compiler import SardonyxError, compile_model, import_model
from sardonyx.compiler.driver import InputError, call_by_name
from sardonyx.compiler.pipelines import LOWERING, PIPELINES
from sardonyx.dialects.errors import SardonyxError as Base

BACKENDS = pytest.mark.parametrize("backend", ["numpy", "jax"])


def draw(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def reference(proto: onnx.ModelProto, **arrays: Any) -> list[Any]:
    return ReferenceEvaluator(proto).run(None, arrays)


@BACKENDS
@pytest.mark.parametrize("pipeline", [*PIPELINES, "", "dce", "cse,fold-constants"])
def test_every_pipeline(
    mlp_proto: onnx.ModelProto, backend: str, pipeline: str, assert_close: Any
) -> None:
    x = draw(3, 8)
    executable = compile_model(mlp_proto, backend, pipeline)
    found, wanted = executable(x), reference(mlp_proto, x=x)
    assert isinstance(found, tuple)
    for a, b in zip(found, wanted, strict=True):
        assert_close(a, b)
    assert executable.backend == backend


@BACKENDS
def test_every_source(mlp: Path, backend: str, assert_close: Any) -> None:
    x = draw(2, 8)
    proto = onnx.load(mlp)
    wanted = reference(proto, x=x)
    for source in (mlp, str(mlp), proto, import_model(mlp)):
        for a, b in zip(compile_model(source, backend)(x), wanted, strict=True):
            assert_close(a, b)


def test_what_is_given_is_left_as_it_is(mlp_proto: onnx.ModelProto) -> None:
    before = mlp_proto.SerializeToString(deterministic=True)
    model = import_model(mlp_proto)
    text = model.text()
    compile_model(model, "numpy", dims={"batch": 2})
    compile_model(mlp_proto, "numpy", dims={"batch": 2})
    assert model.text() == text
    assert mlp_proto.SerializeToString(deterministic=True) == before


def test_jax_at_o2_is_the_default(mlp_proto: onnx.ModelProto) -> None:
    executable = compile_model(mlp_proto)
    assert executable.backend == "jax"
    assert executable.pipeline == ",".join([*PIPELINES["O2"], *LOWERING["jax"]])
    assert all(isinstance(a, jax.Array) for a in executable(draw(1, 8)))


@BACKENDS
def test_by_position_and_by_name(
    pair_proto: onnx.ModelProto, backend: str, assert_close: Any
) -> None:
    a, b = draw(2, 3), draw(2, 3, seed=1)
    executable = compile_model(pair_proto, backend)
    wanted = [a - 2 * b, a + b]
    for found in (
        executable(a, b),
        executable(b=b, a=a),
        executable(a, b=b),
        executable(jnp.asarray(a), jnp.asarray(b)),
    ):
        for one, other in zip(found, wanted, strict=True):
            assert_close(one, other)
    swapped = executable(b, a)[0]
    assert not np.allclose(swapped, wanted[0]), "the order of the inputs matters"
    assert [spec.name for spec in executable.inputs] == ["a", "b"]
    assert [spec.name for spec in executable.outputs] == ["d", "s"]


@BACKENDS
def test_names_that_python_uses_itself(
    model_of: Any, value_info: Any, backend: str
) -> None:
    names = ["self", "args", "kwargs", "spec", "params", "def", "a-b"]
    node = helper.make_node("Sum", names, ["return"])
    inputs = [value_info(name, [1]) for name in names]
    model = model_of([node], inputs, [value_info("return", [1])])
    executable = compile_model(model, backend)
    given = {name: np.full(1, 2**n, "f") for n, name in enumerate(names)}
    assert executable(*given.values())[0] == 127
    assert call_by_name(executable, given)[0] == 127


@BACKENDS
def test_dims_fix_shapes(mlp_proto: onnx.ModelProto, backend: str) -> None:
    executable = compile_model(mlp_proto, backend, dims={"batch": 2})
    assert executable.inputs[0].shape == (2, 8)
    assert executable.outputs[0].shape == (2, 4)
    executable(draw(2, 8))
    with pytest.raises(ValueError, match=r"'x': found shape \[3, 8\], wanted \[2, 8\]"):
        executable(draw(3, 8))


@BACKENDS
def test_free_dims_stay_free(mlp_proto: onnx.ModelProto, backend: str) -> None:
    executable = compile_model(mlp_proto, backend)
    for size in (1, 3, 0):
        assert executable(draw(size, 8))[0].shape == (size, 4)


# --- what is refused ---


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backend": "tpu"}, "found backend 'tpu', wanted numpy or jax"),
        ({"pipeline": "O9"}, "found pass 'O9'"),
        ({"pipeline": "nope"}, "found pass 'nope'"),
        ({"dims": {"bacth": 1}}, "found dimension 'bacth', wanted batch"),
    ],
)
def test_refused_options(
    mlp_proto: onnx.ModelProto, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(SardonyxError, match=message) as caught:
        compile_model(mlp_proto, **options)
    assert "\n" not in str(caught.value)


@BACKENDS
@pytest.mark.parametrize(
    ("args", "names", "error", "message"),
    [
        ((), {}, TypeError, "input 'a' is missing"),
        ((1,), {}, TypeError, "input 'b' is missing"),
        ((1, 1, 1), {}, TypeError, "found 3 inputs, wanted 2"),
        ((1,), {"a": 1}, TypeError, "input 'a' is given twice"),
        ((1, 1), {"c": 1}, TypeError, r"found input 'c', wanted one of \['a', 'b'\]"),
        ((1, 1), {}, TypeError, "input 'a': found dtype int64, wanted float32"),
        ((draw(2, 3), draw(3)), {}, ValueError, r"input 'b': found shape \[3\]"),
        ((draw(2, 3), draw(4, 3)), {}, ValueError, "'b': found .* with n=2"),
    ],
)
def test_refused_inputs(
    pair_proto: onnx.ModelProto,
    backend: str,
    args: Any,
    names: Any,
    error: type[Exception],
    message: str,
) -> None:
    executable = compile_model(pair_proto, backend)
    with pytest.raises(error, match=message):
        executable(*args, **names)


def test_by_name_the_refusal_is_ours(pair_proto: onnx.ModelProto) -> None:
    executable = compile_model(pair_proto, "numpy")
    with pytest.raises(InputError, match="'b' is missing"):
        call_by_name(executable, {"a": draw(2, 3)})
    assert SardonyxError is Base


# --- random inputs ---


def test_random_inputs_follow_seed_and_dims(pair_proto: onnx.ModelProto) -> None:
    executable = compile_model(pair_proto, "numpy")
    first = executable.random_inputs({"n": 4}, seed=1)
    assert {name: a.shape for name, a in first.items()} == {"a": (4, 3), "b": (4, 3)}
    again = executable.random_inputs({"n": 4}, seed=1)
    other = executable.random_inputs({"n": 4}, seed=2)
    assert all(np.array_equal(first[name], again[name]) for name in first)
    assert not np.array_equal(first["a"], other["a"])


def test_random_indices_lie_within_their_table(
    model_of: Any, value_info: Any, tensor_proto: Any
) -> None:
    table = tensor_proto("table", draw(5, 2))
    node = helper.make_node("Gather", ["table", "i"], ["y"])
    inputs, outputs = [value_info("i", [999], "INT64")], [value_info("y", [999, 2])]
    executable = compile_model(model_of([node], inputs, outputs, [table]), "numpy")
    drawn = executable.random_inputs()["i"]
    assert set(drawn.tolist()) == {0, 1, 2, 3, 4}


# --- the pure function, on JAX ---


def test_function_can_be_transformed(
    mlp_proto: onnx.ModelProto, assert_close: Any
) -> None:
    executable = compile_model(mlp_proto, "jax")
    function, params = executable.function, executable.params
    x = draw(5, 8)
    wanted = reference(mlp_proto, x=x)
    assert not jax.config.jax_enable_x64
    jitted = jax.jit(function)(params, x)
    for a, b in zip(jitted, wanted, strict=True):
        assert_close(a, b)
    batched = jax.vmap(function, in_axes=(None, 0))(params, x.reshape(5, 1, 8))
    for a, b in zip(batched, wanted, strict=True):
        assert_close(np.asarray(a).reshape(b.shape), b)


def test_function_has_the_gradient_of_the_model(mlp_proto: onnx.ModelProto) -> None:
    executable = compile_model(mlp_proto, "jax")
    x = draw(4, 8)

    def loss(params: Any) -> Any:
        return jnp.sum(executable.function(params, x)[0][:, 0])

    gradient = jax.grad(loss)(executable.params)
    assert gradient.keys() == executable.params.keys()
    key = next(k for k, v in executable.params.items() if v.shape == (6, 4))
    step, place = 1e-2, (2, 0)
    ends = []
    for sign in (1, -1):
        model = onnx.ModelProto()
        model.CopyFrom(mlp_proto)
        weight = next(t for t in model.graph.initializer if t.name == "v")
        moved = onnx.numpy_helper.to_array(weight).copy()
        moved[place] += sign * step
        weight.CopyFrom(onnx.numpy_helper.from_array(moved, "v"))
        ends.append(reference(model, x=x)[0][:, 0].astype(np.float64).sum())
    wanted = (ends[0] - ends[1]) / (2 * step)
    assert wanted != pytest.approx(0, abs=1e-3)
    assert float(gradient[key][place]) == pytest.approx(wanted, rel=2e-2)


def test_params_are_arguments(mlp_proto: onnx.ModelProto) -> None:
    executable = compile_model(mlp_proto, "jax")
    x = draw(2, 8)
    doubled = {k: 2 * v for k, v in executable.params.items()}
    before, after = executable(x), executable.function(doubled, x)
    assert not np.allclose(before[0], after[0])
    assert np.array_equal(before[0], executable(x)[0])


def shifted(model_of: Any, value_info: Any, tensor_proto: Any) -> onnx.ModelProto:
    """``i + 2**40``, whose result no 32-bit integer holds."""
    node = helper.make_node("Add", ["i", "big"], ["y"])
    inputs, outputs = [value_info("i", [3], "INT64")], [value_info("y", [3], "INT64")]
    big = tensor_proto("big", np.array(2**40))
    return model_of([node], inputs, outputs, [big])


@BACKENDS
def test_64_bit_integers_stay_whole(
    model_of: Any, value_info: Any, tensor_proto: Any, backend: str
) -> None:
    assert not jax.config.jax_enable_x64
    model = shifted(model_of, value_info, tensor_proto)
    (found,) = compile_model(model, backend)(np.array([-1, 0, 2**41]))
    assert found.dtype == np.int64
    assert np.asarray(found).tolist() == [2**40 - 1, 2**40, 2**40 + 2**41]


def test_without_64_bits_the_sum_would_be_wrong() -> None:
    with pytest.warns(UserWarning, match="int64"):
        narrow = jnp.asarray([1], "int64")
    assert narrow.dtype == np.int32, "which is what the test above guards against"


def test_the_caller_s_jax_is_left_alone(
    model_of: Any, value_info: Any, tensor_proto: Any
) -> None:
    def own(x: Any) -> Any:
        return jnp.cumsum(x) * 1.5

    x = np.arange(4.0, dtype=np.float32)
    traced = jax.jit(own)
    before = traced(x)
    model = shifted(model_of, value_info, tensor_proto)
    compile_model(model, "jax")(np.array([1, 2, 3]))
    after = traced(x)
    assert before.dtype == after.dtype == np.float32
    assert np.array_equal(before, after)
    assert traced._cache_size() == 1
    assert jnp.arange(3).dtype == np.int32
    assert not jax.config.jax_enable_x64


# --- what an import costs ---


def test_importing_loads_no_backend_and_no_oracle() -> None:
    program = (
        "import sys, sardonyx.compiler\n"
        "print(*sorted({'jax', 'jaxlib', 'onnxruntime', 'onnx', 'xdsl', 'numpy'}"
        " & set(sys.modules)))\n"
        "from sardonyx.compiler import compile_model, import_model, load_artifact\n"
        "print(*sorted({'jax', 'jaxlib', 'onnxruntime'} & set(sys.modules)))\n"
        "print(*sorted(n for n in dir(sardonyx.compiler) if n in "
        "sardonyx.compiler.__all__))\n"
    )
    ran = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines() == [
        "",
        "",
        "SardonyxError compile_model import_model load_artifact",
    ]


def test_numpy_programs_load_no_jax(mlp: Path) -> None:
    program = (
        "import sys\nfrom sardonyx.compiler import compile_model\n"
        f"e = compile_model({str(mlp)!r}, 'numpy')\ne(**e.random_inputs())\n"
        "assert not {'jax', 'onnxruntime'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_the_package_has_nothing_else() -> None:
    import sardonyx.compiler

    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        sardonyx.compiler.nope  # noqa: B018


@pytest.mark.parametrize("dim", ["9", " 9", "a b", 'quo"te', "min", "n + 1", "-"])
def test_any_text_may_name_a_dimension(dim: str):
    """A name that reads as a number, or as no identifier, is a name all the same."""
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [dim, 2])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [dim, 2])
    node = helper.make_node("Relu", ["x"], ["y"], name="relu")
    model = helper.make_model(
        helper.make_graph([node], "g", [x], [y]),
        opset_imports=[helper.make_opsetid("", 20)],
        ir_version=10,
    )
    executable = compile_model(model, "numpy")
    for size in (1, 5):
        given = executable.random_inputs({dim: size})["x"]
        assert given.shape == (size, 2)
        np.testing.assert_array_equal(executable(given)[0], np.maximum(given, 0))
    if dim != "n + 1":
        assert compile_model(model, "numpy", dims={dim: 3}).inputs[0].shape == (3, 2)
