"""Signal kernels against ONNX's node tests and NumPy; random ones by their moments."""

from typing import Any

import jax
import jax.numpy as jnp
import ml_dtypes
import numpy as np
import pytest
from onnx import helper
from sardonyx.backends.kernels import signal

BACKENDS = ("numpy", "jax")
OFFICIAL = [
    "BlackmanWindow",
    "DFT",
    "HammingWindow",
    "HannWindow",
    "MelWeightMatrix",
    "STFT",
]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("op_type", OFFICIAL)
def test_official(check_official: Any, op_type: str, backend: str):
    check_official(op_type, backend)


def noise(*shape: int, dtype: Any = np.float32) -> Any:
    return np.random.default_rng(3).normal(size=shape).astype(dtype)


def pairs(x: Any) -> Any:
    return np.stack((x.real, x.imag), -1)


@pytest.mark.parametrize("xp", [np, jnp])
@pytest.mark.parametrize("length", [None, 3, 8])
@pytest.mark.parametrize("axis", [None, 0, -2, -3])
def test_dft(assert_close: Any, xp: Any, length: int | None, axis: int | None):
    """Cut or filled up to `length`; one-sided there and back; any signal axis."""
    x = noise(4, 5, 6, 2, dtype=np.float64)
    place = 2 if axis is None else axis % 4
    operands = [None if v is None else np.array(v) for v in (length, axis)]
    numbers = x[..., 0] + 1j * x[..., 1]
    with jax.enable_x64(True):
        found = signal.dft(xp, x, *operands)
        assert_close(found, pairs(np.fft.fft(numbers, length, place)))
        found = signal.dft(xp, x, *operands, inverse=1)
        assert_close(found, pairs(np.fft.ifft(numbers, length, place)))
        found = signal.dft(xp, x[..., :1], *operands, onesided=1)
        assert_close(found, pairs(np.fft.rfft(x[..., 0], length, place)))
        found = signal.dft(xp, x, *operands, onesided=1, inverse=1)
        assert_close(found, np.fft.irfft(numbers, length, place)[..., None])


@pytest.mark.parametrize("xp", [np, jnp])
@pytest.mark.parametrize("dtype", [np.float16, ml_dtypes.bfloat16, np.float32])
def test_dft_keeps_type(assert_close: Any, xp: Any, dtype: Any):
    x = noise(2, 8, 1, dtype=dtype)
    wanted = pairs(np.fft.fft(x[..., 0].astype(np.float32))).astype(dtype)
    assert_close(signal.dft(xp, x), wanted)


@pytest.mark.parametrize("xp", [np, jnp])
@pytest.mark.parametrize("windowed", [False, True])
@pytest.mark.parametrize("parts", [1, 2])
def test_stft(assert_close: Any, xp: Any, windowed: bool, parts: int):
    x = noise(2, 11, parts, dtype=np.float64)
    window = np.hanning(4) if windowed else None
    numbers = x[..., 0] + (1j * x[..., 1] if parts == 2 else 0)
    frames = np.stack([numbers[:, i : i + 4] for i in (0, 3, 6)], 1)
    frames = frames if window is None else frames * window
    length = None if windowed else np.array(4)
    with jax.enable_x64(True):
        found = signal.stft(xp, x, np.array(3), window, length, onesided=0)
    assert_close(found, pairs(np.fft.fft(frames)))


def test_onesided_refuses_complex():
    for call in (signal.dft, signal.stft):
        with pytest.raises(ValueError, match="found a complex signal"):
            call(np, noise(1, 4, 2), np.array(4), onesided=1)


@pytest.mark.parametrize("op_type", ["BlackmanWindow", "HammingWindow", "HannWindow"])
@pytest.mark.parametrize("backend", BACKENDS)
def test_window_types(check_reference: Any, op_type: str, backend: str):
    for datatype in (1, 10, 11):
        node = helper.make_node(op_type, ["n"], ["y"], output_datatype=datatype)
        check_reference(node, [np.array(7)], backend)
    assert signal.KERNELS[op_type](np, np.array(1), periodic=0).shape == (1,)


@pytest.mark.parametrize("backend", BACKENDS)
def test_mel_weights(check_reference: Any, backend: str):
    names = ["bins", "length", "rate", "low", "high"]
    node = helper.make_node("MelWeightMatrix", names, ["y"])
    values = (12, 64, 16000, np.float32(20), np.float32(7800))
    check_reference(node, [np.array(v) for v in values], backend)


@pytest.mark.parametrize("xp", [np, jnp])
def test_random_moments(xp: Any):
    """Mean and deviation of 10 000 draws, within six standard errors."""
    shape = (100, 100)
    normal = np.asarray(signal.random_normal(xp, shape, mean=3, scale=2, seed=0.5))
    assert abs(normal.mean() - 3) < 0.12
    assert abs(normal.std() - 2) < 0.09
    uniform = np.asarray(signal.random_uniform(xp, shape, low=-1, high=3, seed=0.5))
    assert abs(uniform.mean() - 1) < 0.07
    assert uniform.min() >= -1
    assert uniform.max() <= 3
    share = np.asarray(signal.bernoulli(xp, xp.full(shape, 0.25, np.float32), seed=1))
    assert abs(share.mean() - 0.25) < 0.026
    odds = xp.log(xp.asarray([[1, 3], [1, 1]], np.float32))
    drawn = np.asarray(signal.multinomial(xp, odds, sample_size=5000, seed=1))
    assert np.abs(drawn.mean(1) - [0.75, 0.5]).max() < 0.043


@pytest.mark.parametrize("xp", [np, jnp])
def test_random_types_and_seeds(xp: Any):
    x = xp.zeros((2, 3), np.float16)
    for kernel in (signal.random_normal_like, signal.random_uniform_like):
        assert kernel(xp, x).dtype == np.float16
        a, b, c = (kernel(xp, x, dtype="bfloat16", seed=s) for s in (1.0, 1.0, 1.5))
        assert a.dtype == ml_dtypes.bfloat16
        assert (a == b).all()
        assert not (a == c).all()
    assert signal.bernoulli(xp, x).dtype == np.float16
    assert signal.bernoulli(xp, x, dtype="bool").dtype == np.bool_
    assert not signal.bernoulli(xp, x).any()
    assert signal.multinomial(xp, x).dtype == np.int32
    assert signal.multinomial(xp, x).shape == (2, 1)
