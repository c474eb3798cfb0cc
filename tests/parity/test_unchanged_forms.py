"""
That a form which the importer takes for the newest one means the same at its opset.

For every such operator and version, a model of one node is built at the first and at
the last opset that selects it, runs in ONNX Runtime or else in ONNX's reference
evaluator *at that opset*, and agrees with what is compiled. The nodes are those of
ONNX's own suite that fit the older schema; a few operators have nodes of ours.
"""

import functools
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, defs, helper, numpy_helper
from onnx.backend.test import loader
from onnx.reference import ReferenceEvaluator
from onnxruntime import InferenceSession, SessionOptions
from onnxruntime.capi import onnxruntime_pybind11_state as runtime
from sardonyx.compiler import compile_model
from sardonyx.compiler.importer.upgrades import UNCHANGED

OLDEST = 7
"""Models of this opset and newer are what ONNX Runtime has kernels for."""
CASES = 3
"""How many nodes of ONNX's suite a form is tried on; one, at its last opset."""
ML = "ai.onnx.ml"
DRAWN = "training_dropout"
"""In the names of the suite's tests whose results are random."""


@dataclass(frozen=True)
class Form:
    """A version of an operator, and the opsets that select it."""

    op_type: str
    domain: str
    since: int
    first: int
    last: int

    @property
    def key(self) -> tuple[str, str]:
        """As the suite's tests are kept."""
        return self.domain, self.op_type

    def __str__(self) -> str:
        return f"{self.op_type}-{self.since}"


def all_forms() -> Iterator[Form]:
    """The unchanged forms that a model of opset 7 or newer may hold, in order."""
    versions: dict[tuple[str, str], list[int]] = {}
    for schema in defs.get_all_schemas_with_history():
        held = versions.setdefault((schema.domain, schema.name), [])
        held.append(schema.since_version)
    for op_type, taken in UNCHANGED.items():
        domain = "" if ("", op_type) in versions else ML
        known = sorted(versions[domain, op_type])
        for since in taken:
            first = since if domain else max(since, OLDEST)
            last = known[known.index(since) + 1] - 1
            if first <= last:
                yield Form(op_type, domain, since, first, last)


FORMS = [*all_forms()]

REFERENCE = {
    "Bernoulli": "ONNX Runtime draws 1 where its input is 0, and 0 where it is 1",
    "MaxUnpool": "ONNX Runtime takes its indices for those of output_shape: they are "
    "of the image that was pooled",
}
"""Operators for which the evaluator alone is asked, and why."""

NO_ORACLE: dict[tuple[str, int], str] = {}
"""The forms that nothing runs at their opset, and why: there are none."""


# --- nodes of ONNX's suite ---

Model = tuple[onnx.ModelProto, dict[str, Any]]


@functools.cache
def official() -> dict[tuple[str, str], list[Any]]:
    """The suite's tests of one node, by domain and operator."""
    found: dict[tuple[str, str], list[Any]] = {}
    # ONNX makes its tests as they load, with divisions by zero on purpose.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = loader.load_model_tests(kind="node")
    for case in loaded:
        nodes = case.model.graph.node
        if len(nodes) == 1:
            found.setdefault((nodes[0].domain, nodes[0].op_type), []).append(case)
    return found


def type_text(kind: onnx.TypeProto) -> str:
    """A type as schemas write it."""
    match kind.WhichOneof("value"):
        case "tensor_type":
            name = TensorProto.DataType.Name(kind.tensor_type.elem_type)
            return f"tensor({name.lower()})"
        case "sequence_type":
            return f"seq({type_text(kind.sequence_type.elem_type)})"
        case _:
            return f"optional({type_text(kind.optional_type.elem_type)})"


def fits(graph: onnx.GraphProto, schema: defs.OpSchema) -> bool:
    """Whether the node of `graph` has the form that `schema` states."""
    node = graph.node[0]
    given = {proto.name: proto.type for proto in node.attribute}
    kinds = {name: int(a.type.value) for name, a in schema.attributes.items()}
    required = {name for name, a in schema.attributes.items() if a.required}
    if not given.items() <= kinds.items() or not required <= given.keys():
        return False
    counts = len(node.input), len(node.output)
    if not (
        schema.min_input <= counts[0] <= schema.max_input
        and schema.min_output <= counts[1] <= schema.max_output
    ):
        return False
    allowed = {c.type_param_str: c.allowed_type_strs for c in schema.type_constraints}
    types = {v.name: type_text(v.type) for v in (*graph.input, *graph.output)}
    for declared, names in (
        (schema.inputs, node.input),
        (schema.outputs, node.output),
    ):
        for place, name in enumerate(names):
            variable = declared[min(place, len(declared) - 1)].type_str
            if name and types[name] not in allowed.get(variable, [variable]):
                return False
    return True


