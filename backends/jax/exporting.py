"""A JAX program as StableHLO (``jax.export``), to run where only JAX is."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import jax
from jax import export

from ...dialects.onnx import Dim
from ...dialects.onnx.packing import dtype_of
from ..program import InputSpec, LoweringError

PLATFORMS = ("cpu", "cuda", "tpu")
"""What a program is exported for unless it is said."""

_KNOWN = ("cpu", "cuda", "rocm", "tpu")
"""What JAX lowers for; it takes other names too, and lowers for nothing."""

_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_]*", re.ASCII)
_OPERATIONS = ("floordiv", "mod", "max", "min", "non_negative")
"""Names that jax.export's dimension expressions give a meaning to."""


def exported(
    forward: Any,
    weights: Mapping[str, Any],
    inputs: Sequence[InputSpec],
    platforms: Sequence[str] = PLATFORMS,
) -> export.Exported:
    """
    `forward` of a dictionary like `weights` and of the inputs, free sizes symbolic.

    Its ``call`` owes 64-bit inputs ``jax.enable_x64``, and refuses them without. Raises
    LoweringError if JAX cannot trace it for every size, or lower it for a platform.
    """
    unknown = [name for name in platforms if name not in _KNOWN]
    if unknown:
        raise LoweringError(
            f"found platform {unknown[0]!r}, wanted {', '.join(_KNOWN)}"
        )
    symbols = sorted({name for spec in inputs for name in _symbols(spec)})
    with jax.enable_x64(True):
        held = {
            key: jax.ShapeDtypeStruct(array.shape, array.dtype)
            for key, array in weights.items()
        }
        try:
            values = _arguments(inputs, symbols)
            return export.export(jax.jit(forward), platforms=platforms)(held, *values)  # pyright: ignore[reportUnknownMemberType]
        except Exception as error:
            # A kernel fails in its own way on a size that is no number.
            lines = str(error).strip().splitlines() or [type(error).__name__]
            fix = " ".join(f"--dim {name}=N" for name in symbols)
            advice = f"; fix its free sizes: {fix}" if symbols else ""
            raise LoweringError(
                f"jax.export for {', '.join(platforms)}: {lines[0]}{advice}"
            ) from error


def _arguments(
    inputs: Sequence[InputSpec], symbols: Sequence[str]
) -> list[jax.ShapeDtypeStruct]:
    """What each input is for JAX; `symbols` are all names of sizes in them."""
    scope = export.SymbolicScope()
    plain = _plain_names(symbols)
    arguments: list[jax.ShapeDtypeStruct] = []
    for spec in inputs:
        if spec.shape is None:
            raise LoweringError(f"input {spec.name!r} has no known rank")
        sizes = [str(Dim.parse(str(dim)).substitute(plain)) for dim in spec.shape]
        shape = export.symbolic_shape(", ".join(sizes), scope=scope)
        arguments.append(jax.ShapeDtypeStruct(shape, dtype_of(spec.dtype)))
    return arguments


def _symbols(spec: InputSpec) -> frozenset[str]:
    dims = [Dim.parse(dim) for dim in spec.shape or () if isinstance(dim, str)]
    return frozenset[str]().union(*(dim.symbols for dim in dims))


def _plain_names(symbols: Sequence[str]) -> dict[str, Dim]:
    """For each name, itself or, where JAX would not take it for one, another."""
    names = {s: s for s in symbols if _PLAIN.fullmatch(s) and s not in _OPERATIONS}
    for place, symbol in enumerate(s for s in symbols if s not in names):
        name = f"size_{place}"
        while name in names.values():
            name += "_"
        names[symbol] = name
    return {symbol: Dim.of(name) for symbol, name in names.items()}
