"""Runs kernels beside ONNX's reference evaluator and on the official node tests."""

import functools
import inspect
import warnings
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import defs, helper, numpy_helper
from onnx.backend.test import loader
from onnx.reference import ReferenceEvaluator
from sardonyx.backends.jax import TABLE as JAX
from sardonyx.backends.kernels import STATIC
from sardonyx.backends.numpy import TABLE as NUMPY
from sardonyx.dialects.onnx import OnnxBuilder
from sardonyx.dialects.onnx.base import PREFIXES
from sardonyx.dialects.onnx.proto import ELEMENT_NAMES, attribute_from_proto
from sardonyx.dialects.onnx.schemas import get
from sardonyx.dialects.onnx.store import WeightStore
from sardonyx.dialects.onnx.types import element_of, element_type, is_none, shape_of
from xdsl.ir import Block

DTYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "output_datatype")
NAMESPACES = {"numpy": (np, NUMPY), "jax": (jnp, JAX)}


def run_node(node: onnx.NodeProto, arrays: list[Any], backend: str) -> list[Any]:
    """The outputs of `node`'s kernel on `arrays` (None where an input is absent)."""
    xp, table = NAMESPACES[backend]
    op_name = f"{PREFIXES[node.domain]}.{node.op_type}"
    kernel = table[op_name]
    schema = get(node.op_type, node.domain)
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
    static = STATIC.get(op_name, ())
    call = functools.partial(kernel, xp, **attributes)
    on_numpy = backend == "numpy"
    found = call(*arrays) if on_numpy else run_traced(call, arrays, static)
    found = found if isinstance(found, tuple) else (found,)
    if on_numpy and "out" in inspect.signature(kernel).parameters:
        check_written(call, arrays, found[0])
    return [None if a is None else plain_arrays(a) for a in found]


def check_written(call: Any, arrays: list[Any], wanted: Any) -> None:
    """The kernel writes its first result to `out`, if it has one, and gives that."""
    if wanted is None:
        return
    place = np.array(wanted)
    place.view(np.uint8 if place.ndim else place.dtype)[...] = 77
    found = call(*arrays, out=place)
    found = found[0] if isinstance(found, tuple) else found
    assert found.shape == place.shape
    assert np.shares_memory(found, place) or not place.size
    assert place.tobytes() == np.asarray(wanted).tobytes()


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
    """
    The official single-node tests at the newest opset, by operator.

    Those of another domain have its name before the operator's.
    """
    cases: dict[str, list[Any]] = {}
    # ONNX makes its tests as they load, with divisions by zero and overflows on
    # purpose.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = loader.load_model_tests(kind="node")
    for case in loaded:
        nodes = case.model.graph.node
        if len(nodes) == 1:
            name = ".".join(filter(None, (nodes[0].domain, nodes[0].op_type)))
            cases.setdefault(name, []).append((case, case.model))
    return cases


@pytest.fixture(name="official_ml")
def official_ml_fixture() -> list[Any]:
    """The official tests of ai.onnx.ml."""
    named = official_cases().items()
    found = [cases for name, cases in named if name.startswith("ai.onnx.ml.")]
    return [case for cases in found for case, _ in cases]


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


def by_runtime(node: onnx.NodeProto, arrays: list[Any]) -> list[Any]:
    """What ONNX Runtime makes of a model of this one node, of any domain."""
    given = {n: a for n, a in zip(node.input, arrays, strict=True) if n}
    infos = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in given.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(node.domain, 1)]
    opsets = opsets if node.domain else opsets[:1]
    graph = helper.make_graph([node], "node", infos, outputs)
    model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    return session.run(None, given)


def check_types(node: onnx.NodeProto, arrays: list[Any], results: list[Any]) -> None:
    """The types that we infer for a node are those of its `results`."""
    builder = OnnxBuilder(Block().add_op, WeightStore())
    operands = [None if a is None else builder.constant(a) for a in arrays]
    schema = get(node.op_type, node.domain)
    name = f"{PREFIXES[node.domain]}.{node.op_type}"
    properties = {a.name: attribute_from_proto(schema, a) for a in node.attribute}
    flags = [bool(output) for output in node.output]
    op = builder.create(name, operands, properties, flags)
    kinds = [kind for kind in op.result_types if not is_none(kind)]
    for kind, array in zip(kinds, results, strict=True):
        assert element_of(kind) == element_type(array.dtype), f"{name}: {kind}"
        shape = shape_of(kind)
        assert shape is not None, f"{name}: a result is unranked"
        known = [None if dim is None else dim.constant for dim in shape]
        pairs = zip(known, array.shape, strict=True)
        assert all(dim in (None, size) for dim, size in pairs), f"{name}: {kind}"


@pytest.fixture(name="run_runtime")
def run_runtime_fixture() -> Any:
    """
    ``run_runtime(node, arrays)``: what ONNX Runtime makes of it, whose types we infer.
    """

    def run(node: onnx.NodeProto, arrays: list[Any]) -> list[Any]:
        found = by_runtime(node, arrays)
        check_types(node, arrays, found)
        return found

    return run


@pytest.fixture(name="check_runtime")
def check_runtime_fixture(assert_close: Any) -> Any:
    """
    ``check_runtime(op_type, arrays, backend, **attributes)``: against ONNX Runtime.

    `domain` is com.microsoft; `outputs` flags those that are asked for; integers may
    differ by `steps`.
    """

    def check(
        op_type: str,
        arrays: list[Any],
        backend: str,
        factor: float = 1,
        outputs: tuple[bool, ...] = (True,),
        steps: int = 0,
        domain: str = "com.microsoft",
        **attributes: Any,
    ) -> None:
        names = [f"x{i}" if a is not None else "" for i, a in enumerate(arrays)]
        wanted_names = [f"y{i}" if flag else "" for i, flag in enumerate(outputs)]
        node = helper.make_node(
            op_type, names, wanted_names, domain=domain, **attributes
        )
        wanted = by_runtime(node, arrays)
        check_types(node, arrays, wanted)
        found = [a for a in run_node(node, arrays, backend) if a is not None]
        for i, (a, b) in enumerate(zip(found, wanted, strict=True)):
            if steps and b.dtype.kind in "iu":
                away = np.abs(a.astype(np.int64) - b).max()
                assert a.dtype == b.dtype
                assert away <= steps, f"{op_type} output {i} is {away} steps away"
                continue
            assert_close(a, b, factor, f"{op_type} output {i} on {backend}")

    return check
