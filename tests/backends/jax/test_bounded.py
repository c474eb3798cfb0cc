"""Results of data-dependent size that JAX computes at their bound, beside ONNX's."""

import warnings
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import parser
from onnx.reference import ReferenceEvaluator
from sardonyx.backends.jax.bounded import MAX_BOUND
from sardonyx.backends.jax.bounded_kernels import masked
from sardonyx.backends.jax.segments import plan
from sardonyx.backends.program import LoweringError
from sardonyx.compiler import compile_model, import_model

HEAD = '<ir_version: 10, opset_import: ["": 21]>\n'
X = [
    np.float32(row)
    for row in ([1, -1, 2, 0, 3, -1], [0, 0, 0, -1, 0, 0], [1] * 6, [0] * 6)
]
"""Some, one, all and none are greater than zero, some twice."""
D = np.random.default_rng(0).standard_normal((6, 3)).astype(np.float32)

CONSTANTS = """
  zero = Constant <value_float = 0.0> ()
  first = Constant <value_ints = [0]> ()
  second = Constant <value_ints = [1]> ()
  all = Constant <value_ints = [-1]> ()
"""
FOUND = """
  big = Greater(x, zero)
  found = NonZero(big)
  places = Transpose <perm = [1, 0]> (found)
"""
ROWS = FOUND + "rows = GatherND(d, places)\n"


def parsed(results: str, body: str) -> Any:
    head = f"g (float[6] x, float[6,3] d) => ({results}) "
    return parser.parse_model(HEAD + head + "{" + CONSTANTS + body + "}")


WITHIN: dict[str, tuple[str, str]] = {
    "coordinates": ("int64[1,m] found", FOUND),
    "kept": (
        "float[m,3] y",
        "big = Greater(x, zero) y = Compress <axis = 0> (d, big)",
    ),
    "kept of all": (
        "float[m] y",
        "flat = Reshape(d, all) big = Greater(flat, zero) y = Compress (d, big)",
    ),
    "distinct": ("float[m] y", "y = Unique(x)"),
    "distinct, all results": (
        "float[m] y, int64[m] i, int64[6] j, int64[m] n",
        "y, i, j, n = Unique(x)",
    ),
    "distinct in order": (
        "float[m] y, int64[m] i, int64[6] j, int64[m] n",
        "y, i, j, n = Unique <sorted = 0> (x)",
    ),
    "elements": ("float[m,3] y", ROWS + "e = Exp(rows) y = Add(e, rows)"),
    "elements, broadcast": (
        "float[m,3] y",
        ROWS + "row = Gather(d, first) y = Mul(row, rows)",
    ),
    "rows by number": (
        "float[m,3] y",
        FOUND + "at = Squeeze(found, first) y = Gather(d, at)",
    ),
    "rows by number, flat": (
        "float[m,3] y",
        FOUND + "at = Reshape(found, all) y = Gather <axis = 0> (d, at)",
    ),
    "columns": (
        "float[3,m] y",
        ROWS + "t = Transpose(rows) two = Constant <value_ints = [2, 1, 0]> () "
        "y = Gather <axis = 0> (t, two)",
    ),
    "another axis": (
        "float[m,1,3] y",
        ROWS + "y = Unsqueeze(rows, second)",
    ),
    "slice": (
        "float[m,1] y",
        ROWS + "y = Slice(rows, first, second, second)",
    ),
    "side by side": ("float[m,6] y", ROWS + "y = Concat <axis = 1> (rows, rows)"),
    "product": (
        "float[m,6] y",
        ROWS + "t = Transpose(d) y = MatMul(rows, t)",
    ),
    "product with bias": (
        "float[m,6] y",
        ROWS + "y = Gemm <transB = 1> (rows, d, x)",
    ),
    "softmax": ("float[m,3] y", ROWS + "y = Softmax <axis = 1> (rows)"),
    "sums": ("float[1,3] y", ROWS + "y = ReduceSum(rows, first)"),
    "sums of rows": (
        "float[m] y",
        ROWS + "y = ReduceSum <keepdims = 0> (rows, second)",
    ),
    "sum": ("float y", ROWS + "y = ReduceSumSquare <keepdims = 0> (rows)"),
    "products": ("float[3] y", ROWS + "y = ReduceProd <keepdims = 0> (rows, first)"),
    "largest": ("float[3] y", ROWS + "y = ReduceMax <keepdims = 0> (rows, first)"),
    "smallest place": (
        "int64[1] y",
        FOUND + "y = ReduceMin <keepdims = 0> (found, second)",
    ),
    "scatter": (
        "float[6,3] y",
        ROWS + "e = Exp(rows) y = ScatterND(d, places, e)",
    ),
    "scattered sum": (
        "float[6,3] y",
        ROWS + 'y = ScatterND <reduction = "add"> (d, places, rows)',
    ),
}
"""What JAX compiles in one piece, once for every count."""

