"""What values are called in ONNX: how a pass finds what calibration measured."""

from __future__ import annotations

from xdsl.dialects.builtin import ModuleOp, StringAttr
from xdsl.dialects.func import FuncOp
from xdsl.ir import SSAValue

from ...dialects.onnx import OnnxOp
from ...dialects.onnx.provenance import argument_name, node_names, tensor_names
from ...dialects.onnx.text import attr_text
from ...dialects.onnx.types import is_none


def value_names(module: ModuleOp) -> dict[SSAValue, str]:
    """
    A name for every value of the functions of `module`, each name once in a function.

    An input and what a node gave have their ONNX names; of several ops that came from
    one node the last has it. The others are called by their node, their operator and a
    number, so that the same passes on the same model give the same names.
    """
    names: dict[SSAValue, str] = {}
    for op in module.ops:
        if isinstance(op, FuncOp) and op.body.blocks:
            _Namer(names).function(op)
    return names


class _Namer:
    def __init__(self, names: dict[SSAValue, str]):
        self.names = names
        self.taken: set[str] = set()

    def function(self, function: FuncOp) -> None:
        block = function.body.block
        for place, argument in enumerate(block.args):
            self._give(argument, _input_name(function, place, argument))
        for op in reversed(list(block.ops)):
            if isinstance(op, OnnxOp):
                self._results(op)

    def _results(self, op: OnnxOp) -> None:
        results = [result for result in op.results if not is_none(result.type)]
        known = tensor_names(op)
        for place, result in enumerate(results):
            name = known[place] if len(known) == len(results) else ""
            if not name or name in self.taken:
                node = (node_names(op) or ("",))[-1]
                name = f"{node}:{op.op_type()}"
            self._give(result, name)

    def _give(self, value: SSAValue, name: str) -> None:
        unique, count = name, 0
        while unique in self.taken:
            count += 1
            unique = f"{name}#{count}"
        self.taken.add(unique)
        self.names[value] = unique


def _input_name(function: FuncOp, place: int, argument: SSAValue) -> str:
    entries = function.arg_attrs
    name = None if entries is None else entries.data[place].data.get("onnx.name")
    if isinstance(name, StringAttr):
        return attr_text(name)
    return argument_name(argument) or f"input{place}"
