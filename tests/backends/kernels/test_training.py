"""Linear attention, optimizers, n-grams, images, beside the reference evaluator."""

import io
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from onnx import helper
from onnx.reference import ReferenceEvaluator
from sardonyx.backends.jax.sequences import tf_idf_traced
from sardonyx.backends.kernels.decoding import image_decoder
from sardonyx.backends.kernels.optimizers import adam, momentum
from sardonyx.backends.kernels.sequences import tf_idf_vectorizer
from sardonyx.compiler.onnx_backend import JaxBackend, NumpyBackend

BACKENDS = pytest.mark.parametrize("backend", [NumpyBackend, JaxBackend])
TRAINING = "ai.onnx.preview.training"


def floats(*shape: int, seed: int = 0, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(seed).uniform(0.1, 1, shape).astype(dtype)


def check(node: Any, arrays: list[Any], backend: Any, assert_close: Any) -> None:
    names = [name for name in node.input if name]
    given = [a for a in arrays if a is not None]
    found = backend.run_node(node, given)
    wanted = ReferenceEvaluator(node).run(None, dict(zip(names, given, strict=True)))
    for one, other in zip(found, wanted, strict=True):
        assert_close(one, np.asarray(other).astype(one.dtype), 4)


@BACKENDS
@pytest.mark.parametrize("rule", ["linear", "gated", "delta", "gated_delta"])
@pytest.mark.parametrize(
    ("heads", "past"), [((2, 2), False), ((4, 2), True), ((4, 1), False)], ids=str
)
def test_linear_attention(
    backend: Any, rule: str, heads: tuple[int, int], past: bool, assert_close: Any
) -> None:
    queries, keys = heads
    arrays = [
        floats(2, 5, queries * 3),
        floats(2, 5, keys * 3, seed=1),
        floats(2, 5, keys * 4, seed=2),
        floats(2, keys, 3, 4, seed=3) if past else None,
        -floats(2, 5, keys, seed=4) if "gated" in rule else None,
        floats(2, 5, 1, seed=5) if "delta" in rule else None,
    ]
    names = ["" if a is None else f"x{i}" for i, a in enumerate(arrays)]
    node = helper.make_node(
        "LinearAttention",
        names,
        ["y", "s"],
        q_num_heads=queries,
        kv_num_heads=keys,
        update_rule=rule,
    )
    check(node, arrays, backend, assert_close)


@BACKENDS
@pytest.mark.parametrize(
    ("name", "kinds", "attributes"),
    [
        ("Adagrad", 3, {"decay_factor": 0.1, "norm_coefficient": 0.01}),
        ("Adam", 4, {"norm_coefficient": 0.01, "norm_coefficient_post": 0.02}),
        ("Momentum", 3, {"mode": "standard"}),
        ("Momentum", 3, {"mode": "nesterov"}),
    ],
)
@pytest.mark.parametrize("step", [0, 3])
def test_optimizers(
    backend: Any,
    name: str,
    kinds: int,
    attributes: dict[str, Any],
    step: int,
    assert_close: Any,
) -> None:
    if name == "Momentum":
        attributes = {**attributes, "alpha": 0.9, "beta": 0.7, "norm_coefficient": 0.01}
    tensors = [floats(*s, seed=n) for n, s in enumerate([(2,), (3, 1)] * kinds)]
    names = [f"x{i}" for i in range(len(tensors))]
    outputs = [f"y{i}" for i in range(len(tensors) - 2)]
    node = helper.make_node(
        name, ["r", "t", *names], outputs, domain=TRAINING, **attributes
    )
    arrays = [np.array(0.1, np.float32), np.array(step), *tensors]
    check(node, arrays, backend, assert_close)


def test_what_optimizers_refuse() -> None:
    rate, step, x = np.float32(1), np.int64(0), floats(2)
    with pytest.raises(ValueError, match="found 3 tensors, wanted a multiple of 4"):
        adam(np, rate, step, x, x, x)
    with pytest.raises(ValueError, match="mode is 'fast'"):
        momentum(np, rate, step, x, x, x, mode="fast")


@pytest.mark.parametrize("mode", ["TF", "IDF", "TFIDF"])
@pytest.mark.parametrize("skips", [0, 1, 5])
def test_ngrams_on_jax_as_on_numpy(mode: str, skips: int) -> None:
    rng = np.random.default_rng(0)
    rows = rng.integers(2, 8, (3, 12))
    pool = (2, 3, 5, 4, 5, 6, 7, 8, 6, 7, 2, 3, 4)
    settings = {
        "max_gram_length": 3,
        "min_gram_length": 1,
        "max_skip_count": skips,
        "mode": mode,
        "ngram_counts": (0, 4, 10),
        "ngram_indexes": (0, 1, 2, 3, 5, 4, 6, 7),
        "pool_int64s": pool,
        "weights": tuple(range(1, 9)),
    }
    import jax.numpy as jnp

    found = tf_idf_traced(jnp, jnp.asarray(rows), **settings)
    wanted = tf_idf_vectorizer(np, rows, **settings)
    assert wanted.any()
    np.testing.assert_array_equal(found, wanted)


# --- images ---


class FakeImage:
    """What Pillow gives for a file: here, the bytes after the first are the pixels."""

    def __init__(self, content: io.BytesIO) -> None:
        head, *self.values = content.read()
        if head != 0:
            raise OSError("cannot identify image file")

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: object) -> None: ...

    def convert(self, mode: str) -> Any:
        pixels = np.array(self.values, np.uint8)
        return pixels.reshape(1, -1, 3) if mode == "RGB" else pixels.reshape(1, -1)


@pytest.fixture
def pillow(monkeypatch: pytest.MonkeyPatch) -> None:
    module = SimpleNamespace(open=FakeImage)
    monkeypatch.setitem(sys.modules, "PIL", SimpleNamespace(Image=module))
    monkeypatch.setitem(sys.modules, "PIL.Image", module)


@pytest.mark.usefixtures("pillow")
def test_layouts_of_pixels() -> None:
    file = np.array([0, 1, 2, 3, 4, 5, 6], np.uint8)
    assert image_decoder(np, file).tolist() == [[[1, 2, 3], [4, 5, 6]]]
    assert image_decoder(np, file, "BGR").tolist() == [[[3, 2, 1], [6, 5, 4]]]
    assert image_decoder(np, file, "Grayscale").shape == (1, 6, 1)
    assert image_decoder(np, np.array([9], np.uint8)).shape == (0, 0, 0)
    with pytest.raises(ValueError, match="pixel_format is 'CMYK'"):
        image_decoder(np, file, "CMYK")
