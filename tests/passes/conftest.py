"""Small random models for the passes to rewrite."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper
from sardonyx.compiler.driver import compile_model, load
from sardonyx.compiler.exporter import to_proto
from sardonyx.compiler.pipelines import run_pipeline


class Writer:
    """Writes a random model, one chance for every pass after another."""

    def __init__(self, seed: int):
        self.rng = np.random.default_rng(seed)
        self.nodes: list[onnx.NodeProto] = []
        self.initializers: list[onnx.TensorProto] = []
        self.image, self.table = "image", "table"

    def node(self, op_type: str, *inputs: str, **attributes: Any) -> str:
        output = f"t{len(self.nodes)}"
        self.nodes.append(
            helper.make_node(op_type, inputs, [output], f"n{output}", **attributes)
        )
        return output

    def constant(self, array: Any) -> str:
        name = f"c{len(self.initializers)}"
        self.initializers.append(numpy_helper.from_array(np.asarray(array), name))
        return name

    def floats(self, *shape: int, low: float = -1.0) -> str:
        return self.constant(self.rng.uniform(low, 1, shape).astype(np.float32))

    # --- pieces ---

    def identity(self) -> None:
        kind = self.rng.integers(4)
        if kind == 0:
            self.table = self.node("Identity", self.table)
        elif kind == 1:
            self.table = self.node("Dropout", self.table)
        elif kind == 2:
            self.table = self.node("Cast", self.table, to=TensorProto.FLOAT)
        else:
            self.table = self.node("Transpose", self.table, perm=[0, 1])

    def convolution(self) -> None:
        weights = [self.floats(3, 3, 3, 3)]
        if self.rng.integers(2):
            weights.append(self.floats(3))
        made = self.node("Conv", self.image, *weights, pads=[1, 1, 1, 1])
        parameters = [self.floats(3) for _ in range(3)] + [self.floats(3, low=0.1)]
        normal = self.node("BatchNormalization", made, *parameters, epsilon=1e-3)
        # With another use the convolution must stay.
        other = self.node("Add", normal, made) if self.rng.integers(3) == 0 else normal
        self.image = self.node("Relu", other)

    def constants(self) -> None:
        a, b = self.floats(4), self.floats(3, 1)
        folded = self.node("Mul", self.node("Exp", a), b)
        self.table = self.node("Add", self.table, folded)

    def sizes(self) -> None:
        shape = self.node("Shape", self.table)
        rows = self.node("Gather", shape, self.constant(np.array([0])), axis=0)
        columns = self.node("Gather", shape, self.constant(np.array([1])), axis=0)
        swapped = self.node("Concat", columns, rows, axis=0)
        turned = self.node("Reshape", self.table, swapped)
        self.table = self.node("Reshape", turned, shape)

    def twice(self) -> None:
        a, b = (self.node("Tanh", self.table) for _ in range(2))
        self.node("Sqrt", b)  # dead
        self.table = self.node("Mul", a, b)

    def composite(self) -> None:
        self.table = self.node(str(self.rng.choice(["Mish", "HardSwish"])), self.table)

    def branch(self) -> None:
        bodies = {}
        for name in ("then_branch", "else_branch"):
            outer, self.nodes = self.nodes, []
            self.nodes = [helper.make_node("Identity", [self.table], [f"{name}0"])]
            table, self.table = self.table, f"{name}0"
            a = self.constant(np.float32(2 if name == "then_branch" else 3))
            body = [
                *self.nodes,
                helper.make_node("Mul", [f"{name}0", a], [f"{name}1"]),
            ]
            self.nodes, self.table = outer, table
            result = helper.make_tensor_value_info(f"{name}1", TensorProto.FLOAT, None)
            bodies[name] = helper.make_graph(body, name, [], [result])
        total = self.node("ReduceSum", self.table, keepdims=0)
        positive = self.node("Greater", total, self.constant(np.float32(0)))
        output = f"t{len(self.nodes)}"
        self.nodes.append(helper.make_node("If", [positive], [output], "if", **bodies))
        self.table = output

    def model(self) -> onnx.ModelProto:
        pieces = [
            self.identity,
            self.convolution,
            self.constants,
            self.sizes,
            self.twice,
            self.composite,
            self.branch,
        ]
        for index in self.rng.permutation(np.repeat(np.arange(len(pieces)), 2)):
            pieces[index]()
        info = helper.make_tensor_value_info
        graph = helper.make_graph(
            self.nodes,
            "random",
            [
                info("image", TensorProto.FLOAT, ["batch", 3, 5, 5]),
                info("table", TensorProto.FLOAT, ["rows", 4]),
            ],
            [
                info(self.image, TensorProto.FLOAT, None),
                info(self.table, TensorProto.FLOAT, None),
            ],
            self.initializers,
        )
        return helper.make_model(graph)


@pytest.fixture(name="random_model")
def random_model_fixture() -> Any:
    """``random_model(seed)``: a model, and inputs for it."""

    def make(seed: int) -> tuple[onnx.ModelProto, dict[str, Any]]:
        rng = np.random.default_rng(seed)
        image = rng.standard_normal((2, 3, 5, 5)).astype(np.float32)
        table = rng.standard_normal((3, 4)).astype(np.float32)
        return Writer(seed).model(), {"image": image, "table": table}

    return make


# --- a model in text, before and after a pass ---

_SIZES = {"batch": 3, "seq": 5, "past": 4, "n": 2, "k": 1}
"""What the symbols of a model in text are, to run it."""


@dataclass
class Rewritten:
    """A model after a pipeline: the ops that it has, and the journals."""

    model: Any
    runs: list[Any]

    @property
    def ops(self) -> list[str]:
        """The names of its ops in their order, constants aside."""
        names = [op.name for op in self.model.module.walk()]
        quiet = ("onnx.Constant", "onnx.none", "onnx.yield")
        return [n[5:] for n in names if n.startswith("onnx.") and n not in quiet]

    @property
    def reasons(self) -> set[str]:
        """Why patterns declined, near and far."""
        journals = [run.journal for run in self.runs]
        return {reason for one in journals for reason in [*one.reasons(), *one.far]}


@pytest.fixture(name="rewritten")
def rewritten_fixture(assert_close: Any) -> Any:
    """
    ``rewritten(text, spec)``: the model in ONNX's text after the passes of `spec`.

    It gave before and gives after, and in ONNX Runtime when exported, what ONNX Runtime
    gives for the text, on random inputs.
    """

    def rewrite(text: str, spec: str, factor: float = 4) -> Rewritten:
        proto = onnx.parser.parse_model(
            f'<ir_version: 9, opset_import: ["": 18]>\n{text}'
        )
        onnx.checker.check_model(proto)
        inputs = _inputs(proto)
        wanted = _in_onnxruntime(proto, inputs)
        model = load(proto)
        before = compile_model(model, backend="numpy", pipeline="O0")(**inputs)
        runs = run_pipeline(model, spec)
        after = compile_model(model, backend="numpy", pipeline="O0")(**inputs)
        exported = _in_onnxruntime(to_proto(model), inputs)
        for found in (before, after, exported):
            for a, b in zip(found, wanted, strict=True):
                assert_close(a, b, factor, spec)
        return Rewritten(model, runs)

    return rewrite


def _inputs(proto: onnx.ModelProto) -> dict[str, Any]:
    rng = np.random.default_rng(len(proto.graph.node))
    arrays: dict[str, Any] = {}
    for value in proto.graph.input:
        kind = value.type.tensor_type
        shape = [_SIZES.get(d.dim_param, d.dim_value) for d in kind.shape.dim]
        dtype = helper.tensor_dtype_to_np_dtype(kind.elem_type)
        drawn = rng.standard_normal(shape) * 3 if dtype.kind == "f" else None
        whole = rng.integers(0, 2, shape) if drawn is None else drawn
        arrays[value.name] = np.asarray(whole).astype(dtype)
    return arrays


def _in_onnxruntime(proto: onnx.ModelProto, inputs: dict[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = (
        onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    )
    session = onnxruntime.InferenceSession(
        proto.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    return list(session.run(None, inputs))
