"""
Compile ONNX models.

    from sardonyx.compiler import compile_model

    executable = compile_model("model.onnx", backend="jax", dims={"batch": 1})
    outputs = executable(x)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from ..dialects.errors import SardonyxError
    from .artifact import load_artifact
    from .driver import compile_model
    from .importer import import_model

__all__ = ["SardonyxError", "compile_model", "import_model", "load_artifact"]

_HOMES = {
    "SardonyxError": "..dialects.errors",
    "compile_model": ".driver",
    "import_model": ".importer",
    "load_artifact": ".artifact",
}
"""Where each name is defined: importing this package loads none of them."""


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(_HOMES[name], __name__), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
