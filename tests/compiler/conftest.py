"""Small programs with control flow, as ONNX text, and what JAX leaves to the host."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import parser

HEAD = '<ir_version: 10, opset_import: ["": 21, "local": 1]>\n'


@dataclass(frozen=True)
class Case:
    """A program, the inputs to run it on, and what JAX makes of it."""

    name: str
    text: str
    inputs: tuple[Mapping[str, Any], ...]
    host: str = ""
    """A pattern of what NumPy runs for JAX; empty where JAX compiles all of it."""
    fixed: tuple[str, ...] = ()
    """The inputs for each value of which JAX compiles anew."""
    wanted: tuple[tuple[np.ndarray, ...], ...] = ()
    """The outputs where ONNX Runtime cannot say."""

    def model(self) -> onnx.ModelProto:
        """The program as ONNX has it."""
        return parser.parse_model(HEAD + self.text)


def floats(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def on_both(**arrays: Any) -> tuple[dict[str, Any], ...]:
    """The inputs with a condition `c` that is true, and one that is false."""
    return tuple({"c": np.array(c), **arrays} for c in (True, False))


def turns(*counts: int, **arrays: Any) -> tuple[dict[str, Any], ...]:
    """The inputs with a number of turns `n`, for each of `counts`."""
    return tuple({"n": np.array(count), **arrays} for count in counts)


def number(value: float) -> np.ndarray:
    return np.array(value, np.float32)


X = floats(2, 3)

CASES = (
    # --- If ---
    Case(
        "if_captures",
        """g (bool c, float[2,3] x) => (float[2,3] y, float[2,3] z) {
          w = Exp(x)
          [choose] y, z = If (c) <
            then_branch = t () => (float[2,3] a, float[2,3] b) {
              a = Neg(w)
              b = Add(x, a)
            },
            else_branch = e () => (float[2,3] d, float[2,3] f) {
              d = Abs(x)
              f = Mul(d, w)
            }>
        }""",
        on_both(x=X),
    ),
    Case(
        "if_hands_through",
        """g (bool c, float[2,3] x, float[2,3] w) => (float[2,3] y) {
          y = If (c) <
            then_branch = t () => (float[2,3] a) { a = Identity(x) },
            else_branch = e () => (float[2,3] b) { b = Identity(w) }>
        }""",
        on_both(x=X, w=2 * X),
    ),
    Case(
        "if_constants",
        """g (bool c) => (float[2] y) {
          y = If (c) <
            then_branch = t () => (float[2] a) {
              a = Constant <value_floats = [1.0, 2.0]> ()
            },
            else_branch = e () => (float[2] b)
              <float[2] k = {3.0, 4.0}> { b = Neg(k) }>
        }""",
        on_both(),
    ),
    Case(
        "if_same_names",
        """g (bool c, float[2,3] x) => (float[2,3] y) {
          y = If (c) <
            then_branch = t () => (float[2,3] a) { k = Neg(x) a = Exp(k) },
            else_branch = e () => (float[2,3] a) { k = Abs(x) a = Sqrt(k) }>
        }""",
        on_both(x=X),
    ),
    Case(
        "if_one_element_condition",
        """g (float[2,3] x, bool[1] c) => (float[2,3] y) {
          y = If (c) <
            then_branch = t () => (float[2,3] a) { a = Neg(x) },
            else_branch = e () => (float[2,3] b) { b = Abs(x) }>
        }""",
        tuple({"x": X, "c": np.array([c])} for c in (True, False)),
    ),
    Case(
        "if_sizes_differ",
        """g (bool c, float[2,3] x) => (float[m,3] y) {
          axes = Constant <value_ints = [0]> ()
          [choose] y = If (c) <
            then_branch = t () => (float[2,3] a) { a = Neg(x) },
            else_branch = e () => (float[1,3] b) { b = ReduceSum(x, axes) }>
        }""",
        on_both(x=X),
        fixed=("c",),
    ),
    Case(
        "if_symbolic_sizes_differ",
        """g (bool c, float[n,3] x) => (float[m,3] y) {
          [choose] y = If (c) <
            then_branch = t () => (float[n,3] a) { a = Neg(x) },
            else_branch = e () => (float[k,3] b) { b = Concat <axis = 0> (x, x, x) }>
        }""",
        on_both(x=X),
        fixed=("c",),
    ),
    Case(
        "if_ranks_differ",
        """g (bool c, float[2,3] x) => (float[] y) {
          axes = Constant <value_ints = [0]> ()
          [choose] y = If (c) <
            then_branch = t () => (float[2,3] a) { a = Neg(x) },
            else_branch = e () => (float[3] b) {
              b = ReduceSum <keepdims = 0> (x, axes)
            }>
        }""",
        on_both(x=X),
        fixed=("c",),
    ),
    Case(
        "if_on_shape",
        """g (float[n,3] x) => (float[m,3] y) {
          s = Shape <end = 1> (x)
          k = Constant <value_ints = [2]> ()
          c = Greater(s, k)
          axes = Constant <value_ints = [0]> ()
          y = If (c) <
            then_branch = t () => (float[n,3] a) { a = Neg(x) },
            else_branch = e () => (float[1,3] b) { b = ReduceSum(x, axes) }>
        }""",
        tuple({"x": floats(n, 3)} for n in (1, 2, 3)),
    ),
    Case(
        "if_in_if",
        """g (bool c, bool d, float[2,3] x) => (float[2,3] y) {
          u = Exp(x)
          [outer] y = If (c) <
            then_branch = t () => (float[2,3] a) {
              v = Neg(u)
              [inner] a = If (d) <
                then_branch = tt () => (float[2,3] p) { p = Add(v, x) },
                else_branch = te () => (float[2,3] q) { q = Mul(v, u) }>
            },
            else_branch = e () => (float[2,3] b) { b = Abs(x) }>
        }""",
        tuple(
            {"c": np.array(c), "d": np.array(d), "x": X}
            for c in (False, True)
            for d in (False, True)
        ),
    ),
    Case(
        "if_of_sequences",
        """g (bool c, float[2,3] x) => (float[r,s] y) {
          [choose] q = If (c) <
            then_branch = t () => (seq(float[2,3]) a) { a = SequenceConstruct(x, x) },
            else_branch = e () => (seq(float[2,3]) b) {
              w = Neg(x)
              b = SequenceConstruct(w)
            }>
          y = ConcatFromSequence <axis = 0> (q)
        }""",
        on_both(x=X),
        host=r"node 'choose' \(If\): .* flows through it",
    ),
    # --- Loop ---
    Case(
        "loop_known_turns",
        """g (float[2,3] x) => (float[2,3] y, float[5,2,3] all, int64[5] i) {
          n = Constant <value_int = 5> ()
          [turn] y, all, i = Loop (n, , x) <
            body = b (int64 k, bool go, float[2,3] s)
              => (bool more, float[2,3] t, float[2,3] u, int64 j) {
              more = Identity(go)
              f = Cast <to = 1> (k)
              t = Add(s, f)
              u = Mul(t, x)
              j = Identity(k)
            }>
        }""",
        ({"x": X},),
    ),
    Case(
        "loop_no_known_turn",
        """g (float[2,3] x) => (float[2,3] y, float[m,2,3] all) {
          n = Constant <value_int = 0> ()
          y, all = Loop (n, , x) <
            body = b (int64 k, bool go, float[2,3] s)
              => (bool more, float[2,3] t, float[2,3] u) {
              more = Identity(go)
              t = Add(s, x)
              u = Neg(s)
            }>
        }""",
        ({"x": X},),
    ),
    Case(
        "loop_turns_of_shape",
        """g (float[r,3] x) => (float[3] y, float[m,3] all) {
          n0 = Shape <end = 1> (x)
          n = Squeeze(n0)
          zero = Constant <value_floats = [0.0, 0.0, 0.0]> ()
          yes = Constant <value = bool {1}> ()
          [turn] y, all = Loop (n, yes, zero) <
            body = b (int64 k, bool go, float[3] s)
              => (bool more, float[3] t, float[3] u) {
              more = Identity(go)
              row = Gather <axis = 0> (x, k)
              t = Add(s, row)
              u = Identity(t)
            }>
        }""",
        tuple({"x": floats(r, 3)} for r in (1, 2, 5)),
    ),
    Case(
        "loop_turns_given",
        """g (int64 n, float[2,3] x) => (float[2,3] y) {
          yes = Constant <value = bool {1}> ()
          [turn] y = Loop (n, yes, x) <
            body = b (int64 k, bool go, float[2,3] s) => (bool more, float[2,3] t) {
              more = Identity(go)
              f = Cast <to = 1> (k)
              t = Add(s, f)
            }>
        }""",
        turns(0, 1, 4, x=X),
    ),
    Case(
        "loop_exits_early",
        """g (int64 n, bool c, float x) => (float y, int64 count) {
          zero = Constant <value_int = 0> ()
          [turn] y, count = Loop (n, c, x, zero) <
            body = b (int64 k, bool go, float s, int64 m)
              => (bool more, float t, int64 p) {
              one = Constant <value_int = 1> ()
              limit = Constant <value_float = 20.0> ()
              t = Add(s, s)
              p = Add(m, one)
              more = Less(t, limit)
            }>
        }""",
        tuple(
            {"n": np.array(n), "c": np.array(c), "x": number(1.5)}
            for n, c in ((0, True), (2, True), (100, True), (100, False))
        ),
    ),
    Case(
        "loop_while",
        """g (bool c, float x) => (float y) {
          [turn] y = Loop (, c, x) <
            body = b (int64 k, bool go, float s) => (bool more, float t) {
              limit = Constant <value_float = 50.0> ()
              t = Add(s, s)
              more = Less(t, limit)
            }>
        }""",
        on_both(x=number(1)),
    ),
    Case(
        "loop_until",
        """g (float x) => (float y) {
          [turn] y = Loop (, , x) <
            body = b (int64 k, bool go, float s) => (bool more, float t) {
              limit = Constant <value_float = 50.0> ()
              t = Add(s, s)
              more = Less(t, limit)
            }>
        }""",
        ({"x": number(1)}, {"x": number(99)}),
    ),
    Case(
        "loop_swaps",
        """g (int64 n, float[2] a, float[2] b) => (float[2] p, float[2] q) {
          p, q = Loop (n, , a, b) <
            body = b1 (int64 k, bool go, float[2] s, float[2] t)
              => (bool more, float[2] u, float[2] v) {
              more = Identity(go)
              u = Identity(t)
              v = Identity(s)
            }>
        }""",
        turns(0, 1, 2, 3, a=floats(2), b=floats(2, seed=1)),
    ),
    Case(
        "loop_one_element_counters",
        """g (int64[1] n, bool[1] c, float x) => (float y) {
          [turn] y = Loop (n, c, x) <
            body = b (int64 k, bool[1] go, float s) => (bool[1] more, float t) {
              axes = Constant <value_ints = [0]> ()
              limit = Constant <value_float = 9.0> ()
              t = Add(s, s)
              less = Less(t, limit)
              more = Unsqueeze(less, axes)
            }>
        }""",
        tuple(
            {"n": np.array([n]), "c": np.array([c]), "x": number(1)}
            for n, c in ((0, True), (2, True), (9, True), (9, False))
        ),
    ),
    Case(
        "loop_one_element_known_turns",
        """g (float[2] x) => (float[2] y, float[3,2] all) {
          n = Constant <value_ints = [3]> ()
          [turn] y, all = Loop (n, , x) <
            body = b (int64 k, bool go, float[2] s)
              => (bool more, float[2] t, float[2] u) {
              more = Identity(go)
              t = Add(s, x)
              u = Neg(s)
            }>
        }""",
        ({"x": floats(2)},),
    ),
    Case(
        "loop_takes_names",
        """g (int64 np, bool w, float[2] int) => (float[2] jnp, float[2] lax) {
          range = Exp(int)
          [forward] jnp, lax = Loop (np, w, int, range) <
            body = b (int64 turn, bool go, float[2] len, float[2] carry)
              => (bool bool, float[2] turn_body, float[2] asarray) {
              bool = Identity(go)
              turn_body = Add(len, range)
              asarray = Mul(carry, int)
            }>
        }""",
        tuple(
            {"np": np.array(n), "w": np.array(True), "int": floats(2)}
            for n in (0, 1, 3)
        ),
    ),
    Case(
        "loop_scans_some_turns",
        """g (int64 n, float x) => (float y, float[m] all) {
          [turn] y, all = Loop (n, , x) <
            body = b (int64 k, bool go, float s) => (bool more, float t, float u) {
              limit = Constant <value_float = 6.0> ()
              t = Add(s, s)
              u = Neg(t)
              more = Less(t, limit)
            }>
        }""",
        turns(0, 1, 9, x=number(1)),
        host=r"node 'turn' \(Loop\): the number of its turns depends on data",
    ),
    Case(
        "loop_scans_no_state",
        """g (int64 n) => (int64[m] all) {
          yes = Constant <value = bool {1}> ()
          [turn] all = Loop (n, yes) <
            body = b (int64 k, bool go) => (bool more, int64 u) {
              more = Identity(go)
              u = Mul(k, k)
            }>
        }""",
        turns(0, 1, 5),
        fixed=("n",),
    ),
    Case(
        "loop_grows",
        """g (int64 n, float[1,3] x) => (float[m,3] y) {
          [turn] y = Loop (n, , x) <
            body = b (int64 k, bool go, float[r,3] s) => (bool more, float[t,3] u) {
              more = Identity(go)
              u = Concat <axis = 0> (s, x)
            }>
        }""",
        turns(0, 1, 3, x=floats(1, 3)),
        host=r"node 'turn' \(Loop\): a state is tensor<1x3xf32> at first",
    ),
    Case(
        "loop_grows_in_rank",
        """g (int64 n, float[2] x) => (float[] y) {
          [turn] y = Loop (n, , x) <
            body = b (int64 k, bool go, float[] s) => (bool more, float[] u) {
              more = Identity(go)
              axes = Constant <value_ints = [0]> ()
              u = Unsqueeze(s, axes)
            }>
        }""",
        turns(0, 1, 3, x=floats(2)),
        host=r"node 'turn' \(Loop\): a state is tensor<2xf32> at first",
    ),
    Case(
        "loop_shape_of_turn",
        """g (int64 n) => (int64 y) {
          zero = Constant <value_int = 0> ()
          [turn] y = Loop (n, , zero) <
            body = b (int64 k, bool go, int64 s) => (bool more, int64 t) {
              more = Identity(go)
              one = Constant <value_int = 1> ()
              nil = Constant <value_int = 0> ()
              [count] r = Range(nil, k, one)
              u = ReduceSum <keepdims = 0> (r)
              t = Add(s, u)
            }>
        }""",
        turns(0, 1, 5),
        host=r"node 'turn' \(Loop\): a shape depends on the values of 'k'",
    ),
    Case(
        "loop_in_loop",
        """g (int64 n, float[2] x) => (float[2] y) {
          [outer] y = Loop (n, , x) <
            body = b (int64 k, bool go, float[2] s) => (bool more, float[2] t) {
              more = Identity(go)
              [inner] t = Loop (k, , s) <
                body = d (int64 j, bool on, float[2] p) => (bool again, float[2] q) {
                  again = Identity(on)
                  r = Add(p, s)
                  q = Add(r, x)
                }>
            }>
        }""",
        turns(0, 1, 4, x=floats(2)),
    ),
    Case(
        "if_in_loop",
        """g (int64 n, float x) => (float y) {
          y = Loop (n, , x) <
            body = b (int64 k, bool go, float s) => (bool more, float t) {
              two = Constant <value_int = 2> ()
              zero = Constant <value_int = 0> ()
              rest = Mod(k, two)
              even = Equal(rest, zero)
              more = Identity(go)
              t = If (even) <
                then_branch = th () => (float a) { a = Add(s, x) },
                else_branch = el () => (float a) { a = Mul(s, x) }>
            }>
        }""",
        turns(0, 1, 2, 5, x=number(1.5)),
    ),
    Case(
        "loop_in_if",
        """g (bool c, float x) => (float y) {
          y = If (c) <
            then_branch = th () => (float a) {
              n = Constant <value_int = 3> ()
              a = Loop (n, , x) <
                body = b (int64 k, bool go, float s) => (bool more, float t) {
                  more = Identity(go)
                  t = Add(s, x)
                }>
            },
            else_branch = el () => (float a) { a = Neg(x) }>
        }""",
        on_both(x=number(1.5)),
    ),
    Case(
        "loop_collects",
        """g (int64 n, float[2] x) => (float[m] y) {
          q = SequenceConstruct(x)
          [turn] r = Loop (n, , q) <
            body = b (int64 k, bool go, seq(float[2]) s)
              => (bool more, seq(float[2]) t) {
              more = Identity(go)
              f = Cast <to = 1> (k)
              v = Add(x, f)
              t = SequenceInsert(s, v)
            }>
          y = ConcatFromSequence <axis = 0> (r)
        }""",
        turns(0, 1, 3, x=floats(2)),
        host=r"node 'turn' \(Loop\): .* flows through it",
    ),
    # --- Scan ---
    Case(
        "scan_sums",
        """g (float[2] s, float[n,2] x) => (float[2] e, float[n,2] all) {
          e, all = Scan <num_scan_inputs = 1, body = b (float[2] p, float[2] r)
            => (float[2] q, float[2] o) {
              q = Add(p, r)
              o = Mul(q, p)
            }> (s, x)
        }""",
        tuple({"s": floats(2), "x": floats(n, 2)} for n in (1, 2, 5)),
    ),
    Case(
        "scan_no_turn",
        """g (float[2] s, float[n,2] x) => (float[2] e, float[n,2] all) {
          e, all = Scan <num_scan_inputs = 1, body = b (float[2] p, float[2] r)
            => (float[2] q, float[2] o) {
              q = Add(p, r)
              o = Mul(q, p)
            }> (s, x)
        }""",
        ({"s": floats(2), "x": floats(0, 2)},),
        wanted=((floats(2), floats(0, 2)),),
    ),
    Case(
        "scan_axes",
        """g (float[2] s, float[2,4] x, float[3,4] w)
          => (float[2] e, float[2,4] o, float[3,4] u, float[4,2] v) {
          e, o, u, v = Scan <num_scan_inputs = 2,
            scan_input_axes = [1, -1], scan_input_directions = [0, 1],
            scan_output_axes = [1, -1, 0], scan_output_directions = [1, 0, 1],
            body = b (float[2] p, float[2] r, float[3] t)
            => (float[2] q, float[2] a, float[3] d, float[2] f) {
              q = Add(p, r)
              a = Neg(q)
              d = Exp(t)
              f = Mul(p, r)
            }> (s, x, w)
        }""",
        ({"s": floats(2), "x": floats(2, 4), "w": floats(3, 4, seed=1)},),
    ),
    Case(
        "scan_no_state",
        """g (float[4,2] x, float[2] w) => (float[4,2] y) {
          y = Scan <num_scan_inputs = 1, body = b (float[2] r) => (float[2] o) {
            o = Add(r, w)
          }> (x)
        }""",
        ({"x": floats(4, 2), "w": floats(2)},),
    ),
    Case(
        "scan_in_loop",
        """g (int64 n, float[4,2] x) => (float[4,2] y) {
          y = Loop (n, , x) <
            body = b (int64 k, bool go, float[4,2] s) => (bool more, float[4,2] t) {
              more = Identity(go)
              zero = Constant <value_floats = [0.0, 0.0]> ()
              last, t = Scan <num_scan_inputs = 1, body = d (float[2] p, float[2] r)
                => (float[2] q, float[2] o) {
                  q = Add(p, r)
                  o = Identity(q)
                }> (zero, s)
            }>
        }""",
        turns(0, 1, 3, x=floats(4, 2)),
    ),
    # --- SequenceMap ---
    Case(
        "sequence_map",
        """g (float[2] x, float[3] w) => (float[5] y, float[5] z) {
          q = SequenceConstruct(x, w)
          r = SequenceConstruct(w, x)
          k = Constant <value_float = 2.0> ()
          [each] s, t = SequenceMap <body = b (float[a] p, float d, float[c] o)
            => (float[a] m, float[c] v) {
              m = Mul(p, d)
              v = Neg(o)
            }> (q, k, r)
          y = ConcatFromSequence <axis = 0> (s)
          z = ConcatFromSequence <axis = 0> (t)
        }""",
        ({"x": floats(2), "w": floats(3)},),
        host=r"node 'each' \(SequenceMap\)",
    ),
    # --- shapes that depend on data ---
    Case(
        "shape_of_data",
        """g (float[n,3] x) => (int64[2,m] y) { [find] y = NonZero(x) }""",
        ({"x": np.array([[0, 1, 2], [3, 0, 0]], np.float32)},),
        host=r"node 'find' \(NonZero\): the size of its result depends on data",
    ),
    Case(
        "shape_of_mask",
        """g (float[n,3] x, bool[n] m) => (float[k,3] y) {
          [pick] y = Compress <axis = 0> (x, m)
        }""",
        ({"x": X, "m": np.array([True, False])}, {"x": X, "m": np.array([True] * 2)}),
        host=r"node 'pick' \(Compress\): the size of its result depends on data",
    ),
    Case(
        "shape_of_input",
        """g (float[2,3] x, int64[r] s) => (float[] y) {
          t = Abs(s)
          [view] y = Reshape(x, t)
        }""",
        tuple({"x": X, "s": np.array(s)} for s in ([6], [3, 2], [1, 2, 3])),
    ),
)


@pytest.fixture(params=CASES, ids=lambda case: case.name)
def case(request: pytest.FixtureRequest) -> Case:
    """Every program, one after another."""
    return request.param


@pytest.fixture
def parse() -> Any:
    """ONNX text, without its head, as a model."""

    def parsed(text: str, head: str = HEAD) -> onnx.ModelProto:
        return parser.parse_model(head + text)

    return parsed


@pytest.fixture
def oracle() -> Any:
    """``oracle(model, inputs)``: the outputs that ONNX Runtime computes."""

    def run(model: onnx.ModelProto, inputs: Any) -> list[Any]:
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return list(session.run(None, dict(inputs)))

    return run
