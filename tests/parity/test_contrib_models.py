"""
Models in ONNX Runtime's own operators: what its optimizers write compiles as well.

The trained models are those beside the project, where it has any; the classifiers come
with onnx, their weights are drawn.
"""

import logging
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from sardonyx.compiler import compile_model, import_model
from sardonyx.compiler.demo import seeded_model
from sardonyx.compiler.exporter import export_model

SHARED = Path(__file__).parents[3] / "shared" / "models"
LIGHT = Path(find_spec("onnx").origin).parent / "backend" / "test" / "data" / "light"
EXTENDED = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
ALL = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
SIZES = {"batch": 2, "seq": 16, "sequence": 16}


def present(*names: str) -> list[str]:
    """Those of the trained models that are there."""
    return [name for name in names if (SHARED / f"{name}.onnx").exists()]


def session_of(
    path: Path, level: Any = None, written: Path | None = None
) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    if written is not None:
        options.graph_optimization_level = level
        options.optimized_model_filepath = str(written)
    return onnxruntime.InferenceSession(path, options)


def feeds_of(session: onnxruntime.InferenceSession) -> dict[str, Any]:
    """Random values for the inputs; a mask that keeps all but the last token."""
    rng = np.random.default_rng(0)
    feeds: dict[str, Any] = {}
    for entry in session.get_inputs():
        shape = [d if isinstance(d, int) else SIZES.get(d, 1) for d in entry.shape]
        if "int" not in entry.type:
            feeds[entry.name] = rng.standard_normal(shape).astype(np.float32)
            continue
        dtype = entry.type[len("tensor(") : -1]
        feeds[entry.name] = rng.integers(1, 90, shape).astype(dtype)
        if "mask" in entry.name or "type" in entry.name:
            feeds[entry.name][...] = "mask" in entry.name
        if "mask" in entry.name:
            feeds[entry.name][0, -1] = 0
    return feeds


def check(source: Path, written: Path, backend: str, operators: set[str]) -> None:
    """`written`, compiled, gives what ONNX Runtime makes of `source`."""
    nodes = onnx.load(written, load_external_data=False).graph.node
    found = {f"{n.domain}:{n.op_type}" for n in nodes if n.domain.startswith("com.")}
    assert operators <= found, f"the optimizer wrote {sorted(found)}"
    session = session_of(source)
    feeds = feeds_of(session)
    wanted = session.run(None, feeds)
    results = compile_model(str(written), backend=backend)(**feeds)
    for one, other in zip(results, wanted, strict=True):
        scale = max(float(np.abs(other).max()), 1e-6)
        error = float(np.abs(np.asarray(one, np.float64) - other).max()) / scale
        assert error <= 5e-5, f"error {error:.2g}"


@pytest.fixture(scope="module", name="classifier")
def classifier_fixture(tmp_path_factory: Any) -> Callable[[str], Path]:
    """``classifier(name)``: the file of one of onnx's classifiers, weights drawn."""
    folder = tmp_path_factory.mktemp("classifiers")

    def classifier(name: str) -> Path:
        path = folder / f"{name}.onnx"
        if not path.exists():
            light = onnx.load(LIGHT / f"light_{name}.onnx")
            onnx.save(seeded_model(light, seed=0), path)
        return path

    return classifier


GELU = {"com.microsoft:BiasGelu"}
CONV = {"com.microsoft:FusedConv"}
TRAINED = {
    "bert_tiny_dynamic": GELU,
    "gpt2_tiny": {"com.microsoft:FastGelu"},
    "llama_tiny": {"com.microsoft:QuickGelu", "com.microsoft:FusedMatMul"},
    "mnist": CONV,
    "mobilenetv2_tiny": CONV,
    "vit_tiny": {"com.microsoft:SkipLayerNormalization"},
    "wav2vec2_tiny": {"com.microsoft:SkipLayerNormalization"},
}


# JAX compiles for seconds: it gets a model of each kind.
ON_JAX = ("gpt2_tiny", "llama_tiny", "mnist", "minilm_l6")


def on_backends(cases: list[str]) -> list[tuple[str, str]]:
    return [(c, "numpy") for c in cases] + [(c, "jax") for c in cases if c in ON_JAX]


