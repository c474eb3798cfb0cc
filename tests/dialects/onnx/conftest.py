"""What tests of the dialect share: printing and parsing, and op fields' values."""

import math
from io import StringIO
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator
from sardonyx.compiler.context import make_context
from sardonyx.dialects.onnx import OnnxBuilder, WeightStore
from sardonyx.dialects.onnx.types import (
    ELEMENT_TYPES,
    element_of,
    numpy_dtype,
    shape_of,
    tensor,
)
from xdsl.dialects.builtin import ModuleOp
from xdsl.dialects.test import TestOp
from xdsl.ir import Attribute, Block, Operation
from xdsl.parser import Parser
from xdsl.printer import Printer


def printed(op: Operation) -> str:
    """`op` as text with locations."""
    stream = StringIO()
    Printer(stream, print_debuginfo=True).print_op(op)
    return stream.getvalue()


@pytest.fixture(name="reparse")
def reparse_fixture() -> Any:
    """``reparse(module)``: the module parsed from its text, whose text is the same."""

    def reparse(module: ModuleOp) -> ModuleOp:
        text = printed(module)
        again = Parser(make_context(), text).parse_module()
        assert printed(again) == text
        return again

    return reparse


@pytest.fixture(name="reparse_attribute")
def reparse_attribute_fixture() -> Any:
    """``reparse_attribute(attribute)``: it, printed and parsed."""
    context = make_context()

    def reparse(attribute: Attribute) -> Attribute:
        stream = StringIO()
        Printer(stream).print_attribute(attribute)
        return Parser(context, stream.getvalue()).parse_attribute()

    return reparse


class Workbench:
    """A block with arguments of any type, and a builder that writes to it."""

    def __init__(self, *types: Attribute):
        self.block = Block(arg_types=types)
        self.args = self.block.args
        self.store = WeightStore()
        self.builder = OnnxBuilder(self.block.add_op, self.store)
        self.integers = self.builder.integers

    def value(self, *arguments: Any, **attributes: Any) -> Any:
        """The result of an op of one."""
        return self.builder.value(*arguments, **attributes)

    def constant(self, array: Any) -> Any:
        """A constant."""
        return self.builder.constant(array)


@pytest.fixture(name="workbench")
def workbench_fixture() -> type[Workbench]:
    """``workbench(*types)``: a `Workbench`."""
    return Workbench


@pytest.fixture(name="placeholders")
def placeholders_fixture() -> Any:
    """``placeholders(*types)``: an op that gives a value of each type."""
    return lambda *types: TestOp(result_types=types)


class Twin:
    """
    A graph written twice: as our ops, with inferred types, and as ONNX nodes.

    `sizes` are the sizes that the symbols have when the reference evaluator runs the
    nodes; every step runs at once, so that `arrays` holds the value of every name.
    """

    def __init__(self, sizes: dict[str, int], **inputs: tuple[str, list[Any]]):
        self.sizes = sizes
        kinds = [tensor(ELEMENT_TYPES[e], shape) for e, shape in inputs.values()]
        self.bench = Workbench(*kinds)
        self.values = dict(zip(inputs, self.bench.args, strict=True))
        self.arrays: dict[str, Any] = {}
        for name, (element, shape) in inputs.items():
            shape_now = [sizes[d] if isinstance(d, str) else d for d in shape]
            count = math.prod(shape_now)
            self.arrays[name] = np.arange(count).reshape(shape_now).astype(element)

    def constant(self, array: Any) -> str:
        """The name of a constant."""
        name = f"c{len(self.arrays)}"
        self.values[name] = self.bench.constant(array)
        self.arrays[name] = array
        return name

    def evaluate(self, op_type: str, *inputs: str, **attributes: Any) -> Any:
        """What the reference evaluator gives for one node; None if it refuses."""
        node = helper.make_node(op_type, inputs, ["y"], **attributes)
        given = {name: self.arrays[name] for name in inputs if name}
        infos = [
            helper.make_tensor_value_info(
                name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
            )
            for name, array in given.items()
        ]
        graph = helper.make_graph([node], "g", infos, [onnx.ValueInfoProto(name="y")])
        try:
            with np.errstate(all="ignore"):
                (found,) = ReferenceEvaluator(helper.make_model(graph)).run(None, given)
        except Exception:  # The evaluator raises whatever NumPy raises.
            return None
        return np.asarray(found)

    def op(self, op_type: str, *inputs: str, **attributes: Any) -> str | None:
        """The name of the result of a node; None if it cannot run at these sizes."""
        array = self.evaluate(op_type, *inputs, **attributes)
        if array is None:
            return None
        operands = [self.values[name] if name else None for name in inputs]
        name = f"v{len(self.arrays)}"
        self.values[name] = self.bench.value(f"onnx.{op_type}", *operands, **attributes)
        self.arrays[name] = array
        self.check(name)
        return name

    def check(self, name: str) -> None:
        """Raise AssertionError unless what is known of a value is so."""
        value, array = self.values[name], self.arrays[name]
        element = element_of(value.type)
        assert element is not None
        assert numpy_dtype(element) == array.dtype, f"{value}: {array.dtype}"
        shape = shape_of(value.type)
        if shape is not None:
            assert len(shape) == array.ndim, f"{value}: rank {array.ndim}"
            for dim, size in zip(shape, array.shape, strict=True):
                self.check_dim(dim, size, value)
        items = self.bench.integers.of(value)
        if items is not None:
            assert items.shape == array.shape, f"{value}: items {items.shape}"
            for dim, number in zip(items.flat, array.flat, strict=True):
                self.check_dim(dim, int(number), value)

    def check_dim(self, dim: Any, number: int, value: Any) -> None:
        if dim is None:
            return
        found = dim.substitute(self.sizes).constant
        assert found == number, (
            f"{value}: {dim} is {found} at {self.sizes}, not {number}"
        )


@pytest.fixture(name="twin")
def twin_fixture() -> type[Twin]:
    """``twin(sizes, x=(element, shape))``: a `Twin`."""
    return Twin
