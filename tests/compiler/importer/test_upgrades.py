"""
Every rule beside the older operator itself.

A node of an older opset runs in ONNX Runtime or ONNX's reference evaluator; the ops
that its rule writes run in the evaluator at the newest opset. Both must agree.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import defs, helper
from onnx.reference import ReferenceEvaluator
from sardonyx.compiler.importer.upgrades import (
    REFUSED,
    REVIEWED,
    RULES,
    UNCHANGED,
    OldNode,
    rule_for,
)
from sardonyx.dialects.onnx.base import OnnxOp
from sardonyx.dialects.onnx.builder import OnnxBuilder
from sardonyx.dialects.onnx.proto import (
    node_to_proto,
    tensor_to_proto,
    type_to_proto,
)
from sardonyx.dialects.onnx.store import WeightStore
from sardonyx.dialects.onnx.types import (
    WeightAttr,
    element_of,
    element_type,
    shape_of,
    tensor,
)
from xdsl.dialects.builtin import NoneType
from xdsl.ir import Block, SSAValue

OLDEST = {"": 1, "ai.onnx.ml": 1}


# --- the harness ---


@dataclass(frozen=True)
class Case:
    """A node of an older opset and its inputs."""

    op_type: str
    opset: int
    arrays: tuple[Any, ...]
    """The inputs, None where absent."""
    attributes: dict[str, Any] = field(default_factory=dict)
    outputs: tuple[bool, ...] = (True,)
    domain: str = ""
    constant: tuple[int, ...] = ()
    """The inputs whose values the rule may look at."""
    shapes: dict[int, Any] = field(default_factory=dict)
    """What the rule knows of the shapes of inputs, where that is not everything."""

    def __str__(self) -> str:
        shown = [f"{k}={v}" for k, v in self.attributes.items()]
        return " ".join([f"{self.op_type}-{self.opset}", *shown])[:80]


@dataclass(frozen=True)
class Raised:
    """What a rule wrote for a case."""

    block: Block
    store: WeightStore
    names: dict[SSAValue, str]
    """The arguments of the block, called like the inputs of the old node."""
    values: list[SSAValue]

    def ops(self) -> list[OnnxOp]:
        """The ops but for constants."""
        ops = [op for op in self.block.ops if isinstance(op, OnnxOp)]
        return [op for op in ops if op.name != "onnx.Constant"]

    def op_types(self) -> list[str]:
        return [op.op_type() for op in self.ops()]


def raised(case: Case) -> Raised:
    """Apply the rule of a case."""
    block, store = Block(), WeightStore()
    builder = OnnxBuilder(block.add_op, store)
    operands: list[SSAValue | None] = []
    names: dict[SSAValue, str] = {}
    for index, array in enumerate(case.arrays):
        if array is None:
            operands.append(None)
        elif index in case.constant:
            operands.append(builder.constant(array))
        else:
            shape = case.shapes.get(index, array.shape)
            kind = tensor(element_type(array.dtype), shape)
            operands.append(block.insert_arg(kind, len(block.args)))
            names[block.args[-1]] = f"x{index}"
    since = defs.get_schema(case.op_type, case.opset, case.domain).since_version
    newest = defs.get_schema(case.op_type, domain=case.domain).since_version
    rule = rule_for(case.op_type, since, newest)
    assert rule is not None
    given = tuple(operands), case.attributes, case.outputs, case.domain
    old = OldNode(case.op_type, since, *given)
    values = rule(builder, old)
    assert [v is not None for v in values] == list(case.outputs)
    for op in block.ops:
        op.verify()
    return Raised(block, store, names, [v for v in values if v is not None])


def evaluated(case: Case) -> list[Any]:
    """What the ops that the rule wrote give."""
    made = raised(case)
    feeds = {k: v for k, v in feeds_of(case).items() if k in made.names.values()}
    found = ReferenceEvaluator(model_of(made, feeds)).run(None, feeds)
    for value, array in zip(made.values, found, strict=True):
        assert element_of(value.type) == element_type(np.asarray(array).dtype)
        assert fits(np.shape(array), shape_of(value.type)), "the type fits the value"
    return [a.astype(object) if np.asarray(a).dtype.kind == "U" else a for a in found]


def fits(shape: tuple[int, ...], known: Any) -> bool:
    """Whether `shape` is one of those that a type allows."""
    if known is None:
        return True
    sizes = [
        n if d is None or d.constant is None else d.constant
        for d, n in zip(known, shape, strict=True)
    ]
    return tuple(sizes) == shape


def model_of(made: Raised, feeds: dict[str, Any]) -> onnx.ModelProto:
    """The ops that a rule wrote as a model of the newest opset."""
    names = dict(made.names)
    nodes: list[onnx.NodeProto] = []
    initializers: list[onnx.TensorProto] = []
    for op in made.block.ops:
        for result in op.results:
            none = isinstance(result.type, NoneType)
            names[result] = "" if none else f"v{len(names)}"
        if not isinstance(op, OnnxOp):
            continue
        outputs = [names[r] for r in op.results]
        held = op.properties.get("value")
        if isinstance(held, WeightAttr):
            array = made.store[held.data].array()
            initializers.append(tensor_to_proto(array, outputs[0]))
            continue
        inputs = [names[v] for v in op.operands]
        while inputs and not inputs[-1]:
            inputs.pop()
        nodes.append(node_to_proto(op, inputs, outputs))
    infos = [
        helper.make_tensor_value_info(name, dtype_number(a), a.shape)
        for name, a in feeds.items()
    ]
    results = [onnx.ValueInfoProto(name=names[v]) for v in made.values]
    graph = helper.make_graph(nodes, "raised", infos, results, initializers)
    imports = [helper.make_opsetid("", 28), helper.make_opsetid("ai.onnx.ml", 5)]
    return helper.make_model(graph, opset_imports=imports)


def dtype_number(array: Any) -> int:
    if array.dtype == object:
        return onnx.TensorProto.STRING
    return helper.np_dtype_to_tensor_dtype(array.dtype)


def in_protobuf(value: Any) -> Any:
    return tensor_to_proto(value) if isinstance(value, np.ndarray) else value


def old_model(case: Case, kinds: Sequence[Any] = ()) -> onnx.ModelProto:
    """The node in a model of its own opset; `kinds` has its results' dtypes."""
    given = list(enumerate(case.arrays))
    node = helper.make_node(
        case.op_type,
        ["" if a is None else f"x{i}" for i, a in given],
        [f"y{i}" if wanted else "" for i, wanted in enumerate(case.outputs)],
        domain=case.domain,
        **{k: in_protobuf(v) for k, v in case.attributes.items()},
    )
    infos = [
        helper.make_tensor_value_info(f"x{i}", dtype_number(a), a.shape)
        for i, a in given
        if a is not None and i not in case.constant
    ]
    constants = [tensor_to_proto(case.arrays[i], f"x{i}") for i in case.constant]
    names = [name for name in node.output if name]
    results = [onnx.ValueInfoProto(name=name) for name in names]
    for info, array in zip(results, kinds, strict=False):
        kind = tensor(element_type(np.asarray(array).dtype), None)
        info.type.CopyFrom(type_to_proto(kind))
    graph = helper.make_graph([node], "old", infos, results, constants)
    imports = [helper.make_opsetid(case.domain, case.opset)]
    return helper.make_model(graph, opset_imports=imports, ir_version=8)


