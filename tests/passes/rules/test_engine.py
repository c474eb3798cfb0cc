"""Rules on modules: what is found, what is written, and why the rest is left alone."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from sardonyx.dialects.errors import SardonyxError
from sardonyx.dialects.onnx import OnnxBuilder, OnnxContext
from sardonyx.dialects.onnx.store import DerivedWeight
from sardonyx.dialects.onnx.types import ELEMENT_TYPES, tensor
from sardonyx.passes.fold_constants import constant_of
from sardonyx.passes.rules import RulePattern, RulePatterns, parse_rules
from xdsl.dialects.builtin import FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Region

F32 = ELEMENT_TYPES["float32"]


class Written:
    """A module under construction: ``w = Written(x=(2, 3)); w.op("Neg", "x")``."""

    def __init__(self, dtype: str = "float32", **inputs: Any):
        self.context = OnnxContext()
        element = ELEMENT_TYPES[dtype]
        self.block = Block(arg_types=[tensor(element, s) for s in inputs.values()])
        self.values: dict[str, Any] = dict(zip(inputs, self.block.args, strict=True))
        self.builder = OnnxBuilder(self.block.add_op, self.context.store)

    def constant(self, name: str, array: Any, dtype: str = "float32") -> None:
        self.values[name] = self.builder.constant(np.asarray(array, dtype), name)

    def op(self, name: str, op: str, *operands: str | None, **attributes: Any) -> Any:
        values = [None if o is None else self.values[o] for o in operands]
        made = self.builder.op(f"onnx.{op}", *values, **attributes)
        self.values[name] = made.results[0]
        return made

    def rewritten(self, rules: str, *outputs: str) -> list[str]:
        """Apply rules; the names of the ops that are left."""
        returned = [self.values[name] for name in outputs]
        self.block.add_op(ReturnOp(*returned))
        kinds = [value.type for value in returned]
        kind = FunctionType.from_lists(self.block.arg_types, kinds)
        self.module = ModuleOp([FuncOp("main", kind, Region(self.block))])
        self.module.verify()
        chosen = parse_rules(rules).rules
        patterns = RulePatterns(chosen, self.context.store, self.context.journal)
        patterns.rewrite_module(self.module)
        self.module.verify()
        quiet = ("Constant", "none", "return")
        names = [op.name.partition(".")[2] for op in self.block.ops]
        return [name for name in names if name not in quiet]

    @property
    def near(self) -> list[str]:
        return list(self.context.journal.reasons())

    @property
    def far(self) -> list[str]:
        return list(self.context.journal.far)

    def returned(self) -> Any:
        last = self.block.last_op
        assert last is not None
        return last.operands[0]


NEG = "rule r Neg(Neg(x)) => x"


def test_nested_ops() -> None:
    w = Written(x=(2, 3))
    w.op("a", "Neg", "x")
    w.op("b", "Neg", "a")
    assert w.rewritten(NEG, "b") == []
    assert w.returned() is w.values["x"]
    assert [r.pattern for r in w.context.journal.rewrites] == ["r"]


def test_another_producer_is_far() -> None:
    w = Written(x=(2, 3))
    w.op("a", "Abs", "x")
    w.op("b", "Neg", "a")
    assert w.rewritten(NEG, "b") == ["Abs", "Neg"]
    assert w.near == []
    assert w.far == ["an operand of Neg is given by Abs, wanted Neg"]


def test_once_is_a_near_miss() -> None:
    w = Written(x=(2, 3))
    w.op("a", "Neg", "x")
    w.op("b", "Neg", "a")
    assert w.rewritten("rule r Neg(Neg(x) once) => x", "a", "b") == ["Neg", "Neg"]
    assert w.near == ["Neg has other uses"]


@pytest.mark.parametrize("order", [("x", "c"), ("c", "x")])
@pytest.mark.parametrize(("modifier", "found"), [("", True), (" ordered", False)])
def test_operands_of_a_commuting_operator(
    order: tuple[str, str], modifier: str, found: bool
) -> None:
    w = Written(x=(2, 3))
    w.constant("c", 0)
    w.op("y", "Add", *order)
    left = w.rewritten(f"rule r Add(x, 0){modifier} => x", "y")
    assert left == ([] if found or order == ("x", "c") else ["Add"])


def test_an_operator_that_does_not_commute() -> None:
    w = Written(x=(2, 3))
    w.constant("c", 0)
    w.op("y", "Sub", "c", "x")
    assert w.rewritten("rule r Sub(x, 0) => x", "y") == ["Sub"]
    assert w.far == ["an operand of Sub is not constant, wanted 0"]


@pytest.mark.parametrize(
    ("literal", "array", "dtype", "found"),
    [
        ("0", [0, 0, 0], "float32", True),
        ("0", [0, -0.0, 0], "float32", True),
        ("0", [0, 0, 1], "float32", False),
        ("0.1", 0.1, "float32", True),
        ("0.1", 0.1, "float16", True),
        ("0.1", 0.1001, "float32", False),
        ("~0.7071", 0.70710678, "float32", True),
        ("~0.7071", 0.708, "float32", False),
        ("~0.7071", 0.70710678, "float16", True),
        ("[1, 2, 3]", [1, 2, 3], "float32", True),
        ("[1, 2]", [1, 2, 3], "float32", False),
        ("[1, 2, 3]", [1, 2, 4], "float32", False),
        ("0.5", 0, "int32", False),
        ("300", 44, "uint8", False),
        ("-1", 255, "uint8", False),
        ("-1", -1, "int32", True),
    ],
)
def test_literals(literal: str, array: Any, dtype: str, found: bool) -> None:
    w = Written(dtype, x=(2, 3))
    w.constant("c", array, dtype)
    w.op("y", "Add", "x", "c")
    rule = f"rule r Add(x, {literal}) => x"
    assert w.rewritten(rule, "y") == ([] if found else ["Add"])


def test_the_same_value_twice() -> None:
    for second, left in (("x", []), ("z", ["Max"])):
        w = Written(x=(2, 3), z=(2, 3))
        w.op("y", "Max", "x", second)
        assert w.rewritten("rule r Max(x, x) => x", "y") == left


def test_optional_operands() -> None:
    rules = "rule r Clip(Clip(x, low?, high?), none, h) => Clip(x, low, h)"
    for low in (None, "low"):
        w = Written(x=(2, 3))
        w.constant("low", -1)
        w.constant("h", 1)
        w.op("a", "Clip", "x", low)
        w.op("b", "Clip", "a", None, "h")
        assert w.rewritten(rules, "b") == ["Clip"]
        clip = w.returned().owner
        assert (clip.operands[1].owner.name == "onnx.none") == (low is None)


def test_operands_that_are_not_written_are_absent() -> None:
    w = Written(x=(2, 3))
    w.constant("low", -1)
    w.op("y", "Clip", "x", "low")
    assert w.rewritten("rule r Clip(x) => x", "y") == ["Clip"]
    assert w.far == ["Clip has an operand more"]


def test_any_number_of_operands() -> None:
    w = Written(x=(2, 3), y=(2, 3))
    w.op("a", "Concat", "x", "y", axis=1)
    w.op("b", "Concat", "y", "a", "x", axis=1)
    rules = """rule r
        Concat(...a, Concat(...b) {axis: i}, ...c) {axis: i}
        => Concat(...a, ...b, ...c) {axis: i}"""
    assert w.rewritten(rules, "b") == ["Concat"]
    x, y = w.values["x"], w.values["y"]
    assert list(w.returned().owner.operands) == [y, x, y, x]


def test_attributes_that_are_not_written_have_their_default() -> None:
    w = Written(x=(1, 1, 4, 4))
    w.constant("k", np.ones((1, 1, 2, 2)))
    w.op("y", "Conv", "x", "k", strides=[2, 2])
    assert w.rewritten("rule r Relu(Conv(x, k)) => Conv(x, k)", "y") == ["Conv"]
    w = Written(x=(1, 1, 4, 4))
    w.constant("k", np.ones((1, 1, 2, 2)))
    w.op("a", "Conv", "x", "k", strides=[2, 2])
    w.op("y", "Relu", "a")
    assert w.rewritten("rule r Relu(Conv(x, k)) => Conv(x, k)", "y") == ["Conv", "Relu"]
    assert w.near == ["strides of Conv is [2, 2], wanted its default"]


def test_attributes_are_taken_over() -> None:
    w = Written(x=(1, 1, 5, 5))
    w.constant("k", np.ones((1, 1, 2, 2)))
    w.op("a", "Conv", "x", "k", strides=[2, 2], dilations=[2, 2])
    w.op("y", "Neg", "a")
    rules = """rule r
        Neg(Conv(x, k) {...} as c) where constant(k), c.strides == [2, 2]
        => Conv(x, -k) {...c, dilations: [2, 2]}"""
    assert w.rewritten(rules, "y") == ["Conv"]
    conv = w.returned().owner
    assert conv.python_attributes()["strides"] == (2, 2)
    source = constant_of(conv.operands[1], w.context.store)
    assert source is not None
    np.testing.assert_array_equal(source(), -np.ones((1, 1, 2, 2), np.float32))


def test_several_results() -> None:
    rules = """rule r
        values, indices = TopK(Neg(Neg(x)), k) {...}
        => let v, i = TopK(x, k) {...values}
           v, i"""
    w = Written(x=(4,))
    w.constant("k", [2], "int64")
    w.op("a", "Neg", "x")
    w.op("b", "Neg", "a")
    made = w.op("t", "TopK", "b", "k", outputs=2, largest=0)
    w.values["i"] = made.results[1]
    assert w.rewritten(rules, "i", "t") == ["TopK"]
    assert w.returned().owner.python_attributes()["largest"] == 0


def test_a_result_that_the_rule_does_not_name() -> None:
    w = Written(x=(4,))
    w.constant("k", [4], "int64")
    made = w.op("t", "TopK", "x", "k", outputs=2)
    w.values["i"] = made.results[1]
    rule = "rule r TopK(x, k) {...} => x"
    assert w.rewritten(rule, "t", "i") == ["TopK"]
    assert w.near == ["another result of TopK is used"]


# --- conditions ---


@pytest.mark.parametrize(
    ("condition", "reason"),
    [
        ("rank(x) == 2", None),
        ("rank(x) == 3", "wanted rank(x) == 3, found 2"),
        ("dtype(x) in floats", None),
        ("dtype(x) in (int8, bool)", "wanted dtype(x) in (int8, bool), found float32"),
        ("shape(x)[-1] == 3", None),
        ("shape(x)[1:] == [3]", None),
        ("shape(x)[0] == shape(y)[0]", None),
        (
            "shape(x)[0] == 4",
            "wanted shape(x)[0] == 4, but whether n is 4 depends on the sizes",
        ),
        (
            "shape(x)[2] == 4",
            "wanted shape(x)[2] == 4, but there is no item 2 in 2",
        ),
        ("shape(z)[0] == 1", "wanted shape(z)[0] == 1, but size 0 is not known"),
        (
            "shape(z) == [1, 2]",
            "wanted shape(z) == [1, 2], found [none, 3]",
        ),
        ("shape(z) == [1, 3]", "wanted shape(z) == [1, 3], but a size is not known"),
        ("same_shape(x, y)", None),
        ("constant(x)", "wanted constant(x)"),
        ("all(x == 0)", "wanted all(x == 0), but x is not constant"),
        ("all(c > 0)", None),
        ("any(c > 2)", "wanted any(c > 2)"),
        ("item(c) == 2", None),
        ("c > 1", None),
        ("uses(x) == 1", None),
        ("rank(x) == 3 or rank(c) == 0", None),
        ("shape(z)[0] == 1 or rank(c) == 0", None),
        ("not rank(x) == 2", "wanted not rank(x) == 2"),
        ("rank(x) in [1, 2], rank(c) not in [1, 2]", None),
        ("broadcasts_to(c, x)", None),
        ("broadcasts_to(x, c)", "wanted broadcasts_to(x, c)"),
        ("size(x) == 3 * shape(x)[0]", None),
        ("1 / 0 == 1", "wanted 1 / 0 == 1, but 1 / 0: division by zero"),
        ("holds(float32, dtype(x)), bits(dtype(x)) == 32", None),
        ("product([2, 3]) == 6, len(shape(x)) == 2", None),
        ("[2, 0, 1][[1, 2]] == [0, 1], inverse([2, 0, 1]) == [1, 2, 0]", None),
        ("wrap([-1], rank(x)) == [1], wrap(-2, rank(x)) == 0", None),
        ("exact_inverse(c)", None),
    ],
)
def test_conditions(condition: str, reason: str | None) -> None:
    w = Written(x=("n", 3), y=("n", 3), z=(None, 3))
    w.constant("c", 2.0)
    for name in "xyzc":
        w.op(name + "1", "Neg", name)
    w.op("out", "Sum", "x1", "y1", "z1", "c1")
    rules = f"""rule r
        Sum(Neg(x), Neg(y), Neg(z), Neg(c)) ordered where {condition}
        => Neg(Sum(x, y, z, c))"""
    left = w.rewritten(rules, "out")
    assert (left == ["Sum", "Neg"]) == (reason is None)
    assert w.near == ([] if reason is None else [reason])


# --- types ---


def test_a_size_that_would_change() -> None:
    w = Written(x=(3,))
    w.constant("c", np.zeros((2, 3)))
    w.op("y", "Add", "x", "c")
    assert w.rewritten("rule r Add(x, 0) => x", "y") == ["Add"]
    (reason,) = w.near
    assert reason == "it would become tensor<3xf32>, wanted tensor<2x3xf32>"


def test_sizes_that_are_not_known() -> None:
    """What is not known is equal to itself, and to nothing else."""
    for count, left in ((1, []), (3, ["Add"])):
        w = Written(x=(None,))
        w.constant("c", np.zeros(count))
        w.op("y", "Add", "x", "c")
        assert w.rewritten("rule r Add(x, 0) => x", "y") == left
    for z in ((None,), (3,)):
        w = Written(x=(None,), z=z)
        w.constant("c", True, "bool")
        w.op("y", "Where", "c", "x", "z")
        assert w.rewritten("rule r Where(true, x, z) => x", "y") == ["Where"]
        assert w.near != []


def test_a_dtype_that_would_change() -> None:
    w = Written(x=(3,))
    w.op("y", "Shape", "x")
    assert w.rewritten("rule r Shape(x) => x", "y") == ["Shape"]
    assert w.near == ["it would become tensor<3xf32>, wanted tensor<1xi64>"]


def test_a_replacement_that_does_not_fit_together() -> None:
    w = Written(x=(2, 3))
    w.op("y", "Relu", "x")
    assert w.rewritten("rule r Relu(x) => MatMul(x, x)", "y") == ["Relu"]
    (reason,) = w.near
    assert reason.startswith("the right side does not fit together: ")


def test_a_literal_without_a_dtype() -> None:
    w = Written(x=(2, 3))
    w.op("y", "Relu", "x")
    rule = "rule r Relu(x) => Cast(0.5) {to: dtype(x)}"
    assert w.rewritten(rule, "y") == ["Relu"]
    assert "nothing tells the dtype of 0.5" in w.near[0]


# --- constants ---


def test_constants_are_rounded_once() -> None:
    """As 1 / (3 * 3) in float64, not as float16 after each step."""
    w = Written("float16", x=(2,))
    w.constant("c", 2049.0 / 16, "float16")
    w.op("y", "Div", "x", "c")
    rules = "rule r Div(x, c) where constant(c) => Mul(x, 1 / (c * 3) * 3)"
    assert w.rewritten(rules, "y") == ["Mul"]
    source = constant_of(w.returned().owner.operands[1], w.context.store)
    assert source is not None
    wide = np.float64(np.float16(2049.0 / 16))
    assert source() == np.float16(1 / (wide * 3) * 3)
    assert source().dtype == np.float16


@pytest.mark.parametrize(
    ("expression", "wanted"),
    [
        ("c + 1", lambda c: c + 1),
        ("2 * c - c // 1 % 2", lambda c: 2 * c - c // 1 % 2),
        ("c ** 2", lambda c: c**2),
        ("sqrt(c) + exp(c) * log(c)", lambda c: np.sqrt(c) + np.exp(c) * np.log(c)),
        ("abs(-c)", lambda c: c),
        ("transpose(c, [1, 0])", lambda c: c.T),
        ("transpose(c)", lambda c: c.T),
        ("reshape(c, [3, -1])", lambda c: c.reshape(3, 2)),
        ("concat(1, c, c + 1)", lambda c: np.concatenate([c, c + 1], 1)),
        ("sum(c, -1)", lambda c: c.sum(-1)),
        ("c * full([2, 1], 3, dtype(c))", lambda c: c * 3),
        ("cast(item(c * 0), dtype(c))", lambda c: np.zeros(())),
        ("full([rank(c), size(c)], 1, dtype(x))", lambda c: np.ones((2, 6))),
    ],
)
def test_computed_constants(expression: str, wanted: Any) -> None:
    array = np.random.default_rng(0).uniform(1, 2, (2, 3)).astype(np.float32)
    w = Written(x=())
    w.constant("c", array)
    w.op("y", "Sum", "x", "c")
    w.op("z", "Size", "y")
    rules = f"""rule r
        Size(Sum(x, c)) where constant(c)
        => let t = Add(Size({expression}), Size(x))
           Sub(t, Size(x))"""
    assert w.rewritten(rules, "z")[0] == "Size"
    held = next(op for op in w.block.ops if op.name == "onnx.Size").operands[0]
    source = constant_of(held, w.context.store)
    assert source is not None
    assert source().dtype == np.float32
    expected = wanted(array.astype(np.float64))
    np.testing.assert_array_equal(source(), expected.astype(np.float32))


def test_large_constants_are_computed_when_asked_for() -> None:
    w = Written(x=(1024, 1024))
    array = np.random.default_rng(0).standard_normal((1024, 1024)).astype(np.float32)
    w.constant("c", array)
    w.op("y", "Add", "x", "c")
    w.op("z", "Neg", "y")
    rules = "rule r Neg(Add(x, c) once) where constant(c) => Sub(transpose(-c), x)"
    assert w.rewritten(rules, "z") == ["Sub"]
    held = w.returned().owner.operands[0].owner.properties["value"].data
    weight = w.context.store[held]
    assert isinstance(weight, DerivedWeight)
    np.testing.assert_array_equal(weight.array(), -array.T)


# --- passes ---


def test_rules_that_undo_each_other() -> None:
    w = Written(x=(2,))
    w.op("y", "Add", "x", "x")
    rules = "rule a Add(x, y) => Sum(x, y) rule b Sum(x, y) => Add(x, y)"
    with pytest.raises(SardonyxError, match="found a, b rewriting without end"):
        w.rewritten(rules, "y")


def test_the_journal_limits_rewrites() -> None:
    w = Written(x=(2,))
    for number in range(6):
        w.op(f"y{number}", "Neg", "x" if not number else f"y{number - 1}")
    w.context.journal.limit = 1
    assert w.rewritten(NEG, "y5") == ["Neg"] * 4


def test_a_declined_rule_writes_nothing() -> None:
    w = Written(x=(2,))
    w.constant("c", np.ones((64,)))
    made = w.op("y", "Add", "x", "x")
    (rule,) = parse_rules("rule r Add(x, y) => Add(x, full([64], 1, dtype(x)))").rules
    before = len(w.context.store)
    pattern = RulePattern(w.context.store, w.context.journal, rule)
    uses = len(list(w.values["x"].uses))
    found: Any = pattern.decide(made)
    assert found.reason.startswith("the right side does not fit together: ")
    assert len(w.context.store) == before
    assert len(list(w.values["x"].uses)) == uses


def test_provenance_is_united(rewritten: Callable[[str, str], Any]) -> None:
    function = """
    func.func @f(%x: tensor<2xf32>) -> tensor<2xf32> {
      %a = onnx.Neg(%x) : (tensor<2xf32>) -> tensor<2xf32> loc("first")
      %b = onnx.Abs(%a) : (tensor<2xf32>) -> tensor<2xf32> loc("second")
      func.return %b : tensor<2xf32>
    }"""
    done = rewritten("rule r Abs(Neg(x)) => Abs(x)", function)
    assert done.names == ["Abs"]
    assert str(done.op("Abs").location) == 'loc(fused["first", "second"])'