LEAVING: dict[str, tuple[str, str]] = {
    "mean": ("float[1,3] y", ROWS + "y = ReduceMean(rows, first)"),
    "softmax along it": ("float[m,3] y", ROWS + "y = Softmax <axis = 0> (rows)"),
    "one behind the other": (
        "float[k,3] y",
        ROWS + "y = Concat <axis = 0> (rows, d)",
    ),
    "its size": ("int64[2] y", ROWS + "y = Shape(rows)"),
    "the first of it": (
        "float[a,3] y",
        ROWS + "y = Slice(rows, first, second, first)",
    ),
    "of two counts": (
        "float[a,b] y",
        ROWS + "other = Less(x, zero) p = NonZero(other) "
        "q = Transpose <perm = [1, 0]> (p) r = GatherND(d, q) t = Transpose(r) "
        "y = MatMul(rows, t)",
    ),
    "product with it": (
        "float[6,a] y",
        ROWS + "t = Transpose(rows) y = MatMul(d, t)",
    ),
    "a count of a count": (
        "int64[2,k] y",
        ROWS + "more = Greater(rows, zero) y = NonZero(more)",
    ),
    "with what comes later": (
        "float[m,3] y",
        ROWS + "n = ReduceMean(rows, first) y = Sub(rows, n)",
    ),
}
"""What goes on behind the segment that finds it, without the padding."""


def differences(body: tuple[str, str], assert_close: Any) -> Any:
    """What is compiled of a model, which agrees with the evaluator on every `X`."""
    model = parsed(*body)
    executable = compile_model(model, "jax", "O0")
    for x in X:
        given = {"x": x, "d": D}
        with warnings.catch_warnings():
            # Of the mean of nothing.
            warnings.simplefilter("ignore")
            wanted = ReferenceEvaluator(model).run(None, given)
        for one, other in zip(executable(**given), wanted, strict=True):
            assert_close(one, other, 4)
    return executable


def programs(executable: Any) -> list[int]:
    """For how many shapes each segment was compiled."""
    namespace = executable._namespace
    names = sorted(name for name in namespace if name.startswith("jitted_"))
    return [len(namespace[name].args[2]) for name in names]


@pytest.mark.parametrize("name", WITHIN)
def test_one_program_for_every_count(name: str, assert_close: Any) -> None:
    executable = differences(WITHIN[name], assert_close)
    assert executable.program.host == ()
    assert programs(executable) in ([1], [])
    whole = "m]" not in WITHIN[name][0] and "m," not in WITHIN[name][0]
    assert ("jitted = jax.jit(forward)" in executable.source) == whole


@pytest.mark.parametrize("name", LEAVING)
def test_the_rest_sees_no_padding(name: str, assert_close: Any) -> None:
    executable = differences(LEAVING[name], assert_close)
    assert len(programs(executable)) > 1 or executable.program.host
    assert "cut_off(" in executable.source


def planned(text: str) -> list[tuple[bool, int]]:
    """For each segment, whether NumPy runs it and how many ops it has."""
    model = import_model(parser.parse_model(HEAD + text))
    return [(s.hosted, len(s.ops)) for s in plan(model.main).segments]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("g (float[4,5] x) => (int64[2,m] y) { y = NonZero(x) }", [(False, 1)]),
        ("g (float[n] x) => (int64[1,m] y) { y = NonZero(x) }", [(True, 1)]),
        ("g (float x) => (int64[0,m] y) { y = NonZero(x) }", [(True, 1)]),
        ("g (float[0] x) => (int64[1,m] y) { y = NonZero(x) }", [(True, 1)]),
        (
            f"g (float[{MAX_BOUND + 1}] x) => (int64[1,m] y) {{ y = NonZero(x) }}",
            [(True, 1)],
        ),
        (
            "g (float[4,5] x) => (float[m,5] y) { y = Unique <axis = 0> (x) }",
            [(True, 1)],
        ),
        (
            "g (float[n,5] x, bool[5] c) => (float[n,m] y) "
            "{ y = Compress <axis = 1> (x, c) }",
            [(False, 1)],
        ),
        (
            "g (float[4] x, float[n,2] d) => (float[m,2] y) "
            "{ p = NonZero(x) q = Transpose (p) y = GatherND(d, q) }",
            [(False, 2), (False, 1)],
        ),
    ],
)
def test_what_has_a_bound(text: str, wanted: list[tuple[bool, int]]) -> None:
    assert planned(text) == wanted