def value_of(proto: Any) -> Any:
    """What a test of the suite gives a model."""
    if isinstance(proto, TensorProto):
        proto = numpy_helper.to_array(proto)
    return np.asarray(proto) if isinstance(proto, np.generic) else proto


def from_suite(form: Form, opset: int) -> Iterator[Model]:
    """The suite's nodes that `form` can say, those of different attributes."""
    schema = defs.get_schema(form.op_type, opset, form.domain)
    seen: set[tuple[Any, ...]] = set()
    for case in official().get(form.key, []):
        node = case.model.graph.node[0]
        ways = (*sorted(a.name for a in node.attribute), *map(bool, node.input))
        own = case.model.opset_import[0].version
        since = defs.get_schema(form.op_type, own, form.domain).since_version
        alike = since >= form.since or since in UNCHANGED[form.op_type]
        if ways in seen or not alike or DRAWN in case.name:
            continue
        if not fits(case.model.graph, schema):
            continue
        seen.add(ways)
        protos = zip(case.model.graph.input, case.data_sets[0][0], strict=True)
        given = {info.name: value_of(proto) for info, proto in protos}
        yield at_opset(case.model.graph, form.domain, opset), given


def at_opset(graph: onnx.GraphProto, domain: str, opset: int) -> onnx.ModelProto:
    imports = [helper.make_opsetid(domain, opset)]
    if domain:
        imports.append(helper.make_opsetid("", 17))
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


# --- nodes of ours ---


def data(*shape: int) -> Any:
    return np.random.default_rng(0).standard_normal(shape).astype(np.float32)


Nodes = tuple[list[onnx.NodeProto], dict[str, Any], int]
"""Nodes that end in ``y``, their inputs, and the element type of ``y``."""


def node(op_type: str, *inputs: Any, to: int = TensorProto.FLOAT, **given: Any) -> Any:
    """One node of `inputs`."""
    names = [f"x{i}" for i in range(len(inputs))]
    made = helper.make_node(op_type, names, ["y"], **given)
    return [made], dict(zip(names, inputs, strict=True)), to


def loop(opset: int) -> Nodes:
    """Running sums of a value, which stop at a condition."""
    values = helper.make_tensor_value_info
    body = helper.make_graph(
        [
            helper.make_node("Add", ["held", "x0"], ["next"]),
            helper.make_node("ReduceMax", ["next"], ["most"], keepdims=0),
            helper.make_node("Less", ["most", "limit"], ["go"]),
            helper.make_node("Identity", ["next"], ["shown"]),
        ],
        "body",
        [
            values("turn", TensorProto.INT64, []),
            values("on", TensorProto.BOOL, []),
            values("held", TensorProto.FLOAT, [3]),
        ],
        [
            values("go", TensorProto.BOOL, []),
            values("next", TensorProto.FLOAT, [3]),
            values("shown", TensorProto.FLOAT, [3]),
        ],
    )
    inputs = {"x0": np.float32([1, 2, 3]), "limit": np.float32(8)}
    inputs |= {"turns": np.int64(9), "begin": np.array(True)}
    made = helper.make_node("Loop", ["turns", "begin", "x0"], ["last", "y"], body=body)
    inputs = {name: np.asarray(value) for name, value in inputs.items()}
    return [made], inputs, TensorProto.FLOAT


def optional(opset: int) -> Nodes:
    nodes = [
        helper.make_node("Optional", ["x0"], ["held"]),
        helper.make_node("OptionalGetElement", ["held"], ["y"]),
    ]
    return nodes, {"x0": data(3)}, TensorProto.FLOAT


TREE = {
    "nodes_treeids": [0, 0, 0, 1],
    "nodes_nodeids": [0, 1, 2, 0],
    "nodes_featureids": [1, 0, 0, 0],
    "nodes_values": [0.25, 0.0, 0.0, 0.0],
    "nodes_modes": ["BRANCH_LT", "LEAF", "LEAF", "LEAF"],
    "nodes_truenodeids": [1, 0, 0, 0],
    "nodes_falsenodeids": [2, 0, 0, 0],
    "nodes_missing_value_tracks_true": [1, 0, 0, 0],
}
SAMPLES = np.float32([[1, 0], [2, 0.25], [3, 0.5], [4, np.nan]])


def tree_classifier(opset: int) -> Nodes:
    leaves = {
        "class_treeids": [0, 0, 1],
        "class_nodeids": [1, 2, 0],
        "class_ids": [0, 1, 2],
        "class_weights": [0.5, 2.0, 0.75],
        "classlabels_int64s": [7, 8, 9],
        "post_transform": "SOFTMAX",
    }
    made = helper.make_node(
        "TreeEnsembleClassifier", ["x0"], ["label", "y"], domain=ML, **TREE, **leaves
    )
    return [made], {"x0": SAMPLES}, TensorProto.FLOAT