@pytest.mark.parametrize(("name", "backend"), on_backends(present(*TRAINED)))
def test_extended(name: str, backend: str, tmp_path: Path) -> None:
    source, written = SHARED / f"{name}.onnx", tmp_path / "model.onnx"
    session_of(source, EXTENDED, written)
    check(source, written, backend, TRAINED[name])


BLOCKED = {"com.microsoft.nchwc:Conv", "com.microsoft.nchwc:ReorderOutput"}


@pytest.mark.parametrize(
    ("name", "backend"), on_backends(present("mnist", "mobilenetv2_tiny"))
)
def test_blocked(name: str, backend: str, tmp_path: Path) -> None:
    source, written = SHARED / f"{name}.onnx", tmp_path / "model.onnx"
    session_of(source, ALL, written)
    check(source, written, backend, BLOCKED)


@pytest.mark.parametrize(
    ("name", "level", "backend", "operators"),
    [
        ("squeezenet", EXTENDED, "numpy", CONV),
        ("squeezenet", EXTENDED, "jax", CONV),
        ("squeezenet", ALL, "numpy", BLOCKED),
        ("squeezenet", ALL, "jax", BLOCKED),
        ("shufflenet", ALL, "numpy", BLOCKED | {"com.microsoft.nchwc:ReorderInput"}),
    ],
    # A set has no order: each worker of pytest-xdist would name the case differently.
    ids=lambda value: "+".join(sorted(value)) if isinstance(value, set) else str(value),
)
def test_classifiers(
    classifier: Any,
    name: str,
    level: Any,
    backend: str,
    operators: set[str],
    tmp_path: Path,
) -> None:
    written = tmp_path / "model.onnx"
    session_of(classifier(name), level, written)
    check(classifier(name), written, backend, operators)


def rewritten(
    name: str, kind: str, heads: int, hidden: int, written: Path, apart: bool
) -> None:
    """What ONNX Runtime's optimizer for transformers makes of a model."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from onnxruntime.transformers.fusion_options import FusionOptions
        from onnxruntime.transformers.optimizer import optimize_model

        options = FusionOptions(kind)
        options.use_multi_head_attention = apart
        logging.disable(logging.CRITICAL)
        try:
            model = optimize_model(
                str(SHARED / f"{name}.onnx"),
                model_type=kind,
                num_heads=heads,
                hidden_size=hidden,
                optimization_options=options,
                opt_level=0,
            )
        finally:
            logging.disable(logging.NOTSET)
        model.save_model_to_file(str(written))


ATTENTION = {"com.microsoft:Attention", "com.microsoft:EmbedLayerNormalization"}
APART = {"com.microsoft:MultiHeadAttention", "com.microsoft:SkipLayerNormalization"}
ROOT = {"com.microsoft:SkipSimplifiedLayerNormalization"}
TRANSFORMERS = {
    "minilm_l6": ("bert", 12, 384, False, ATTENTION),
    "minilm_l6 apart": ("bert", 12, 384, True, APART),
    "bert_tiny_dynamic": ("bert", 0, 0, False, GELU),
    "llama_tiny": ("gpt2", 0, 0, False, ROOT),
    "vit_tiny": ("vit", 0, 0, False, GELU),
}


@pytest.mark.parametrize(
    ("case", "backend"),
    on_backends([c for c in TRANSFORMERS if present(c.removesuffix(" apart"))]),
)
def test_transformers(case: str, backend: str, tmp_path: Path) -> None:
    kind, heads, hidden, apart, operators = TRANSFORMERS[case]
    name, written = case.removesuffix(" apart"), tmp_path / "model.onnx"
    rewritten(name, kind, heads, hidden, written, apart)
    check(SHARED / f"{name}.onnx", written, backend, operators)


@pytest.mark.parametrize("name", present("bert_tiny_dynamic", "llama_tiny"))
def test_exported_again(name: str, tmp_path: Path) -> None:
    """Imported and written back, ONNX Runtime runs its own operators as before."""
    source, written = SHARED / f"{name}.onnx", tmp_path / "model.onnx"
    session_of(source, EXTENDED, written)
    again = export_model(import_model(str(written)), tmp_path / "again.onnx")
    session = session_of(source)
    feeds = feeds_of(session)
    wanted, found = session.run(None, feeds), session_of(again).run(None, feeds)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
