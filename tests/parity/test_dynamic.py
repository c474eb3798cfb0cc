"""
Shapes that vary, and shapes that depend on data: both backends beside ONNX's evaluator.
"""

import gc
import weakref
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from onnx import parser
from onnx.reference import ReferenceEvaluator
from sardonyx.compiler import compile_model, load_artifact

MODELS = Path(__file__).parents[3] / "shared" / "models"
HEAD = '<ir_version: 10, opset_import: ["": 21]>\n'
BUCKETS = {"seq": (6, 12)}
LENGTHS = {
    "bert_tiny_dynamic": (1, 5, 6, 7, 11, 12, 13),
    "bytelm": (1, 5, 6, 7, 12),
    "minilm_l6": (1, 5, 6),
}
"""At the borders; 13 is longer than every bucket. Larger models compile for long."""
NAMES = [name for name in LENGTHS if (MODELS / f"{name}.onnx").exists()]


def parsed(text: str) -> Any:
    return parser.parse_model(HEAD + text)


def given(executable: Any, batch: int, length: int, seed: int) -> dict[str, Any]:
    """Random inputs; of the masks, some rows are shorter than the length."""
    arrays = executable.random_inputs({"batch": batch, "seq": length}, seed)
    if "attention_mask" in arrays:
        mask = arrays["attention_mask"]
        mask[:] = 1
        mask[-1, max(1, length // 2) :] = 0
    return arrays


def kept_by(executable: Any) -> dict[Any, Any]:
    """What is compiled of an executable, by the shapes of its inputs."""
    namespace = executable._namespace
    return namespace["COMPILED"][namespace["jitted"]]


# --- symbolic dimensions ---


@pytest.mark.parametrize("name", NAMES)
def test_a_bucket_s_result_is_that_of_the_length(name: str, assert_close: Any) -> None:
    source = MODELS / f"{name}.onnx"
    bucketed = compile_model(source, "jax", buckets=BUCKETS)
    wanted = compile_model(source, "numpy")
    for length in LENGTHS[name]:
        arrays = given(wanted, 2, length, length)
        for one, other in zip(bucketed(**arrays), wanted(**arrays), strict=True):
            assert_close(one, other, 20, f"length {length}")
    compiled = kept_by(bucketed)
    lengths = {shapes[0][0][1] for shapes in compiled}
    buckets = {6 if n <= 6 else 12 if n <= 12 else n for n in LENGTHS[name]}
    assert lengths == buckets


@pytest.mark.parametrize("name", NAMES[:1])
def test_a_mask_that_begins_with_nothing_is_not_padded(
    name: str, assert_close: Any
) -> None:
    source = MODELS / f"{name}.onnx"
    bucketed = compile_model(source, "jax", buckets=BUCKETS)
    plain = compile_model(source, "numpy")
    arrays = given(plain, 2, 4, 0)
    # Every place of the last row is masked: its result depends on the length.
    arrays["attention_mask"][-1] = 0
    for one, other in zip(bucketed(**arrays), plain(**arrays), strict=True):
        assert_close(one, other, 20)
    compiled = kept_by(bucketed)
    assert [shapes[0][0] for shapes in compiled] == [(2, 4)]


@pytest.mark.parametrize("name", NAMES[:1])
def test_the_artifact_pads_by_itself(
    name: str, tmp_path: Path, assert_close: Any
) -> None:
    source = MODELS / f"{name}.onnx"
    buckets = {"seq": (8,), "batch": (2, 4)}
    made = compile_model(source, "jax", buckets=buckets)
    artifact = load_artifact(made.save(tmp_path / "out"))
    assert artifact.manifest["buckets"] == {"seq": [8], "batch": [2, 4]}
    assert "BUCKETS = {'seq': (8,), 'batch': (2, 4)}" in made.source
    assert "sardonyx." not in made.source
    arrays = given(made, 3, 5, 1)
    wanted = compile_model(source, "numpy")(**arrays)
    for one, other in zip(artifact(**arrays), wanted, strict=True):
        assert isinstance(one, jax.Array)
        assert_close(one, other, 20)
    compiled = artifact.module.COMPILED[artifact.module.jitted]
    assert [shapes[0][0] for shapes in compiled] == [(4, 8)]


DOUBLED = "g (float[n] x) => (float[n] y) { y = Add(x, x) }"


def test_only_the_shapes_used_last_stay_compiled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = compile_model(parsed(DOUBLED), "jax")
    monkeypatch.setitem(run._namespace, "MAX_SHAPES", 3)
    compiled = run._namespace["COMPILED"]
    held: list[weakref.ref[Any]] = []
    for size in (1, 2, 3, 1, 4, 5):
        (y,) = run(np.ones(size, np.float32))
        assert y.shape == (size,)
        kept = compiled[run._namespace["jitted"]]
        held.append(weakref.ref(list(kept.values())[-1]))
    assert [shapes[0][0] for shapes in kept] == [(1,), (4,), (5,)]
    gc.collect()
    # What was let go is gone: 2 and 3 were not used again, 1 was.
    assert [ref() is None for ref in held] == [False, True, True, False, False, False]


def test_what_was_let_go_leaves_the_device(monkeypatch: pytest.MonkeyPatch) -> None:
    run = compile_model(parsed(DOUBLED), "jax")
    monkeypatch.setitem(run._namespace, "MAX_SHAPES", 3)
    client = jax.devices()[0].client
    run(np.ones(1, np.float32))
    gc.collect()
    before = len(client.live_executables())
    for size in range(2, 12):
        run(np.ones(size, np.float32))
    gc.collect()
    assert len(client.live_executables()) - before <= 2


def test_the_command_pads(tmp_path: Path, sardonyx: Any, pair: Path) -> None:
    said = sardonyx("compile", pair, "-o", tmp_path / "out", "--bucket", "n=4,8")
    assert said.code == 0
    artifact = load_artifact(tmp_path / "out")
    x = np.ones((3, 3), np.float32)
    assert [np.asarray(y).shape for y in artifact(x, x)] == [(3, 3)] * 2
    said = sardonyx("run", pair, "--bucket", "n=4", "--repeat", "1")
    assert said.code == 0
    for entry in ("n", "n=", "n=4,x", "=4"):
        said = sardonyx("run", pair, "--bucket", entry)
        assert (said.code, len(said.err.splitlines())) == (2, 1)
    said = sardonyx("run", tmp_path / "out", "--bucket", "n=4")
    assert (said.code, "no --bucket" in said.err) == (2, True)
    arguments = ("-b", "numpy", "-o", tmp_path / "x", "--bucket", "n=4")
    said = sardonyx("compile", pair, *arguments)
    assert (said.code, len(said.err.splitlines())) == (2, 1)


# --- shapes that depend on data ---

BY_DATA = {
    "NonZero": "g (float[n] x) => (int64[1,m] y) { y = NonZero(x) }",
    "Compress": """g (float[n] x) => (float[m] y) {
      zero = Constant <value_float = 0.0> ()
      big = Greater(x, zero)
      kept = Compress(x, big)
      y = Exp(kept)
    }""",
    "Unique": """g (float[n] x) => (float[m] y, int64[n] places) {
      r = Round(x)
      y, first, places = Unique(r)
    }""",
    "Loop": """g (float[n] x) => (float[k,n] y) {
      yes = Constant <value = bool {1}> ()
      one = Constant <value_float = 1.0> ()
      top = Constant <value_int = 9> ()
      end, y = Loop (top, yes, x) <
        body = b (int64 i, bool go, float[n] s) => (bool more, float[n] t, float[n] u) {
          t = Add(s, one)
          u = Identity(t)
          low = ReduceMin <keepdims = 0> (t)
          limit = Constant <value_float = 3.0> ()
          more = Less(low, limit)
        }>
    }""",
    "If": """g (float[n] x) => (float[m] y) {
      zero = Constant <value_float = 0.0> ()
      s = ReduceSum <keepdims = 0> (x)
      up = Greater(s, zero)
      y = If (up) <
        then_branch = a () => (float[p] t) { t = Concat <axis = 0> (x, x) },
        else_branch = b () => (float[q] u) {
          places = NonZero(x)
          one = Constant <value_ints = [0]> ()
          row = Squeeze(places, one)
          u = Gather(x, row)
        }>
    }""",
    "If of unknown shapes": """g (float[n] x, int64[r] s) => (float[] y) {
      zero = Constant <value_float = 0.0> ()
      sum = ReduceSum <keepdims = 0> (x)
      up = Greater(sum, zero)
      y = If (up) <
        then_branch = a () => (float[] t) { t = Reshape(x, s) },
        else_branch = b () => (float[] u) { u = Exp(x) }>
    }""",
}
BOXES = """g (float[1,4,4] boxes, float[1,1,4] scores) => (int64[m,3] y) {
  most = Constant <value_ints = [3]> ()
  over = Constant <value_floats = [0.5]> ()
  least = Constant <value_floats = [0.2]> ()
  y = NonMaxSuppression(boxes, scores, most, over, least)
}"""


@pytest.mark.parametrize("backend", ["numpy", "jax"])
@pytest.mark.parametrize("text", BY_DATA.values(), ids=BY_DATA)
def test_shapes_by_data(text: str, backend: str, assert_close: Any) -> None:
    run = compile_model(parsed(text), backend)
    evaluator = ReferenceEvaluator(parsed(text))
    for values in ([1, 0, -2, 2.5], [-1, -1, 0, -3], [0.25, 5, 1, 1], [0, 0, 0, 0]):
        arrays: dict[str, Any] = {"x": np.array(values, np.float32)}
        if "s)" in text.partition("=>")[0]:
            arrays["s"] = np.array([2, 2])
        wanted = evaluator.run(None, arrays)
        for one, other in zip(run(**arrays), wanted, strict=True):
            assert_close(one, other, 2)


@pytest.mark.parametrize("backend", ["numpy", "jax"])
def test_boxes_by_data(backend: str) -> None:
    run = compile_model(parsed(BOXES), backend)
    evaluator = ReferenceEvaluator(parsed(BOXES))
    corners = np.array([[0, 0, 1, 1], [0, 0, 1, 1.1], [2, 2, 3, 3], [0, 5, 1, 6]])
    boxes = corners[None].astype(np.float32)
    for scores in ([0.9, 0.8, 0.3, 0.1], [0.1] * 4, [0.3, 0.4, 0.5, 0.6]):
        arrays = {"boxes": boxes, "scores": np.array([[scores]], np.float32)}
        (wanted,) = evaluator.run(None, arrays)
        assert np.asarray(run(**arrays)[0]).tolist() == wanted.tolist()


def test_segments_are_kept_for_few_shapes(monkeypatch: pytest.MonkeyPatch) -> None:
    run = compile_model(parsed(BY_DATA["Compress"]), "jax")
    space = run._namespace
    monkeypatch.setitem(space, "MAX_COMPILED", 3)
    for size in range(1, 7):
        (y,) = run(np.ones(size, np.float32))
        assert y.shape == (size,)
    jitted = [held for name, held in space.items() if name.startswith("jitted_")]
    assert [len(held.args[2]) for held in jitted] == [3] * len(jitted)
    assert len(jitted) == 2
