"""What may be padded, beside the evaluator on what is not; and what is refused."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from onnx import parser
from onnx.reference import ReferenceEvaluator
from sardonyx.backends.jax.buckets import call_in_buckets
from sardonyx.compiler import compile_model, import_model
from sardonyx.compiler.buckets import buckets_of
from sardonyx.dialects.errors import SardonyxError
from sardonyx.dialects.onnx import Dim
from sardonyx.passes.analysis.padding import padding
from sardonyx.passes.analysis.padding_facts import Fact, exactly, hull
from sardonyx.passes.analysis.padding_state import Measure, PaddingRefused, State

HEAD = '<ir_version: 10, opset_import: ["": 21]>\n'
FLOAT = "g (float[b,s,4] x) => "
MASKED = "g (float[b,s,4] x, int64[b,s] m) => "
CONSTANTS = """
    zero = Constant <value_int = 0> ()
    one = Constant <value_int = 1> ()
    two = Constant <value_int = 2> ()
    zeros = Constant <value_ints = [0]> ()
    ones = Constant <value_ints = [1]> ()
    last = Constant <value_ints = [-1]> ()
    twos = Constant <value_ints = [2]> ()
    far = Constant <value_float = -1e9> ()
    none = Constant <value_float = 0.0> ()
"""


def parsed(head: str, body: str) -> Any:
    signature, _, result = head.partition("=>")
    return parser.parse_model(f"{HEAD}{signature}=> {result}{{{CONSTANTS}{body}}}")


def padded_along(model: Any, name: str = "s", largest: int = 64) -> Any:
    made = import_model(model)
    return padding(made.main, made.context.store, name, largest)


@dataclass(frozen=True)
class Case:
    """A graph that may be padded along s."""

    title: str
    head: str
    body: str

    def __str__(self) -> str:
        return self.title


ALLOWED = (
    Case("by element", FLOAT + "(float[b,s,4] y)", "e = Exp(x) y = Add(e, x)"),
    Case(
        "moved",
        FLOAT + "(float[4,s,b] y)",
        "t = Transpose <perm = [2, 1, 0]> (x) y = Neg(t)",
    ),
    Case(
        "flat rows, and back",
        FLOAT + "(float[b,s,4] y)",
        """
        sh = Shape(x)
        flat = Constant <value_ints = [-1, 4]> ()
        r = Reshape(x, flat)
        e = Exp(r)
        y = Reshape(e, sh)
        """,
    ),
    Case(
        "over another axis",
        FLOAT + "(float[b,s,1] y)",
        "f = Softmax <axis = -1> (x) y = ReduceMax (f, last)",
    ),
    Case(
        "a masked sum",
        MASKED + "(float[b,4] y)",
        """
        f = Cast <to = 1> (m)
        u = Unsqueeze(f, twos)
        z = Mul(x, u)
        total = ReduceSum <keepdims = 0> (z, ones)
        c = ReduceSum <keepdims = 0> (u, ones)
        y = Div(total, c)
        """,
    ),
    Case(
        "a masked softmax",
        MASKED + "(float[b,s,4] y)",
        """
        t = Transpose <perm = [0, 2, 1]> (x)
        q = MatMul(x, t)
        k = Cast <to = 9> (m)
        w = Where(k, none, far)
        u = Unsqueeze(w, ones)
        a = Add(q, u)
        p = Softmax(a)
        y = MatMul(p, x)
        """,
    ),
    Case(
        "one minus the mask, times a large number",
        MASKED + "(float[b,s,s] y)",
        """
        f = Cast <to = 1> (m)
        unit = Constant <value_float = 1.0> ()
        large = Constant <value_float = -10000.0> ()
        n = Sub(unit, f)
        w = Mul(n, large)
        u = Unsqueeze(w, ones)
        t = Transpose <perm = [0, 2, 1]> (x)
        q = MatMul(x, t)
        a = Add(q, u)
        y = Softmax(a)
        """,
    ),
    Case(
        "what comes after is masked by a triangle",
        FLOAT + "(float[b,s,4] y)",
        """
        sh = Shape <start = 1, end = 2> (x)
        square = Concat <axis = 0> (sh, sh)
        full = Expand(far, square)
        tri = Trilu <upper = 1> (full, one)
        t = Transpose <perm = [0, 2, 1]> (x)
        q = MatMul(x, t)
        a = Add(q, tri)
        p = Softmax(a)
        y = MatMul(p, x)
        """,
    ),
    Case(
        "what comes after is masked by positions",
        FLOAT + "(float[b,s,4] y)",
        """
        sh = Shape <start = 1, end = 2> (x)
        n = Squeeze(sh)
        r = Range(zero, n, one)
        rows = Unsqueeze(r, ones)
        columns = Unsqueeze(r, zeros)
        seen = GreaterOrEqual(rows, columns)
        w = Where(seen, none, far)
        t = Transpose <perm = [0, 2, 1]> (x)
        q = MatMul(x, t)
        a = Add(q, w)
        p = Softmax(a)
        y = MatMul(p, x)
        """,
    ),
    Case("sums of what came before", FLOAT + "(float[b,s,4] y)", "y = CumSum(x, one)"),
    Case("the first", FLOAT + "(float[b,4] y)", "y = Gather <axis = 1> (x, zero)"),
    Case(
        "positions in a table",
        FLOAT + "(float[b,s,4] y)",
        """
        sh = Shape <start = 1, end = 2> (x)
        n = Squeeze(sh)
        r = Range(zero, n, one)
        rows = Constant <value_ints = [64, 4]> ()
        small = ConstantOfShape <value = float[1] {0.5}> (rows)
        p = Gather(small, r)
        y = Add(x, p)
        """,
    ),
)


def arrays(case: Case, length: int) -> dict[str, Any]:
    rng = np.random.default_rng(length)
    found = {"x": rng.standard_normal((2, length, 4)).astype(np.float32)}
    if case.head.startswith(MASKED[:30]):
        mask = rng.integers(0, 2, (2, length))
        mask[:, 0] = 1
        found["m"] = mask
    return found


@pytest.mark.parametrize("case", ALLOWED, ids=str)
def test_result_is_that_of_the_length_itself(case: Case, assert_close: Any) -> None:
    model = parsed(case.head, case.body)
    padded = compile_model(model, "jax", "O1", buckets={"s": (4,)})
    for length in (1, 3, 4):
        given = arrays(case, length)
        wanted = ReferenceEvaluator(model).run(None, given)
        for one, other in zip(padded(**given), wanted, strict=True):
            assert_close(one, other, 8)


REFUSED = (
    (FLOAT + "(float[b,1,4] y)", "y = ReduceMean(x, ones)", "ReduceMean.*along s"),
    (FLOAT + "(float[b,1,4] y)", "y = ReduceMax(x, ones)", "ReduceMax.*along s"),
    (FLOAT + "(float[b,s,4] y)", "y = Softmax <axis = 1> (x)", "nothing masks"),
    (FLOAT + "(float[b,4] y)", "y = Gather <axis = 1> (x, m1) ", "count from the end"),
    (FLOAT + "(float[b,t,4] y)", "y = Concat <axis = 1> (x, x)", "along s"),
    (FLOAT + "(int64[3] y)", "y = Shape(x)", "output 0: it tells the size"),
    (FLOAT + "(float[b,n] y)", "y = Flatten(x)", "output 0: an axis is not s alone"),
    (FLOAT + "(float[b,t,4] y)", "y = Slice(x, ones, far1, ones)", "a part of s"),
    (FLOAT + "(int64[3,n] y)", "y = NonZero(x)", "no rule says"),
    (FLOAT + "(float[b,s,4] y)", "y = CumSum <reverse = 1> (x, one)", "along s"),
    (
        FLOAT + "(float[b,s,4] y)",
        "i = Size(x) f = Cast <to = 1> (i) y = Div(x, f)",
        "computes with s itself",
    ),
    (
        FLOAT + "(float[b,4,4] y)",
        "e = Exp(x) t = Transpose <perm = [0, 2, 1]> (e) y = MatMul(t, e)",
        "sums over s",
    ),
    (
        MASKED + "(float[b,s] y)",
        "f = Cast <to = 1> (m) y = Softmax(f)",
        "nothing masks",
    ),
)


@pytest.mark.parametrize(("head", "body", "message"), REFUSED)
def test_refused(head: str, body: str, message: str) -> None:
    extra = """
        m1 = Constant <value_int = -1> ()
        far1 = Constant <value_ints = [9223372036854775807]> ()
    """
    with pytest.raises(PaddingRefused, match=message) as refused:
        padded_along(parsed(head, extra + body))
    assert str(refused.value).startswith("bucket s: ")
    assert len(str(refused.value).splitlines()) == 1


def test_a_table_that_is_too_short() -> None:
    case = next(case for case in ALLOWED if case.title == "positions in a table")
    model = parsed(case.head, case.body)
    assert padded_along(model, largest=64).ones == ()
    with pytest.raises(
        PaddingRefused, match=r"an index up to 64 .*, wanted one below 64"
    ):
        padded_along(model, largest=65)


def test_what_a_mask_must_leave() -> None:
    by_title = {case.title: parsed(case.head, case.body) for case in ALLOWED}
    assert padded_along(by_title["a masked softmax"]).ones == ((1, 1),)
    assert padded_along(by_title["a masked sum"]).ones == ()
    causal = by_title["what comes after is masked by positions"]
    assert padded_along(causal).ones == ()


def test_a_mask_the_wrong_way_round() -> None:
    body = """
        k = Cast <to = 9> (m)
        w = Where(k, far, none)
        u = Unsqueeze(w, ones)
        t = Transpose <perm = [0, 2, 1]> (x)
        q = MatMul(x, t)
        a = Add(q, u)
        y = Softmax(a)
    """
    with pytest.raises(PaddingRefused, match="nothing masks"):
        padded_along(parsed(MASKED + "(float[b,s,s] y)", body))


def test_a_triangle_that_lets_the_next_through() -> None:
    case = next(case for case in ALLOWED if "triangle" in case.title)
    model = parsed(case.head, case.body.replace("(full, one)", "(full, two)"))
    with pytest.raises(PaddingRefused, match="nothing masks"):
        padded_along(model)


def test_the_comparison_can_fail() -> None:
    """A mean over padded places, which the analysis refuses, is another one."""
    x = np.ones((1, 3, 4), np.float32)
    specs = [("x", "float32", ("b", "s", 4), None)], [("y", "float32", ("b",), None)]
    ends = specs, {"s": (4,)}, {"s": ()}

    def mean(_: Any, __: Any, inputs: Sequence[Any]) -> Any:
        return (inputs[0].mean((1, 2)),)

    (found,) = call_in_buckets(mean, *ends, None, {}, [x])
    assert found.tolist() == [0.75]


# --- sizes, and names ---


@pytest.mark.parametrize(
    ("buckets", "message"),
    [
        ({"s": ()}, "bucket s: found sizes none, wanted some from 1"),
        ({"s": (0, 4)}, "bucket s: found sizes 0, 4"),
        ({"t": (4,)}, "bucket t: no input has a dimension of that name"),
    ],
)
def test_buckets_that_are_none(buckets: Any, message: str) -> None:
    model = import_model(parsed(ALLOWED[0].head, ALLOWED[0].body))
    with pytest.raises(SardonyxError, match=message):
        buckets_of(model, buckets)


def test_buckets_are_sorted() -> None:
    model = import_model(parsed(ALLOWED[0].head, ALLOWED[0].body))
    assert buckets_of(model, {"s": (8, 4, 8)}).sizes == {"s": (4, 8)}


def test_buckets_are_for_jax_and_one_sample() -> None:
    model = parsed(ALLOWED[0].head, ALLOWED[0].body)
    with pytest.raises(SardonyxError, match="buckets: found backend 'numpy'"):
        compile_model(model, "numpy", buckets={"s": (4,)})
    with pytest.raises(SardonyxError, match="found vmap and buckets"):
        compile_model(model, "jax", vmap=True, buckets={"s": (4,)})


# --- the parts ---


def test_a_size_that_is_the_dimension_up_to_the_largest() -> None:
    dim = Dim.parse("min(512, s)")
    assert Measure("s", 512).normal(dim) == Dim.of("s")
    assert Measure("s", 513).normal(dim) == dim


def test_regrouped_parts_no_padded_factor() -> None:
    measure, s = Measure("s", 8), Dim.of("s")
    state = State(((Dim.of("b"),), (s,), (Dim.of(12),)), tail={(1, 0): exactly(0)})
    flat = measure.regrouped(state, [Dim.parse("b*s"), Dim.of(3), Dim.of(4)])
    assert flat.axes == ((Dim.of("b"), s), (Dim.of(3),), (Dim.of(4),))
    assert flat.tail == {(0, 1): exactly(0)}
    with pytest.raises(PaddingRefused, match="other sizes"):
        measure.regrouped(state, [Dim.of("b"), Dim.parse("3*s"), Dim.of(4)][::-1])


def test_hull() -> None:
    assert hull([exactly(1), Fact(-2, 0)]) == Fact(-2, 1)
    assert hull([exactly(1), None]) is None
