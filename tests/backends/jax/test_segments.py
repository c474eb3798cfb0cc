"""What JAX compiles as a whole, once per value, or with the host's steps between."""

from typing import Any

import jax
import numpy as np
import pytest
from onnx import parser
from onnx.reference import ReferenceEvaluator
from sardonyx.backends.jax.segment_calls import MAX_COMPILED, by_value
from sardonyx.backends.jax.segments import plan
from sardonyx.backends.program import LoweringError
from sardonyx.compiler import compile_model, import_model, load_artifact
from sardonyx.compiler.driver import Executable

HEAD = '<ir_version: 10, opset_import: ["": 21]>\n'


def parsed(text: str) -> Any:
    return parser.parse_model(HEAD + text)


def compiled(text: str, pipeline: str = "O0") -> Executable:
    return compile_model(parsed(text), "jax", pipeline)


def floats(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


WHOLE = "g (float[n,3] x) => (float[n,3] y) { y = Exp(x) }"
FIXED = """g (float[2,3] x, int64[r] s) => (float[] y) {
  e = Exp(x)
  y = Reshape(e, s)
}"""
BETWEEN = """g (float[n] x) => (float[m] y) {
  e = Exp(x)
  big = Greater(e, x)
  found = NonZero(big)
  row = Flatten <axis = 0> (found)
  flat = Squeeze(row)
  picked = Gather(e, flat)
  y = Neg(picked)
}"""
MEASURED = """g (float[4] x) => (float[k] y) {
  zero = Constant <value_float = 0.0> ()
  one = Constant <value_float = 1.0> ()
  size = ReduceSum <keepdims = 0> (x)
  [count] r = Range(zero, size, one)
  y = Neg(r)
}"""
WORDS = """g (string[n] a, float[n] x) => (string[n] b, float[n] y) {
  b = StringConcat(a, a)
  y = Neg(x)
}"""
SEQUENCE = """g (float[4] x) => (float[m] y) {
  parts = Constant <value_ints = [1, 3]> ()
  e = Exp(x)
  s = SplitToSequence(e, parts)
  c = ConcatFromSequence <axis = 0> (s)
  y = Neg(c)
}"""


def shape_of_plan(text: str) -> list[tuple[bool, int]]:
    """For each segment, whether NumPy runs it and how many ops it has."""
    return [
        (segment.hosted, len(segment.ops))
        for segment in plan(import_model(parsed(text)).main).segments
    ]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (WHOLE, [(False, 1)]),
        (FIXED, [(False, 2)]),
        (BETWEEN, [(False, 2), (True, 1), (False, 4)]),
        (MEASURED, [(False, 1), (False, 2)]),
        (WORDS, [(False, 1), (True, 1)]),
        (SEQUENCE, [(False, 1), (True, 2), (False, 1)]),
    ],
)
def test_plan(text: str, wanted: list[tuple[bool, int]]) -> None:
    assert shape_of_plan(text) == wanted


@pytest.mark.parametrize(
    ("text", "inputs"),
    [
        (
            FIXED,
            [{"x": floats(2, 3), "s": np.array(s)} for s in ([6], [3, -1], [1, 6])],
        ),
        (BETWEEN, [{"x": floats(4, seed=n)} for n in range(3)]),
        (MEASURED, [{"x": np.full(4, v, np.float32)} for v in (0.0, 0.5, 2.0)]),
        (SEQUENCE, [{"x": floats(4)}]),
        (
            WORDS,
            [{"a": np.array(["p", "q"], object), "x": floats(2)}],
        ),
    ],
)
@pytest.mark.parametrize("pipeline", ["O0", "O2"])
def test_result(text: str, inputs: Any, pipeline: str, assert_close: Any) -> None:
    model = compiled(text, pipeline)
    for given in inputs:
        wanted = ReferenceEvaluator(parsed(text)).run(None, given)
        for one, other in zip(model(**given), wanted, strict=True):
            if np.asarray(other).dtype.kind in "OU":
                assert list(one) == list(other)
            else:
                assert isinstance(one, jax.Array)
                assert_close(one, other)