def feeds_of(case: Case) -> dict[str, Any]:
    given = enumerate(case.arrays)
    return {f"x{i}": a for i, a in given if a is not None and i not in case.constant}


def by_runtime(case: Case, kinds: Sequence[Any]) -> list[Any]:
    """What ONNX Runtime gives for the node at its own opset."""
    model = old_model(case, kinds).SerializeToString()
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    providers = ["CPUExecutionProvider"]
    session = onnxruntime.InferenceSession(model, options, providers=providers)
    return session.run(None, feeds_of(case))


def by_reference(case: Case) -> list[Any]:
    """What ONNX's reference evaluator gives for the node at its own opset."""
    return ReferenceEvaluator(old_model(case)).run(None, feeds_of(case))


def data(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(dtype)


def floats(*values: float) -> Any:
    return np.array(values, np.float32)


def ints(*values: int) -> Any:
    return np.array(values, np.int64)


IMAGE = data(2, 3, 4, 5)
SMALL = np.arange(1, 9, dtype=np.float32).reshape(1, 1, 2, 4)


# --- what every rule means ---

SOFTMAXES = [
    Case(op, opset, (IMAGE,), attributes, shapes=shapes)
    for op in ("Softmax", "LogSoftmax", "Hardmax")
    for opset, attributes in (
        (7, {}),
        (7, {"axis": 0}),
        (11, {"axis": 2}),
        (11, {"axis": -1}),
        (11, {"axis": -3}),
    )
    for shapes in ({}, {0: ("n", 3, None, 5)}, {0: None})
]

_AXES: list[dict[str, Any]] = [{}, {"axes": [1], "keepdims": 0}, {"axes": [0, 2]}]
_REDUCTIONS = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum")
REDUCTIONS = [
    Case(f"Reduce{name}", opset, (np.abs(IMAGE),), attributes)
    for name in _REDUCTIONS
    for opset in (7, 11)
    for attributes in _AXES
] + [
    Case(f"Reduce{name}", opset, (IMAGE,), {"axes": [-1]})
    for name, opset in (("SumSquare", 7), ("Max", 12), ("Min", 13), ("Mean", 13))
]
REDUCTIONS += [
    Case(
        f"Reduce{name}",
        18,
        (np.abs(IMAGE), np.array([1])),
        {"keepdims": 0},
        constant=(1,),
    )
    for name in ("LogSum", "LogSumExp")
]

BATCH_NORM = (IMAGE, data(3), data(3, seed=1), data(3, seed=2), np.abs(data(3, seed=3)))

NORMALIZED = [
    Case("BatchNormalization", 7, BATCH_NORM, {"epsilon": 1e-3, "spatial": 1}),
    Case("BatchNormalization", 9, BATCH_NORM, {"momentum": 0.5}),
    Case("BatchNormalization", 14, BATCH_NORM),
]

CLIPPED = [
    Case("Clip", 7, (IMAGE,), {"min": -0.5, "max": 0.5}),
    Case("Clip", 7, (IMAGE,), {"max": 0.25}),
    Case("Clip", 7, (IMAGE,)),
    Case("Clip", 11, (IMAGE, np.array(-0.5, np.float32), np.array(0.5, np.float32))),
    Case("Clip", 12, (np.arange(9), None, np.array(5, np.int64))),
]

MOVED = [
    Case("Squeeze", 7, (data(1, 3, 1, 2),), {"axes": [2]}),
    Case("Squeeze", 11, (data(1, 3, 1, 2),)),
    Case("Unsqueeze", 7, (data(3, 2),), {"axes": [3, 0]}),
    Case("Unsqueeze", 11, (data(3, 2),), {"axes": [-1]}),
    Case("Slice", 7, (IMAGE,), {"starts": [1, -3], "ends": [2, 100], "axes": [1, 3]}),
    Case("Slice", 7, (IMAGE,), {"starts": [0, 1], "ends": [-1, 3]}),
    Case("Slice", 10, (IMAGE, ints(3), ints(-100), ints(2), ints(-2))),
    Case("Split", 7, (IMAGE,), {"axis": 3, "split": [1, 4]}, (True, True)),
    Case("Split", 11, (IMAGE,), {"axis": -2}, (True, True)),
    Case("Split", 13, (IMAGE, ints(3, 2)), {"axis": 3}, (True, True)),
    Case("Split", 13, (IMAGE,), {"axis": 1}, (True, True, True)),
    Case("Pad", 7, (IMAGE,), {"pads": [0, 0, 1, 2, 0, 1, 0, 3], "value": 1.5}),
    Case("Pad", 7, (IMAGE,), {"pads": [0, 0, 1, 2, 0, 0, 2, 1], "mode": "reflect"}),
    Case("Pad", 7, (IMAGE,), {"pads": [0, 0, 1, 2, 0, 0, 2, 1], "mode": "edge"}),
    Case("Pad", 11, (IMAGE, ints(0, 1, 1, 2, 0, 0, 2, 1), np.array(3, np.float32))),
    Case("TopK", 7, (IMAGE,), {"k": 2}, (True, True)),
    Case("TopK", 7, (IMAGE,), {"k": 3, "axis": 1}, (True, True)),
    Case("TopK", 10, (IMAGE, ints(2)), {"axis": 2}, (True, True)),
    Case(
        "Scatter", 9, (data(3, 4), ints(1, 0, 2, 0).reshape(1, 4), data(1, 4, seed=1))
    ),
    Case(
        "ScatterElements",
        11,
        (data(2, 3), ints(2, 0).reshape(2, 1), data(2, 1)),
        {"axis": 1},
    ),
    Case("Reshape", 7, (IMAGE, ints(0, -1, 5))),
    Case("DepthToSpace", 7, (data(1, 8, 2, 3),), {"blocksize": 2}),
    Case("OneHot", 9, (ints(0, 2, 1), np.array(3), floats(-1, 1)), {"axis": 0}),
    Case("ConstantOfShape", 9, (ints(2, 3),), {"value": ints(7)}),
    Case("Gather", 7, (IMAGE, ints(2, 0)), {"axis": 1}),
    Case("CumSum", 11, (IMAGE, np.array(1, np.int32)), {"exclusive": 1, "reverse": 1}),
    Case("Dropout", 7, (IMAGE,), {"ratio": 0.75}),
    Case("Dropout", 10, (IMAGE,), {"ratio": 0.75}),
    Case("Dropout", 12, (IMAGE,), outputs=(True, True)),
    Case("Erf", 9, (IMAGE,)),
]

_UP = {"coordinate_transformation_mode": "align_corners"}
_CROP = {"coordinate_transformation_mode": "tf_crop_and_resize", "mode": "linear"}
_ROI = floats(0, 0, 0.25, 0.5, 1, 1, 0.75, 1)
RESIZED = [
    *(
        Case("Upsample", 7, (SMALL,), {"scales": scales, "mode": mode})
        for mode in ("nearest", "linear")
        for scales in ([1.0, 1.0, 2.0, 3.0], [1.0, 1.0, 1.5, 2.5])
    ),
    Case("Upsample", 9, (SMALL, floats(1, 1, 2, 1.5)), constant=(1,)),
    Case("Upsample", 9, (SMALL, floats(1, 1, 2, 1.5)), {"mode": "linear"}),
    *(
        Case(
            "Resize", 10, (SMALL, floats(1, 1, *scales)), {"mode": mode}, constant=seen
        )
        for mode in ("nearest", "linear")
        for scales in ((2.5, 3), (0.6, 0.6), (2, 0.6), (0.5, 1.5), (1, 1))
        for seen in ((), (1,))
    ),
    Case("Resize", 11, (SMALL, floats(), floats(1, 1, 2, 1.5))),
    Case(
        "Resize", 11, (SMALL, floats(), floats(), ints(1, 1, 5, 3)), {"mode": "linear"}
    ),
    Case("Resize", 11, (SMALL, floats(), floats(1, 1, 2, 2)), {"mode": "cubic"}),
    Case("Resize", 11, (SMALL, floats(), floats(), ints(1, 1, 3, 7)), _UP),
    Case("Resize", 11, (SMALL, _ROI, floats(), ints(1, 1, 3, 5)), _CROP),
    *(
        Case(
            "Resize",
            11,
            (SMALL, floats(), floats(1, 1, *scales)),
            {
                "coordinate_transformation_mode": "tf_half_pixel_for_nn",
                "nearest_mode": nearest,
            },
        )
        for nearest in ("floor", "round_prefer_floor")
        for scales in ((2, 3), (0.5, 0.7), (1.5, 2.5))
    ),
    Case("Resize", 13, (SMALL, None, floats(1, 1, 0.5, 2)), {"nearest_mode": "ceil"}),
    Case("Resize", 13, (SMALL, None, None, ints(1, 1, 3, 6)), {"mode": "cubic"}),
    Case("Resize", 18, (SMALL, None, floats(2, 2)), {"axes": [2, 3], "mode": "linear"}),
    *(
        Case(
            "Resize",
            opset,
            (SMALL, floats(), floats(), ints(1, 1, 4, 8)),
            constant=(1, 2),
        )
        for opset in (13, 19)
    ),
]

ROIS = floats(0, 0, 4, 4, 1, 2, 3, 5).reshape(2, 4)
_ALIGN = {"output_height": 2, "output_width": 3, "sampling_ratio": 2}
_GRID = np.clip(data(2, 3, 4, 2, seed=5), -0.9, 0.9)
SAMPLED = [
    Case("RoiAlign", 10, (data(1, 2, 6, 6), ROIS, ints(0, 0)), _ALIGN),
    Case("RoiAlign", 16, (data(1, 2, 6, 6), ROIS, ints(0, 0)), _ALIGN),
    *(
        Case("GridSample", 16, (IMAGE, _GRID), {"mode": mode, "align_corners": 1})
        for mode in ("bilinear", "nearest", "bicubic")
    ),
    Case("GridSample", 16, (IMAGE, _GRID), {"padding_mode": "border"}),
]

_POOL = {"kernel_shape": [3, 3], "strides": [2, 2], "pads": [1, 1, 1, 1]}
POOLED = [
    Case("AveragePool", 7, (IMAGE,), _POOL),
    Case("AveragePool", 7, (IMAGE,), {**_POOL, "count_include_pad": 1}),
    Case(
        "AveragePool", 7, (IMAGE,), {"kernel_shape": [2, 2], "auto_pad": "SAME_LOWER"}
    ),
    Case("AveragePool", 10, (IMAGE,), {**_POOL, "ceil_mode": 1}),
    Case("AveragePool", 11, (IMAGE,), {"kernel_shape": [3, 2], "auto_pad": "VALID"}),
    Case(
        "AveragePool",
        11,
        (IMAGE[..., :3],),
        {"kernel_shape": [2, 2], "strides": [2, 2], "pads": [1] * 4, "ceil_mode": 1},
    ),
    Case("MaxPool", 7, (IMAGE,), _POOL),
    Case("MaxPool", 8, (IMAGE,), _POOL, (True, True)),
    Case(
        "MaxPool",
        11,
        (IMAGE,),
        {"kernel_shape": [2, 2], "dilations": [2, 2], "ceil_mode": 1},
    ),
    Case("LpPool", 11, (IMAGE,), {"kernel_shape": [2, 2], "p": 3}),
    Case("GlobalAveragePool", 7, (IMAGE,)),
    Case("Conv", 7, (IMAGE, data(4, 3, 3, 3)), {"auto_pad": "SAME_UPPER"}),
    Case("InstanceNormalization", 7, (IMAGE, data(3), data(3, seed=1))),
    Case("Gemm", 7, (data(2, 3), data(4, 3), data(4)), {"transB": 1, "alpha": 0.5}),
    Case(
        "ConvTranspose",
        7,
        (data(1, 2, 3, 3), data(2, 4, 3, 3)),
        {"strides": [2, 2], "auto_pad": "SAME_UPPER"},
    ),
]

_LSTM = (data(4, 2, 3), data(1, 20, 3), data(1, 20, 5))
_GRU = (data(4, 2, 3), data(1, 15, 3), data(1, 15, 5))
OTHERS = [
    Case("LSTM", 7, _LSTM, {"hidden_size": 5}, (True, True, True)),
    Case("GRU", 7, _GRU, {"hidden_size": 5, "linear_before_reset": 1}, (True, True)),
    Case(
        "QuantizeLinear",
        10,
        (IMAGE, np.array(0.1, np.float32), np.array(128, np.uint8)),
    ),
    Case("QuantizeLinear", 13, (IMAGE, floats(0.1, 0.2, 0.3), np.zeros(3, np.int8))),
    Case(
        "DequantizeLinear",
        10,
        (ints(1, 200).astype(np.uint8), np.array(0.1, np.float32)),
    ),
    Case("Cast", 9, (floats(-1.5, 2.5),), {"to": onnx.TensorProto.INT32}),
    Case("ArgMax", 11, (IMAGE,), {"axis": 1, "keepdims": 0}),
    Case("Max", 7, (IMAGE, -IMAGE)),
    Case("Mod", 10, (ints(-5, 5, 7), ints(3, -3, 4))),
    Case("Pow", 7, (np.abs(IMAGE), IMAGE)),
    Case(
        "Range",
        11,
        (np.array(0, np.float32), np.array(2, np.float32), np.array(0.5, np.float32)),
    ),
    Case(
        "LabelEncoder",
        1,
        (np.array(["b", "x", "a"], object),),
        {"classes_strings": ["a", "b"], "default_int64": -7},
        domain="ai.onnx.ml",
    ),
    Case(
        "LabelEncoder",
        1,
        (ints(1, 5, 0),),
        {"classes_strings": ["a", "b"]},
        domain="ai.onnx.ml",
    ),
    Case(
        "LabelEncoder",
        2,
        (ints(1, 5, 0),),
        {"keys_int64s": [0, 1], "values_floats": [0.5, 2.0], "default_float": -3.0},
        domain="ai.onnx.ml",
    ),
]


@pytest.mark.parametrize(
    "case",
    [
        *SOFTMAXES,
        *REDUCTIONS,
        *NORMALIZED,
        *CLIPPED,
        *MOVED,
        *RESIZED,
        *SAMPLED,
        *POOLED,
        *OTHERS,
    ],
    ids=str,
)
def test_as_in_onnx_runtime(case: Case, assert_close: Any) -> None:
    found = evaluated(case)
    for a, b in zip(found, by_runtime(case, found), strict=True):
        assert_close(a, b, 4)


_HEADS = {"q_num_heads": 4, "kv_num_heads": 2, "is_causal": 1}
_Q, _K, _V = data(1, 4, 3, 8), data(1, 2, 5, 8, seed=1), data(1, 2, 5, 8, seed=2)
_GROUPED = (data(2, 6, 4), data(3), data(3, seed=1))
REFERENCED = [
    Case("LRN", 7, (IMAGE,), {"size": 3}),
    Case("Attention", 23, (_Q, _K, _V), _HEADS),
    Case("Attention", 23, (_Q, _K, _V, data(3, 5, seed=3)), {"softcap": 2.0}),
    Case("Attention", 24, (_Q, _K, _V), _HEADS),
    Case("GroupNormalization", 18, _GROUPED, {"num_groups": 3}),
    Case(
        "GroupNormalization",
        18,
        tuple(a.astype(np.float64) for a in _GROUPED),
        {"num_groups": 3},
    ),
    *(
        Case("DFT", 17, (data(2, 6, 5, 1),), attributes)
        for attributes in ({}, {"axis": 2, "onesided": 1}, {"axis": -2})
    ),
    Case("DFT", 17, (data(2, 6, 2), np.array(4, np.int64)), {"inverse": 1}),
]


@pytest.mark.parametrize("case", REFERENCED, ids=str)
def test_as_in_the_reference(case: Case, assert_close: Any) -> None:
    for a, b in zip(evaluated(case), by_reference(case), strict=True):
        assert_close(a, b, 4)


def test_clip_of_doubles_stops_at_the_largest_float32() -> None:
    (found,) = evaluated(Case("Clip", 7, (np.array([1e300, -1e300, 2.0]),)))
    largest = float(np.finfo(np.float32).max)
    assert found.tolist() == [largest, -largest, 2.0]


@pytest.mark.parametrize(
    ("attributes", "wanted", "bounds"),
    [
        ({"min": -1e6, "max": 2.0}, [-6e4, 2], [False, True]),
        ({"min": 1e6}, [65504, 65504], [True, False]),
    ],
)
def test_clip_of_half_floats_stays_in_their_range(
    attributes: dict[str, Any], wanted: list[float], bounds: list[bool]
) -> None:
    case = Case("Clip", 7, (np.float16([-6e4, 5]),), attributes)
    (found,) = evaluated(case)
    assert found.tolist() == np.float16(wanted).tolist()
    (op,) = raised(case).ops()
    assert [not isinstance(v.type, NoneType) for v in op.operands[1:]] == bounds


@pytest.mark.parametrize(("opset", "dtype"), [(7, np.float32), (10, np.bool_)])
def test_dropout_keeps_everything(opset: int, dtype: Any, assert_close: Any) -> None:
    found = evaluated(Case("Dropout", opset, (IMAGE,), outputs=(True, True)))
    assert_close(found[0], IMAGE)
    assert_close(found[1], np.ones(IMAGE.shape, dtype))


def test_softmax_of_nothing_keeps_its_shape() -> None:
    (found,) = evaluated(Case("Softmax", 11, (data(2, 3, 0),), {"axis": 1}))
    assert found.shape == (2, 3, 0)


@pytest.mark.parametrize(
    ("attributes", "wanted"),
    [
        ({"value": floats(*range(20))}, floats(*range(20))),
        ({"value_float": 2.5}, np.array(2.5, np.float32)),
        ({"value_floats": [1.0, 2.0]}, floats(1, 2)),
        ({"value_int": 3}, np.array(3, np.int64)),
        ({"value_ints": [3, 4]}, ints(3, 4)),
    ],
)
def test_constants_become_tensors(
    attributes: dict[str, Any], wanted: Any, assert_close: Any
) -> None:
    case = Case("Constant", 13, (), attributes)
    assert_close(evaluated(case)[0], wanted)
    (op,) = raised(case).block.ops
    assert list(op.properties) == ["value"]


def test_constants_of_strings() -> None:
    (found,) = evaluated(Case("Constant", 13, (), {"value_strings": ["a", "b"]}))
    assert found.tolist() == ["a", "b"]


# --- what a rule writes ---


def test_softmax_over_one_axis_is_not_reshaped() -> None:
    for case in (
        Case("Softmax", 11, (data(2, 3, 1, 1),)),
        Case("Softmax", 11, (data(2, 3),), {"axis": -1}),
    ):
        assert raised(case).op_types() == ["Softmax"]


def test_softmax_of_symbolic_shape_asks_for_it() -> None:
    case = Case("Softmax", 11, (IMAGE,), shapes={0: ("n", 3, 4, 5)})
    assert raised(case).op_types() == ["Flatten", "Softmax", "Shape", "Reshape"]


def test_one_resize_where_every_scale_goes_one_way() -> None:
    for scales, nearest in (((2, 1), "floor"), ((1, 0.5), "ceil")):
        case = Case("Resize", 10, (SMALL, floats(1, 1, *scales)), constant=(1,))
        (op,) = raised(case).ops()
        assert op.python_attributes()["nearest_mode"] == nearest


def test_defaults_are_left_out() -> None:
    (op,) = raised(Case("Gather", 7, (IMAGE, ints(0)), {"axis": 0})).ops()
    assert op.properties == {}


def test_output_shape_with_even_padding_is_kept() -> None:
    attributes = {"strides": [2], "output_shape": [7]}
    case = Case("ConvTranspose", 7, (data(1, 1, 4), data(1, 1, 3)), attributes)
    (op,) = raised(case).ops()
    assert op.python_attributes() == {"strides": (2,), "output_shape": (7,)}


def test_a_wrong_rule_is_noticed(assert_close: Any) -> None:
    case = Case("Softmax", 7, (IMAGE,))
    wanted = by_runtime(case, [IMAGE])[0]
    model = old_model(Case("Softmax", 13, (IMAGE,)))
    with pytest.raises(AssertionError):
        assert_close(ReferenceEvaluator(model).run(None, {"x0": IMAGE})[0], wanted, 4)


# --- refusals ---

_HALF = {"coordinate_transformation_mode": "tf_half_pixel_for_nn"}
_ODD = {"strides": [2], "output_shape": [6]}


@pytest.mark.parametrize(
    ("case", "message"),
    [
        (Case("BatchNormalization", 7, BATCH_NORM, {"spatial": 0}), "spatial = 0"),
        (
            Case("BatchNormalization", 9, BATCH_NORM, outputs=(True, True)),
            "training outputs",
        ),
        (Case("Softmax", 11, (IMAGE,), {"axis": 4}), "axis 4 is not in rank 4"),
        (
            Case(
                "GroupNormalization",
                18,
                (data(2, 4, 3), data(2), data(2)),
                {"num_groups": 2},
                shapes={0: (2, "c", 3)},
            ),
            "number of channels is not known",
        ),
        (
            Case(
                "GroupNormalization",
                18,
                (data(2, 4, 3), data(3), data(3)),
                {"num_groups": 3},
            ),
            "4 channels are not 3 groups",
        ),
        (Case("Upsample", 7, (SMALL,), {"scales": [1.0, 1.0, 0.5, 1.0]}), "below 1"),
        (Case("Upsample", 7, (SMALL,)), "'scales' is missing"),
        (
            Case("Upsample", 7, (SMALL,), {"scales": [1.0], "mode": "cubic"}),
            "found mode 'cubic'",
        ),
        (
            Case("Resize", 10, (SMALL, floats(1)), {"antialias": 1}),
            "no attribute 'antialias'",
        ),
        (Case("Resize", 11, (SMALL, floats(), floats())), "either scales or sizes"),
        (
            Case("Resize", 13, (SMALL, None, floats(1, 1, 2, 2), ints(1, 1, 4, 8))),
            "either scales or sizes",
        ),
        (
            Case(
                "Resize", 11, (SMALL, floats(), floats(1)), {**_HALF, "mode": "linear"}
            ),
            "tf_half_pixel_for_nn",
        ),
        (
            Case(
                "Resize",
                11,
                (SMALL, floats(), floats(1)),
                {**_HALF, "nearest_mode": "ceil"},
            ),
            "'tf_half_pixel_for_nn' with 'ceil'",
        ),
        (
            Case("GridSample", 16, (IMAGE, _GRID), {"mode": "cubic"}),
            "found mode 'cubic'",
        ),
        (Case("ConvTranspose", 7, (data(1, 1, 3), data(1, 1, 3)), _ODD), "odd"),
        (
            Case(
                "ConvTranspose",
                7,
                (data(1, 1, 3), data(1, 1, 3)),
                {"strides": [2], "output_shape": [7]},
                shapes={0: (1, 1, "w")},
            ),
            "not known",
        ),
        (Case("Attention", 23, (_Q, _K, _V, data(3, 1))), "one column"),
        (Case("Attention", 23, (_Q, _K, _V), {"q_num_heads": 3}), "q_num_heads is 3"),
        (Case("ReduceLogSum", 11, (ints(1, 2),)), "found an input of int64"),
        (Case("Erf", 9, (ints(1, 2),)), "found an input of int64"),
        (Case("Slice", 7, (IMAGE,), {"starts": [0], "ends": [1, 2]}), "found 1 starts"),
        (Case("Slice", 7, (IMAGE,), {"starts": [0]}), "'ends' is missing"),
        (Case("Pad", 7, (IMAGE,)), "'pads' is missing"),
        (Case("TopK", 7, (IMAGE,), outputs=(True, True)), "'k' is missing"),
        (Case("TopK", 7, (None,), {"k": 1}), "input 0 is missing"),
        (Case("Unsqueeze", 7, (IMAGE,)), "'axes' is missing"),
        (Case("Concat", 7, (IMAGE, IMAGE)), "'axis' is missing"),
        (Case("Squeeze", 7, (IMAGE,), {"axis": 1}), "no attribute 'axis'"),
        (Case("Constant", 12, (), {"sparse_value": None}), "'sparse_value'"),
        (Case("Constant", 12, (), {}), "found 0 attributes"),
    ],
    ids=lambda value: str(value)[:60],
)
def test_refused(case: Case, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        raised(case)


def test_no_rule() -> None:
    assert rule_for("Scan", 8, 25) is None
    assert rule_for("Relu", 3, 14) is None
    assert rule_for("Nothing", 1, 2) is None


def test_forms_that_came_later_are_not_guessed() -> None:
    assert rule_for("Relu", 13, REVIEWED + 1) is None
    assert rule_for("Relu", REVIEWED + 1, REVIEWED + 1) is not None


# --- the tables ---


def reachable() -> dict[str, list[defs.OpSchema]]:
    """The forms of every operator that a model may select, oldest first."""
    forms: dict[str, list[defs.OpSchema]] = defaultdict(list)
    for schema in defs.get_all_schemas_with_history():
        if schema.domain in OLDEST:
            forms[schema.name].append(schema)
    for schemas in forms.values():
        schemas.sort(key=lambda s: s.since_version)
        oldest = OLDEST[schemas[0].domain]
        while len(schemas) > 1 and schemas[1].since_version <= oldest:
            del schemas[0]
    return forms


def test_the_tables_were_compared_with_the_installed_onnx() -> None:
    assert defs.onnx_opset_version() == REVIEWED


def test_every_form_is_in_one_table() -> None:
    unchanged = {(name, v) for name, versions in UNCHANGED.items() for v in versions}
    assert not unchanged & set(RULES)
    assert not (unchanged | set(RULES)) & set(REFUSED)
    forms = reachable()
    found = unchanged | set(RULES) | set(REFUSED)
    assert found <= {(n, s.since_version) for n, ss in forms.items() for s in ss}
    older = {(n, s.since_version) for n, ss in forms.items() for s in ss[:-1]}
    # The importer writes Scan-8 as two of today's, where it has the subgraph.
    assert older <= found | {("Scan", 8)}
    deprecated = {
        (name, schemas[-1].since_version)
        for name, schemas in forms.items()
        if schemas[-1].deprecated and schemas[-1].domain == ""
    }
    assert deprecated <= set(RULES)


def signature(schema: defs.OpSchema) -> dict[str, Any]:
    """The attributes of a form: kind, whether required, default."""
    return {
        name: (
            a.type,
            a.required,
            helper.get_attribute_value(a.default_value)
            if a.default_value.type
            else None,
        )
        for name, a in schema.attributes.items()
    }


@pytest.mark.parametrize("name", sorted(UNCHANGED))
def test_unchanged_forms_have_the_same_inputs_and_defaults(name: str) -> None:
    schemas = {s.since_version: s for s in reachable()[name]}
    newest = schemas[max(schemas)]
    now = signature(newest)
    for version in UNCHANGED[name]:
        old = signature(schemas[version])
        assert old.items() <= now.items()
        assert not any(now[added][1] for added in now.keys() - old.keys())
        for inputs, then in (
            (newest.inputs, schemas[version].inputs),
            (newest.outputs, schemas[version].outputs),
        ):
            assert len(then) <= len(inputs)
            assert all(p.option.name != "Single" for p in inputs[len(then) :])
            kinds = [(p.option.name == "Variadic") for p in then]
            assert kinds == [(p.option.name == "Variadic") for p in inputs[: len(then)]]


def test_large_tensor_attributes_go_to_the_store(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # ONNX infers no type for this operator.
    kind = tensor(element_type(np.dtype(np.float32)), (2, 1))
    monkeypatch.setattr(
        "sardonyx.dialects.onnx.builder.result_types", lambda *_: [kind]
    )
    block, store = Block(arg_types=[kind]), WeightStore()
    attributes = {"nodes_values_as_tensor": data(20), "n_targets": 1}
    name = "TreeEnsembleRegressor"
    rule = rule_for(name, 3, 5)
    assert rule is not None
    old = OldNode(name, 3, (block.args[0],), attributes, (True,), "ai.onnx.ml")
    rule(OnnxBuilder(block.add_op, store), old)
    assert list(store) == ["nodes_values_as_tensor"]
