"""What sardonyx adds to xDSL: its dialects and passes, found by ``xdsl-opt`` too."""

from collections.abc import Callable

from xdsl.ir import Dialect
from xdsl.universe import Universe

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


DIALECTS: dict[str, Callable[[], Dialect]] = {
    "onnx": _onnx,
    "onnx_ml": _onnx_ml,
    "onnx_preview": _onnx_preview,
    "onnx_training": _onnx_training,
}

SARDONYX = Universe(all_dialects=DIALECTS, all_passes=get_all_passes())