def test_the_program_says_what_runs_where() -> None:
    assert (compiled(WHOLE).program.host, compiled(WHOLE).program.fixed) == ((), ())
    assert "jitted = jax.jit(forward)" in compiled(WHOLE).source
    assert "by_value" not in compiled(WHOLE).source
    assert (compiled(FIXED).program.host, compiled(FIXED).program.fixed) == ((), ("s",))
    assert "jitted = partial(by_value, forward, (1,), {})" in compiled(FIXED).source
    (said,) = compiled(BETWEEN).program.host
    assert said == "node 'found' (NonZero): the size of its result depends on data"
    source = compiled(BETWEEN).source
    assert "# on the host: the size of its result depends on data" in source
    assert "jitted_3 = partial(by_value, segment_3, (), {})" in source
    assert (
        "jitted_2 = partial(by_value, segment_2, (0,), {})" in compiled(MEASURED).source
    )


def test_artifact_in_segments(tmp_path: Any) -> None:
    compiled(BETWEEN).save(tmp_path / "a")
    x = floats(4)
    loaded = load_artifact(tmp_path / "a")
    assert loaded.manifest["host"] == list(compiled(BETWEEN).program.host)
    assert "fixed" not in loaded.manifest
    found = loaded(x)
    np.testing.assert_array_equal(found[0], compiled(BETWEEN)(x)[0])


def test_a_weight_reaches_the_host() -> None:
    numbers = ",".join(str(n % 3) for n in range(40))
    head = "g (float[40] x) => (int64[1,m] y) <float[40] w = {" + numbers + "}> {"
    text = f"""{head}
      a = Mul(x, w)
      s = SequenceConstruct(a, w)
      zero = Constant <value_int = 1> ()
      b = SequenceAt(s, zero)
      y = NonZero(b)
    }}"""
    model = compiled(text)
    assert "np.asarray(w['w'])" in model.source
    found = model(np.ones(40, np.float32))[0]
    assert found.tolist() == [[n for n in range(40) if n % 3]]


def test_control_flow_on_the_host_sees_what_jax_computed() -> None:
    text = """g (int64 n, float[1] x) => (float[m] y) {
      start = Exp(x)
      grown = Loop (n, , start) <
        body = b (int64 k, bool go, float[r] s) => (bool more, float[t] u) {
          more = Identity(go)
          u = Concat <axis = 0> (s, start)
        }>
      y = Neg(grown)
    }"""
    model = compiled(text)
    assert len(model.program.host) == 1
    assert model.program.fixed == ()
    for turns in (0, 3):
        (y,) = model(np.array(turns), np.zeros(1, np.float32))
        assert np.asarray(y).tolist() == [-1.0] * (turns + 1)


def test_vmap_refuses_what_is_not_one_function() -> None:
    for text, message in (
        (BETWEEN, r"vmap: node 'found' \(NonZero\)"),
        (FIXED, "vmap: the values of 's' fix shapes"),
    ):
        with pytest.raises(LoweringError, match=message):
            compile_model(parsed(text), "jax", vmap=True)


# --- compiled by value ---


def scaled(weights: Any, x: Any, count: Any) -> Any:
    assert isinstance(count, np.ndarray)
    return x * weights["w"] + np.zeros(count.item())


def test_by_value_compiles_once_per_value() -> None:
    kept: dict[Any, Any] = {}
    weights, x = {"w": np.float32(2)}, np.ones(1, np.float32)
    for count in (3, 4, 3):
        assert by_value(scaled, (1,), kept, weights, x, np.array(count)).shape == (
            count,
        )
    assert [key[1][2] for key in kept] == [np.array(n).tobytes() for n in (4, 3)]


def test_by_value_tells_types_and_shapes_apart() -> None:
    kept: dict[Any, Any] = {}
    arguments = ({"w": np.float32(2)}, np.ones(1, np.float32))
    for count in (np.array(3), np.array(3, np.int32), np.array([3])):
        by_value(scaled, (1,), kept, *arguments, count)
    assert len(kept) == 3


def test_by_value_forgets_the_oldest() -> None:
    kept: dict[Any, Any] = {n: None for n in range(MAX_COMPILED)}
    by_value(scaled, (1,), kept, {"w": np.float32(2)}, np.ones(1), np.array(1))
    assert len(kept) == MAX_COMPILED
    assert 0 not in kept
