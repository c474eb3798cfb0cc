"""What sardonyx adds to xDSL: its dialects and passes, found by ``xdsl-opt`` too."""

from collections.abc import Callable
from importlib.metadata import EntryPoint, entry_points

from xdsl.ir import Dialect
from xdsl.passes import ModulePass
from xdsl.universe import Universe

from ..dialects.errors import SardonyxError
from ..passes import get_all_passes


def _onnx() -> Dialect:
    from ..dialects.onnx.ops import Onnx

    return Onnx


def _onnx_ml() -> Dialect:
    from ..dialects.onnx.ops import OnnxMl

    return OnnxMl


def _onnx_preview() -> Dialect:
    from ..dialects.onnx.ops import OnnxPreview

    return OnnxPreview


def _onnx_training() -> Dialect:
    from ..dialects.onnx.ops import OnnxTraining

    return OnnxTraining


def _microsoft() -> Dialect:
    from ..dialects.onnx.ops import Microsoft

    return Microsoft


def _microsoft_nchwc() -> Dialect:
    from ..dialects.onnx.ops import MicrosoftNchwc

    return MicrosoftNchwc


def _fourier() -> Dialect:
    from ..dialects.fourier import Fourier

    return Fourier


def _nhwc() -> Dialect:
    from ..dialects.nhwc import Nhwc

    return Nhwc


def _quant() -> Dialect:
    from ..dialects.quant import Quant

    return Quant


def _sched() -> Dialect:
    from ..dialects.sched import Sched

    return Sched


def _fusion() -> Dialect:
    from ..dialects.fusion import Fusion

    return Fusion


def _sparse() -> Dialect:
    from ..dialects.sparse import Sparse

    return Sparse


def _sdy() -> Dialect:
    from ..dialects.sdy import Sdy

    return Sdy


DIALECTS: dict[str, Callable[[], Dialect]] = {
    "onnx": _onnx,
    "onnx_ml": _onnx_ml,
    "onnx_preview": _onnx_preview,
    "onnx_training": _onnx_training,
    "microsoft": _microsoft,
    "microsoft_nchwc": _microsoft_nchwc,
    "fourier": _fourier,
    "nhwc": _nhwc,
    "fusion": _fusion,
    "quant": _quant,
    "sched": _sched,
    "sparse": _sparse,
    "sdy": _sdy,
}

GROUP = "sardonyx.passes"
"""The entry points under which a package offers passes."""

INSTALLED: dict[str, EntryPoint] = {p.name: p for p in entry_points(group=GROUP)}
"""What installed packages offer, by the name of the pass."""


def _installed(point: EntryPoint) -> Callable[[], type[ModulePass]]:
    def load() -> type[ModulePass]:
        found = point.load()
        if isinstance(found, type) and issubclass(found, ModulePass):
            return found
        raise SardonyxError(
            f"entry point {point.name!r} of {GROUP}: found {point.value}, "
            "wanted a ModulePass"
        )

    return load


def with_installed() -> dict[str, Callable[[], type[ModulePass]]]:
    """Ours and installed ones; xDSL raises where a name is one of its own."""
    ours = get_all_passes()
    for name, point in INSTALLED.items():
        if name in ours:
            raise SardonyxError(
                f"entry point {name!r} of {GROUP}: found the name of a pass of ours, "
                "wanted another"
            )
        ours[name] = _installed(point)
    return ours


SARDONYX = Universe(all_dialects=DIALECTS, all_passes=with_installed())
"""Ours, as xDSL finds it; a plugin that is loaded adds its passes."""