def tree_regressor(opset: int) -> Nodes:
    leaves = {
        "target_treeids": [0, 0, 1],
        "target_nodeids": [1, 2, 0],
        "target_ids": [0, 0, 0],
        "target_weights": [0.5, 2.0, 0.75],
        "n_targets": 1,
        "aggregate_function": "MAX",
    }
    return node("TreeEnsembleRegressor", SAMPLES, domain=ML, **TREE, **leaves)


CERTAIN = np.float32([[-1e4, 0, -1e4], [0, -1e4, -1e4]])
REGIONS = np.float32([[0, 0, 0, 6, 8], [1, 2, 4, 9, 9]])


def certain(opset: int) -> Nodes:
    """Draws of one outcome."""
    return node("Multinomial", CERTAIN, to=TensorProto.INT32, sample_size=4)


def drawn(op_type: str, **given: Any) -> Callable[[int], Nodes]:
    """Random numbers that lie in one point."""
    like = op_type.endswith("Like")
    shape = {} if like else {"shape": [2, 3]}
    inputs = [data(2, 3)] if like else []
    return lambda _: node(op_type, *inputs, **shape, **given)


OURS: dict[str, Callable[[int], Nodes]] = {
    "Bernoulli": lambda _: node("Bernoulli", np.float32([0, 1, 1, 0])),
    "DepthToSpace": lambda _: node("DepthToSpace", data(2, 8, 2, 3), blocksize=2),
    "GlobalLpPool": lambda _: node("GlobalLpPool", data(2, 3, 4, 5), p=3),
    "Loop": loop,
    "MaxRoiPool": lambda _: node(
        "MaxRoiPool", data(2, 3, 6, 6), REGIONS, pooled_shape=[2, 3], spatial_scale=0.5
    ),
    "Multinomial": certain,
    "Optional": optional,
    "RandomNormal": drawn("RandomNormal", mean=3.0, scale=1e-30),
    "RandomNormalLike": drawn("RandomNormalLike", mean=-2.0, scale=1e-30),
    "RandomUniform": drawn("RandomUniform", low=1.5, high=1.5),
    "RandomUniformLike": drawn("RandomUniformLike", low=0.0, high=0.0),
    "TreeEnsembleClassifier": tree_classifier,
    "TreeEnsembleRegressor": tree_regressor,
}
"""Nodes for operators that the suite has none of, of random results, or no oracle."""


def from_us(form: Form, opset: int) -> Iterator[Model]:
    nodes, inputs, to = OURS[form.op_type](opset)
    infos = [
        helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
        )
        for name, array in inputs.items()
    ]
    results = [helper.make_tensor_value_info("y", to, None)]
    graph = helper.make_graph(nodes, "old", infos, results)
    yield at_opset(graph, form.domain, opset), inputs


# --- the comparison ---


def models(form: Form, opset: int) -> list[Model]:
    """What `form` is tried on at `opset`."""
    made = from_us if form.op_type in OURS else from_suite
    return [*made(form, opset)][: CASES if opset == form.first else 1]


def by_oracle(form: Form, model: onnx.ModelProto, given: dict[str, Any]) -> list[Any]:
    """What ONNX Runtime says; where it has no kernel, the evaluator."""
    if form.op_type in REFERENCE or any(map(is_narrow, values_of(model))):
        return ReferenceEvaluator(model).run(None, given)
    options = SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    try:
        session = InferenceSession(model.SerializeToString(), options)
    except (runtime.NotImplemented, runtime.Fail, runtime.InvalidGraph):
        return ReferenceEvaluator(model).run(None, given)
    return session.run(None, given)


def values_of(model: onnx.ModelProto) -> Iterator[onnx.ValueInfoProto]:
    yield from model.graph.input
    yield from model.graph.output


def is_narrow(value: onnx.ValueInfoProto) -> bool:
    """Whether NumPy lacks its type, so that ONNX Runtime neither takes nor gives it."""
    return value.type.tensor_type.elem_type >= TensorProto.BFLOAT16


def arrays_of(value: Any) -> list[Any]:
    """The arrays of a value; those of a sequence one by one."""
    return [*value] if isinstance(value, list) else [np.asarray(value)]


@pytest.mark.parametrize("form", FORMS, ids=str)
def test_form(form: Form, assert_close: Any) -> None:
    for opset in sorted({form.first, form.last}):
        for model, given in models(form, opset):
            wanted = by_oracle(form, model, given)
            found = compile_model(model, "numpy", "O0")(**given)
            for a, b in zip(found, wanted, strict=True):
                for mine, theirs in zip(arrays_of(a), arrays_of(b), strict=True):
                    assert_close(mine, theirs, 4, f"{form} at opset {opset}")


def test_every_form_is_tried() -> None:
    """Nothing is left out, and nothing said to be is there."""
    untried = {(f.op_type, f.since) for f in FORMS if not models(f, f.first)}
    assert untried == NO_ORACLE.keys()
    assert OURS.keys() <= {form.op_type for form in FORMS}
