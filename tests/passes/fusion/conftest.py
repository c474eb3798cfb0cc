"""Graphs written op by op, fused, and run before and after and on ONNX Runtime."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import helper, numpy_helper
from sardonyx.compiler.driver import compile_model, load
from sardonyx.compiler.exporter import to_proto
from sardonyx.compiler.pipelines import run_pipeline


@dataclass
class Graph:
    """
    Writes a model: ``g.Mul(a, b)`` adds a node and gives the name of its result.

    Arrays and numbers become constants: initializers, or Constant nodes with `nodes`.
    """

    opset: int = 20
    nodes: bool = False
    body: list[Any] = field(default_factory=list)
    initializers: list[Any] = field(default_factory=list)
    inputs: dict[str, Any] = field(default_factory=dict)
    dims: dict[str, tuple[Any, ...]] = field(default_factory=dict)

    def input(self, name: str, array: Any, dims: tuple[Any, ...] | None = None) -> str:
        self.inputs[name] = array
        self.dims[name] = array.shape if dims is None else dims
        return name

    def constant(self, array: Any) -> str:
        name = f"c{len(self.initializers) + len(self.body)}"
        tensor = numpy_helper.from_array(np.asarray(array), name)
        if self.nodes:
            self.body.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            self.initializers.append(tensor)
        return name

    def node(
        self, kind: str, *operands: Any, results: int = 1, **attributes: Any
    ) -> Any:
        names = [
            o if isinstance(o, str) else "" if o is None else self.constant(o)
            for o in operands
        ]
        made = [f"v{len(self.body)}_{i}" for i in range(results)]
        self.body.append(helper.make_node(kind, names, made, **attributes))
        return made[0] if results == 1 else made

    def __getattr__(self, kind: str) -> Callable[..., Any]:
        if kind[0].isupper():
            return lambda *o, **a: self.node(kind, *o, **a)
        raise AttributeError(kind)

    def model(self, *outputs: str) -> onnx.ModelProto:
        infos = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), self.dims[name]
            )
            for name, array in self.inputs.items()
        ]
        results = [onnx.ValueInfoProto(name=name) for name in outputs]
        graph = helper.make_graph(
            self.body, "fusion", infos, results, self.initializers
        )
        imports = [helper.make_opsetid("", self.opset)]
        proto = helper.make_model(graph, opset_imports=imports, ir_version=10)
        return onnx.shape_inference.infer_shapes(proto)


def _on_onnxruntime(proto: onnx.ModelProto, inputs: dict[str, Any]) -> list[Any]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(proto.SerializeToString(), options)
    return session.run(None, inputs)


@pytest.fixture(name="graph")
def graph_fixture() -> type[Graph]:
    """The writer of graphs."""
    return Graph


@pytest.fixture(name="fused")
def fused_fixture(assert_close: Any) -> Callable[..., Counter[str]]:
    """
    ``fused(graph, outputs, spec)``: the operators left, checked to mean the same.

    Results are those of ONNX Runtime on the original, of the original on NumPy, and of
    the fused graph on NumPy; with `exported`, also of ONNX Runtime on its export.
    """

    def run(
        graph: Graph, outputs: Any, spec: str, exported: bool = True, factor: float = 8
    ) -> Counter[str]:
        names = [outputs] if isinstance(outputs, str) else outputs
        proto = graph.model(*names)
        wanted = _on_onnxruntime(proto, graph.inputs)
        model = load(proto)
        before = compile_model(model, backend="numpy", pipeline="O0")(**graph.inputs)
        run_pipeline(model, f"fold-constants,cse,{spec},cse,dce")
        after = compile_model(model, backend="numpy", pipeline="O0")(**graph.inputs)
        for a, b, c in zip(before, after, wanted, strict=True):
            assert_close(a, c, factor, "before")
            assert_close(b, c, factor, "after")
        if exported:
            for a, c in zip(
                _on_onnxruntime(to_proto(model), graph.inputs), wanted, strict=True
            ):
                assert_close(a, c, factor, "exported")
        quiet = {"Constant", "none", "module", "func", "return"}
        kinds = [op.name.partition(".")[2] for op in model.module.walk()]
        return Counter(kind for kind in kinds if kind not in quiet)

    return run


@pytest.fixture(name="reasons")
def reasons_fixture() -> Callable[..., list[str]]:
    """``reasons(graph, outputs, spec)``: why the last pass of `spec` declined."""

    def run(graph: Graph, outputs: str, spec: str) -> list[str]:
        model = load(graph.model(outputs))
        runs = run_pipeline(model, f"fold-constants,cse,{spec}")
        return sorted(runs[-1].journal.reasons())

    return run