@pytest.mark.parametrize("pipeline", ["O0", "O2"])
@pytest.mark.parametrize("ordered", [0, 1])
def test_distinct_numbers(ordered: int, pipeline: str) -> None:
    """Zeros of both signs are one number, and so are all that are none."""
    body = f"y, i, j, n = Unique <sorted = {ordered}> (x)"
    model = parsed(WITHIN["distinct in order"][0], body)
    given = {"x": np.float32([np.nan, -0.0, 3, 0.0, np.nan, np.inf]), "d": D}
    wanted = compile_model(model, "numpy", pipeline)(**given)
    found = compile_model(model, "jax", pipeline)(**given)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("dtype", ["float32", "int8", "bool", "uint16"])
def test_mask(dtype: str) -> None:
    x = np.ones((2, 3), dtype)
    for filler, value in (("zero", 0), ("one", 1)):
        found = masked(x, 1, 2, filler)
        assert found.tolist() == [[1, 1, value]] * 2
    low, high = masked(x, 0, 1, "lowest"), masked(x, 0, 1, "highest")
    assert low.dtype == dtype
    whole = {"int8": (-128, 127), "uint16": (0, 65535), "bool": (False, True)}
    wanted = whole.get(dtype, (-np.inf, np.inf))
    assert (low[1, 0].item(), high[1, 0].item()) == wanted


def test_a_batch_of_counts_is_refused() -> None:
    with pytest.raises(LoweringError, match=r"vmap: node 'found' \(NonZero\)"):
        compile_model(parsed(*WITHIN["coordinates"]), "jax", "O0", vmap=True)


def test_a_batch_of_what_is_compiled_whole(assert_close: Any) -> None:
    mapped = compile_model(parsed(*WITHIN["sums"]), "jax", "O0", vmap=True)
    plain = compile_model(parsed(*WITHIN["sums"]), "numpy", "O0")
    (found,) = mapped(np.stack(X), np.stack([D] * len(X)))
    wanted = np.stack([plain(x, D)[0] for x in X])
    assert_close(found, wanted, 4)


def suppressed(
    most: str, more: str = "", center: int = 0, sizes: str = "2,3,20"
) -> Any:
    """NonMaxSuppression of boxes whose classes have at most `most` each."""
    batches, _, boxes = sizes.split(",")
    head = f"g (float[{batches},{boxes},4] boxes, float[{sizes}] scores, int64[1] n)"
    body = f"""
      over = Constant <value_floats = [0.3]> ()
      least = Constant <value_floats = [0.2]> ()
      most = {most}
      found = NonMaxSuppression <center_point_box = {center}>
        (boxes, scores, most, over, least)
      {more}"""
    results = "int64[m,3] found" + (", float[m,4] y" if more else "")
    return parser.parse_model(f"{HEAD}{head} => ({results}) {{{CONSTANTS}{body}}}")


CORNERS = """
  pick = Constant <value_ints = [0, 2]> ()
  places = Gather <axis = 1> (found, pick)
  y = GatherND(boxes, places)
"""


@pytest.mark.parametrize("center", [0, 1])
@pytest.mark.parametrize("most", [1, 4, 100])
def test_boxes_within(most: int, center: int) -> None:
    """As ONNX Runtime does, equal scores and all, in one program for every count."""
    model = suppressed(f"Constant <value_ints = [{most}]> ()", CORNERS, center)
    runtime = onnxruntime.InferenceSession(model.SerializeToString())
    executable = compile_model(model, "jax", "O0")
    assert executable.program.host == ()
    rng = np.random.default_rng(most)
    for scale in (1, 0.5, 0):
        boxes = rng.uniform(0, 3, (2, 20, 4)).astype(np.float32)
        scores = (rng.integers(0, 8, (2, 3, 20)) / 8 * scale).astype(np.float32)
        given = {"boxes": boxes, "scores": scores, "n": np.array([most])}
        for one, other in zip(
            executable(**given), runtime.run(None, given), strict=True
        ):
            np.testing.assert_array_equal(one, other)
    assert programs(executable) == [1]


@pytest.mark.parametrize(
    ("most", "sizes"),
    [
        ("Identity (n)", "2,3,20"),
        ("Constant <value_ints = [0]> ()", "2,3,20"),
        ("Constant <value_ints = [-1]> ()", "2,3,20"),
        ("Constant <value_ints = [200]> ()", f"1,{MAX_BOUND // 200 + 1},200"),
        ("Constant <value_ints = [3]> ()", "b,3,20"),
    ],
)
def test_boxes_without_a_bound(most: str, sizes: str) -> None:
    executable = compile_model(suppressed(most, sizes=sizes), "jax", "O0")
    (reason,) = executable.program.host
    assert reason.endswith("the size of its result depends on data")
