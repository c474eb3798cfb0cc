"""Runs kernels beside ONNX's reference evaluator and on the official node tests."""

import functools
import inspect
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import pytest
from onnx import defs, helper, numpy_helper
from onnx.backend.test import loader
from onnx.reference import ReferenceEvaluator
from sardonyx.backends.jax.kernels import KERNELS as JAX
from sardonyx.backends.kernels import KERNELS, STATIC
from sardonyx.backends.numpy.kernels import KERNELS as NUMPY
from sardonyx.dialects.onnx.proto import ELEMENT_NAMES

DTYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "output_datatype")
NAMESPACES = {"numpy": (np, {**KERNELS, **NUMPY}), "jax": (jnp, {**KERNELS, **JAX})}


def run_node(node: onnx.NodeProto, arrays: list[Any], backend: str) -> list[Any]:
    """The outputs of `node`'s kernel on `arrays` (None where an input is absent)."""
    xp, table = NAMESPACES[backend]
    kernel = table[f"onnx.{node.op_type}"]
    schema = defs.get_schema(node.op_type)
    attributes: dict[str, Any] = {}
    for proto in node.attribute:
        value = helper.get_attribute_value(proto)
        if isinstance(value, onnx.TensorProto):
            value = numpy_helper.to_array(value)
        if isinstance(value, bytes):
            value = value.decode()
        if isinstance(value, list):
            value = tuple(v.decode() if isinstance(v, bytes) else v for v in value)
        if proto.name in DTYPE_ATTRIBUTES and value:
            value = ELEMENT_NAMES[value]
        attributes[proto.name] = value
    if "outputs" in inspect.signature(kernel).parameters:
        flags = [bool(name) for name in node.output]
        fixed = sum(o.option.name != "Variadic" for o in schema.outputs)
        attributes["outputs"] = tuple(flags + [False] * (fixed - len(flags)))
    static = STATIC.get(f"onnx.{node.op_type}", ())
    call = functools.partial(kernel, xp, **attributes)
    on_numpy = backend == "numpy"
    found = call(*arrays) if on_numpy else run_traced(call, arrays, static)
    found = found if isinstance(found, tuple) else (found,)
    return [None if a is None else plain_arrays(a) for a in found]


def plain_arrays(value: Any) -> Any:
    """`value` as a NumPy array, or as a list of them if it is a sequence."""
    return [*map(np.asarray, value)] if isinstance(value, list) else np.asarray(value)


def opened(values: list[Any]) -> list[Any]:
    """The arrays of `values`, those of sequences one by one; absent ones left out."""
    lists = (v if isinstance(v, list) else [v] for v in values if v is not None)
    return [array for arrays in lists for array in arrays]


def run_traced(call: Any, arrays: list[Any], static: tuple[int, ...]) -> Any:
    """`call` under jax.jit, static operands as NumPy arrays, 64-bit types on."""
    traced = [
        i
        for i, a in enumerate(arrays)
        if isinstance(a, np.ndarray) and a.dtype != object and i not in static
    ]

    def function(*values: Any) -> Any:
        full = list(arrays)
        for index, value in zip(traced, values, strict=True):
            full[index] = value
        return call(*full)

    with jax.enable_x64(True):
        return jax.jit(function)(*(arrays[i] for i in traced))


@functools.cache
def official_cases() -> dict[str, list[Any]]:
    """The official single-node tests at the newest opset, by operator."""
    cases: dict[str, list[Any]] = {}
    # ONNX makes its tests as they load, with divisions by zero and overflows on
    # purpose.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = loader.load_model_tests(kind="node")
    for case in loaded:
        nodes = case.model.graph.node
        if len(nodes) == 1 and not nodes[0].domain:
            cases.setdefault(nodes[0].op_type, []).append((case, case.model))
    return cases


def plain_value(value: Any) -> Any:
    """A test's value as an array; sequences and absent optionals as they are."""
    return (
        numpy_helper.to_array(value) if isinstance(value, onnx.TensorProto) else value
    )


@pytest.fixture(name="check_official")
def check_official_fixture(assert_close: Any) -> Any:
    """
    ``check_official(op_type, backend, skip=(), factor=1)``: the official node tests.

    `skip` names tests that are none for a kernel alone, with the reason beside each.
    """

    def check(
        op_type: str,
        backend: str,
        skip: dict[str, str] | None = None,
        factor: float = 1,
    ) -> None:
        ran = 0
        newest = defs.get_schema(op_type).since_version
        for case, model in official_cases()[op_type]:
            node = model.graph.node[0]
            if case.name in (skip or {}) or model.opset_import[0].version < newest:
                continue
            given, wanted = (
                [plain_value(v) for v in values] for values in case.data_sets[0]
            )
            named = dict(zip((i.name for i in model.graph.input), given, strict=True))
            arrays = [named[name] if name else None for name in node.input]
            found = opened(run_node(node, arrays, backend))
            for a, b in zip(found, opened(wanted), strict=True):
                scale = factor * case.rtol / 1e-3 if case.rtol else factor
                assert_close(a, b, scale, f"{case.name} on {backend}")
            ran += 1
        assert ran, f"no official test of {op_type} ran"

    return check


@pytest.fixture(name="check_reference")
def check_reference_fixture(assert_close: Any) -> Any:
    """``check_reference(node, arrays, backend)``: the kernel against the evaluator."""

    def check(
        node: onnx.NodeProto, arrays: list[Any], backend: str, factor: float = 1
    ) -> None:
        wanted = opened(reference(node, arrays))
        found = opened(run_node(node, arrays, backend))
        for a, b in zip(found, wanted, strict=True):
            assert_close(a, b, factor, f"{node.op_type} on {backend}")

    return check


def reference(node: onnx.NodeProto, arrays: list[Any]) -> list[Any]:
    given = {n: a for n, a in zip(node.input, arrays, strict=True) if n}
    infos = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in given.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "node", infos, outputs)
    model = helper.make_model(graph)
    return ReferenceEvaluator(model).run(None, given)


@pytest.fixture(name="run_kernel")
def run_kernel_fixture() -> Any:
    """``run_kernel(node, arrays, backend)``: the kernel's outputs."""
    return run_node


@pytest.fixture(name="check_rounded")
def check_rounded_fixture(assert_close: Any) -> Any:
    """As ``check_reference``, with 16-bit floats evaluated as float32 and rounded."""

    def check(
        node: onnx.NodeProto, arrays: list[Any], backend: str, factor: float = 1
    ) -> None:
        narrow = {a.dtype for a in arrays if a is not None and a.dtype.kind in "fV"}
        narrow = {dtype for dtype in narrow if dtype.itemsize == 2}
        wide = [
            a if a is None or a.dtype not in narrow else a.astype(np.float32)
            for a in arrays
        ]
        with np.errstate(all="ignore"):
            wanted = reference(node, wide)
            for dtype in narrow:
                wanted = [a.astype(dtype) if a.dtype.kind == "f" else a for a in wanted]
        found = [a for a in run_node(node, arrays, backend) if a is not None]
        for a, b in zip(found, wanted, strict=True):
            assert_close(a, b, factor, f"{node.op_type} on {backend}")

    return check
