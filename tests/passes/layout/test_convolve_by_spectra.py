"""Convolutions by spectra: that they are convolutions, and which are left alone."""

import re
from typing import Any

import numpy as np
import onnx.parser
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator
from sardonyx.backends.numpy.fourier import LONGEST
from sardonyx.compiler.driver import BACKENDS as DRIVEN
from sardonyx.compiler.driver import compile_model, load
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.dialects.errors import SardonyxError
from sardonyx.dialects.fourier import shortest, spectrum
from sardonyx.passes.analysis.cost import op_cost
from sardonyx.passes.layout.convolution_costs import BACKENDS

SPEC = "convolve-by-spectra"

FOUND = [
    # One channel each, also several maps of one.
    ("float[n,6,40,44] x, float[6,1,15,13] w0", "<group = 6>", 2),
    (
        "float[n,6,40,44] x, float[12,1,14,15] w0, float[12] w1",
        "<group = 6, pads = [13, 2, 0, 14]>",
        2,
    ),
    (
        "float[n,1,60,61] x, float[1,1,21,21] w0",
        '<auto_pad = "SAME_LOWER">',
        2,
    ),
    # Matrices of every frequency, with groups and without.
    ("float[n,3,70,71] x, float[3,3,21,23] w0, float[3] w1", "", 2),
    ("float[n,4,70,71] x, float[6,2,21,23] w0", "<group = 2, pads = [3, 4, 5, 6]>", 2),
    # Signals: transforms by matrices, and by the backend's own.
    ("float[n,16,250] x, float[16,1,64] w0, float[16] w1", "<group = 16>", 1),
    ("float[n,8,3000] x, float[8,1,255] w0", "<group = 8, pads = [254, 0]>", 1),
    ("float[n,16,250] x, float[24,8,128] w0", "<group = 2, pads = [64, 64]>", 1),
    # The kernel is longer than the signal.
    ("float[n,64,100] x, float[64,1,150] w0", "<group = 64, pads = [80, 90]>", 1),
]


@pytest.mark.parametrize(("inputs", "options", "axes"), FOUND)
def test_what_is_computed_by_spectra(
    inputs: str, options: str, axes: int, lowered: Any
) -> None:
    kind = "float[n,m,h,v]" if axes == 2 else "float[n,m,v]"
    given = "x, w0, w1" if "w1" in inputs else "x, w0"
    body = f"y = Conv{options}({given})"
    found, reasons = lowered(f"t ({inputs}) => ({kind} y) {{ {body} }}", SPEC)
    assert found == ["Conv"]
    assert reasons == []


@pytest.mark.parametrize(
    ("inputs", "options", "reason"),
    [
        (
            "float[n,4,40,40] x, float[4,1,15,15] v",
            "<group = 4>",
            "its weight is not constant",
        ),
        (
            "float[n,4,40,40] x, float[4,1,15,15] w0",
            "<group = 4, strides = [1, 2]>",
            "it has strides (1, 2), dilations None",
        ),
        (
            "float[n,4,40,40] x, float[4,1,9,9] w0",
            "<group = 4, dilations = [2, 2]>",
            "it has strides None, dilations (2, 2)",
        ),
        (
            "float[n,4,q,40] x, float[4,1,15,15] w0",
            "<group = 4>",
            "the size of its image is not known",
        ),
        (
            "float[n,4,40,40] x, float[4,1,15,15] w0",
            "<group = 4, pads = [15, 0, 0, 0]>",
            "its pads are ((15, 0), (0, 0)), wanted less than its kernel",
        ),
        (
            "float[1,2,9,9,9] x, float[2,2,3,3,3] w0",
            "",
            "its spatial axes are 3, wanted 1 or 2",
        ),
        (
            "float[n,64,14,14] x, float[64,64,7,7] w0",
            "",
            "it would take N us, N directly",
        ),
        (
            "float[n,4,40,40] x, float[4,1,15,15] w0",
            "<group = 4>",
            "its spectra would take N bytes, wanted at most 1000",
        ),
    ],
)
def test_what_is_computed_directly(
    inputs: str, options: str, reason: str, lowered: Any
) -> None:
    rank = inputs.split("]")[0].count(",") + 1
    kind = f"float[{','.join('nmuvw'[:rank])}]"
    weight = inputs[-2:].strip()
    spec = f"{SPEC}{{max_bytes=1000}}" if "bytes" in reason else SPEC
    body = f"z = Conv{options}(x, {weight})"
    found, reasons = lowered(f"t ({inputs}) => ({kind} z) {{ {body} }}", spec)
    assert found == ["Conv"]
    (told,) = reasons
    assert re.sub(r"\d+ (us|bytes|directly)", r"N \1", told) == reason


def signal(weight: Any, channels: int) -> Any:
    """``y = Conv(x, weight)`` of a row of 300, a kernel for each group."""
    text = (
        f'<ir_version: 9, opset_import: ["": 18]> t (float[1,{channels},300] x) '
        f"=> (float[1,m,l] y) {{ y = Conv<group = {channels}>(x, w) }}"
    )
    proto = onnx.parser.parse_model(text)
    proto.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    return load(proto)


def test_a_weight_that_is_not_finite() -> None:
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((20, 1, 60)).astype(np.float32)
    weight[3, 0, 7] = np.inf
    (run,) = run_pipeline(signal(weight, 20), SPEC)
    assert [*run.journal.reasons()] == ["its weight is not finite"]


def test_every_level_lowers_so_for_its_backend(assert_close: Any) -> None:
    rng = np.random.default_rng(3)
    weight = rng.standard_normal((64, 1, 127)).astype(np.float32)
    x = rng.standard_normal((1, 64, 300)).astype(np.float32)
    rows = [np.convolve(x[0, c], weight[c, 0, ::-1], "valid") for c in range(64)]
    for backend in ("numpy", "jax"):
        made = compile_model(signal(weight, 64), backend=backend)
        names = [op.name for op in made.model.main.walk()]
        assert "fourier.Conv" in names, names
        (y,) = made(x)
        assert_close(np.asarray(y)[0], np.stack(rows), factor=4)


@pytest.mark.parametrize("backend", DRIVEN)
@pytest.mark.parametrize(
    ("image", "weight", "group"),
    [
        ((6, 64, 64), (6, 6, 31, 31), 1),
        ((4, 64, 64), (8, 1, 31, 31), 4),
        ((8, 3000), (8, 4, 1023), 2),
        ((8, 3000), (8, 1, 1023), 8),
    ],
)
def test_a_batch_of_no_images(
    backend: str, image: Any, weight: Any, group: int
) -> None:
    sizes, axes = ",".join(map(str, image)), "mhv"[: len(image)]
    text = (
        f'<ir_version: 9, opset_import: ["": 18]> t (float[n,{sizes}] x) '
        f"=> (float[n,{','.join(axes)}] y) {{ y = Conv<group = {group}>(x, w) }}"
    )
    proto = onnx.parser.parse_model(text)
    held = numpy_helper.from_array(np.ones(weight, np.float32), "w")
    proto.graph.initializer.append(held)
    made = compile_model(proto, backend=backend)
    assert "fourier.Conv" in [op.name for op in made.model.main.walk()]
    none = np.zeros((0, *image), np.float32)
    (wanted,) = ReferenceEvaluator(proto).run(None, {"x": none})
    (found,) = made(none)
    assert np.asarray(found).shape == wanted.shape
    assert np.asarray(found).dtype == wanted.dtype


def test_the_work_is_that_of_transforms() -> None:
    """2.5 n log2 n for each, and 8 operations for each complex product and sum."""
    model = signal(np.ones((20, 1, 60), np.float32), 20)
    run_pipeline(model, SPEC)
    (conv,) = [op for op in model.main.walk() if op.name == "fourier.Conv"]
    flops = op_cost(conv).flops
    assert flops is not None
    assert flops.constant == 40 * round(2.5 * 300 * np.log2(300)) + 8 * 20 * 151


EVEN_SMOOTH = sorted(
    2**a * 3**b * 5**c for a in range(1, 7) for b in range(4) for c in range(3)
)


def circular(x: Any, w: Any, before: int, length: int, count: int) -> Any:
    """Windows of `x` where places are counted modulo `length`, as it is defined."""
    folded = np.zeros(length)
    np.add.at(folded, np.arange(len(x)) % length, x)
    places = np.arange(count)[:, None] + np.arange(len(w)) - before
    return folded[places % length] @ w


@pytest.mark.parametrize("case", range(40))
def test_a_length_is_the_least_that_is_enough(case: int) -> None:
    """At every smaller one the kernel has no room, or what is seen twice shows."""
    rng = np.random.default_rng(case)
    kernel = int(rng.integers(1, 12))
    before, after = (int(n) for n in rng.integers(0, kernel, 2))
    size = int(rng.integers(max(kernel - before - after, 1), 30))
    length = shortest(size, (before, after), kernel)
    assert length in EVEN_SMOOTH
    x, w = rng.standard_normal(size), rng.standard_normal(kernel)
    whole = np.convolve(np.pad(x, (before, after)), w[::-1], "valid")
    spectra = spectrum(w[None, None], 1, (length,), (before,))[0]
    product = np.fft.rfft(x, length) * (spectra[:, 0] + 1j * spectra[:, 1])
    found = np.fft.irfft(product, length)[: len(whole)]
    np.testing.assert_allclose(found, whole, atol=1e-12)
    defined = circular(x, w, before, length, len(whole))
    np.testing.assert_allclose(defined, whole, atol=1e-12)
    for smaller in EVEN_SMOOTH[: EVEN_SMOOTH.index(length)]:
        seen = circular(x, w, before, smaller, len(whole))
        assert smaller < kernel or np.max(np.abs(seen - whole)) > 1e-6


def test_the_matrices_that_are_estimated_are_those_there_are() -> None:
    assert BACKENDS["numpy"].longest == LONGEST


def test_the_backends_are_those_there_are() -> None:
    assert {*BACKENDS} == {*DRIVEN}
    with pytest.raises(SardonyxError, match="found backend 'tpu', wanted numpy or jax"):
        run_pipeline(
            signal(np.ones((1, 1, 60), np.float32), 1), f'{SPEC}{{backend="tpu"}}'
        )
