"""
From the IR to a Python program: one readable line per op, and the kernels it calls.

The program is straight-line code over an array namespace; what differs between NumPy
and JAX (control flow, what must be known before running, how it is run) is in the
subclasses.
"""

from __future__ import annotations

import builtins
import inspect
import keyword
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any, ClassVar, cast

import numpy as np
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Attribute, Block, Operation, SSAValue

from ..dialects.errors import SardonyxError
from ..dialects.fusion import RegionOp
from ..dialects.fusion import YieldOp as RegionYieldOp
from ..dialects.onnx import (
    DenseAttr,
    Dim,
    NoneOp,
    OnnxOp,
    WeightAttr,
    WeightStore,
    YieldOp,
)
from ..dialects.onnx.provenance import describe, node_names
from ..dialects.onnx.types import (
    DTYPE_NAMES,
    Array,
    MapType,
    element_of,
    is_none,
    shape_of,
)
from . import runtime
from .kernels import Kernel
from .kernels.apply import kernel_attributes, wanted_outputs
from .source import Pasted


class LoweringError(SardonyxError):
    """A module that a backend cannot write a program for."""


@dataclass(frozen=True)
class InputSpec:
    """An input as the program states it (see `runtime.Spec`)."""

    name: str
    dtype: str
    """An element type, or ``map(string, float32)``; empty for a sequence, optional."""
    shape: tuple[int | str, ...] | None
    bound: int | None = None

    def __str__(self) -> str:
        shape = "" if self.shape is None else f"[{', '.join(map(str, self.shape))}]"
        return f"{self.name}: {self.dtype}{shape}"

    def entry(self) -> tuple[str, str, tuple[int | str, ...] | None, int | None]:
        """The tuple that the runtime reads."""
        return self.name, self.dtype, self.shape, self.bound


@dataclass(frozen=True)
class Buckets:
    """The sizes to which a program pads dimensions of its inputs."""

    sizes: Mapping[str, tuple[int, ...]]
    """Of each dimension, ascending."""
    ones: Mapping[str, tuple[tuple[int, int], ...]]
    """
    Of each dimension the inputs, and axes, along which the first element must be 1 for
    results to stay what they are: masks, of which each row must leave something.
    """


@dataclass(frozen=True)
class Program:
    """A program: its text, and the weights that it reads by key."""

    source: str
    weights: tuple[str, ...]
    inputs: tuple[InputSpec, ...]
    outputs: tuple[InputSpec, ...]
    host: tuple[str, ...] = ()
    """The nodes that run on the host, on NumPy, though the backend is another."""
    fixed: tuple[str, ...] = ()
    """The inputs for each value of which the program is compiled anew."""
    buckets: Buckets | None = None
    """How the program pads its inputs, if it does."""


MAX_NESTING = 18
"""Python takes 20 blocks within each other."""

_TAKEN = {*keyword.kwlist, *keyword.softkwlist, *dir(builtins)}
_INVALID = re.compile(r"\W", re.ASCII)


@dataclass
class Emitter(ABC):
    """Writes the program of one function."""

    table: Mapping[str, Kernel]
    """The backend's kernel of every op that it has one for."""
    store: WeightStore
    xp: ClassVar[str]
    """The name of the array namespace in the program."""

    pasted: Pasted = field(default_factory=Pasted)
    lines: list[str] = field(default_factory=list[str])
    weights: dict[str, None] = field(default_factory=dict[str, None])
    names: dict[SSAValue, str] = field(default_factory=dict[SSAValue, str])
    level: int = 1
    _taken: set[str] = field(default_factory=lambda: set(_TAKEN))

    # --- what a backend decides ---

    @abstractmethod
    def prepare(self, main: FuncOp) -> None:
        """Look at the function before it is written; LoweringError if it cannot be."""

    @abstractmethod
    def namespace(self, op: OnnxOp) -> str:
        """The array namespace that `op` computes in."""

    @abstractmethod
    def emit_region_op(self, op: OnnxOp) -> None:
        """Write an op with regions."""

    # --- the function ---

    def emit(self, main: FuncOp, inputs: Sequence[str]) -> str:
        """The text of ``forward(w, …)``; `inputs` are the ONNX names."""
        self.reserve("w", "forward", "np", "jnp", "jax", "lax", "ml_dtypes")
        self.prepare(main)
        self._paste_kernels(main)
        block = main.body.block
        parameters = [
            self.define(argument, name)
            for argument, name in zip(block.args, inputs, strict=True)
        ]
        self.emit_block(block)
        head = f"def forward({', '.join(['w', *parameters])}):"
        return "\n".join([head, *self.lines])

    def emit_block(self, block: Block) -> None:
        """
        Write the ops of a block, its terminator left to the caller if it is a yield.
        """
        if self.level > MAX_NESTING:
            raise LoweringError(f"control flow nests deeper than {MAX_NESTING}")
        for op in block.ops:
            if isinstance(op, OnnxOp | RegionOp):
                self._emit_op(op)
            elif isinstance(op, NoneOp):
                self.names[op.result] = "None"
            elif isinstance(op, ReturnOp):
                self._emit_return(op)
            elif not isinstance(op, YieldOp | RegionYieldOp):
                self.emit_other(op)

    def emit_other(self, op: Operation) -> None:
        """Write an op of another dialect."""
        raise LoweringError(f"no backend has a kernel for {op.name}")

    def _emit_return(self, op: ReturnOp) -> None:
        values = [self.name(value) for value in op.arguments]
        comma = "," if len(values) == 1 else ""
        self.line(f"return ({', '.join(values)}{comma})")

    def _paste_kernels(self, main: FuncOp) -> None:
        # Before any value is named, so that no value takes a kernel's name.
        for op in main.walk():
            if not isinstance(op, OnnxOp) or op.has_body or op.name not in self.table:
                continue
            if not self.is_function(op.parent_op()):
                self.pasted.add(self.kernel(op))
        self.reserve(*self.pasted.names)

    # --- ops ---

    def _emit_op(self, op: OnnxOp | RegionOp) -> None:
        if isinstance(op, RegionOp):
            self.emit_fused(op)
        elif op.name == "onnx.Constant":
            self._emit_constant(op)
        elif op.has_body:
            self.emit_region_op(op)
        elif op.name not in self.table:
            raise LoweringError(f"{describe(op)}: no kernel and no function body")
        else:
            self.emit_call(op)

    def emit_call(self, op: OnnxOp) -> None:
        """Write an op that is a call of its kernel."""
        targets = self.targets(op)
        self.line(f"{targets} = {self.placed(op, self.call(op))}  # {origin(op)}")

    def is_function(self, op: Operation | None) -> bool:
        """Whether `op` is a fused region that is written as a function of its own."""
        del op  # backends may write some so
        return False

    def emit_fused(self, op: RegionOp) -> None:
        """Write a fused region: its ops one by one, where nothing better is known."""
        for argument, value in zip(op.block.args, op.inputs, strict=True):
            self.names[argument] = self.name(value)
        self.emit_block(op.block)
        for result, value in zip(op.outputs, op.yielded, strict=True):
            self.names[result] = self.name(value)

    def placed(self, op: OnnxOp | RegionOp, call: str) -> str:
        """The expression of a `call` of the kernel of `op`, its results in place."""
        del op  # backends may have places for its results
        return call

    def kernel(self, op: OnnxOp) -> Kernel:
        """The kernel that `op` calls."""
        return self.table[op.name]

    def call(self, op: OnnxOp) -> str:
        """The expression that calls the kernel of `op`."""
        kernel = self.kernel(op)
        parameters = _parameters(kernel)
        arguments = [self.namespace(op), *self.operands(op)]
        while arguments[-1] == "None" and self._optional(parameters, len(arguments)):
            arguments.pop()
        for name, value in kernel_attributes(op).items():
            if name not in parameters:
                raise LoweringError(
                    f"{describe(op)}: attribute {name!r} is not supported"
                )
            arguments.append(f"{name}={self.literal(value)}")
        if "outputs" in parameters:
            wanted = wanted_outputs(op)
            if wanted != parameters["outputs"].default:
                arguments.append(f"outputs={wanted!r}")
        return f"{self.pasted.add(kernel)}({', '.join(arguments)})"

    def operands(self, op: OnnxOp) -> list[str]:
        """The expressions that the kernel of `op` gets as its operands."""
        return [self.name(value) for value in op.operands]

    def _optional(self, parameters: Mapping[str, Any], count: int) -> bool:
        """Whether the last of `count` positional arguments may be left out."""
        declared = list(parameters.values())
        if count > len(declared):
            return False
        parameter = declared[count - 1]
        if parameter.kind == inspect.Parameter.VAR_POSITIONAL:
            return False
        return count > 1 and parameter.default is None

    def targets(self, op: OnnxOp) -> str:
        """The names that what the kernel of `op` gives is assigned to."""
        parameters = _parameters(self.kernel(op))
        names = [
            "_" if is_none(result.type) else self.define(result, result.name_hint)
            for result in op.results
        ]
        if "outputs" not in parameters:
            return names[0]
        return ", ".join(names) if len(names) > 1 else f"({names[0]},)"

    def _emit_constant(self, op: OnnxOp) -> None:
        value = op.properties["value"]
        if isinstance(value, WeightAttr):
            self.names[op.results[0]] = self.weight(op, value.data)
        elif isinstance(value, DenseAttr):
            self.names[op.results[0]] = array_literal(value.array())
        else:
            raise LoweringError(f"{describe(op)}: no value")

    def weight(self, op: OnnxOp, key: str) -> str:
        """The expression for a weight of the store, the value of constant `op`."""
        del op  # backends may treat a constant by its use
        self.weights[key] = None
        return f"w[{key!a}]"

    def literal(self, value: Any) -> str:
        """An attribute's value as a Python expression."""
        if isinstance(value, np.ndarray):
            return array_literal(cast(Array, value))
        if isinstance(value, WeightAttr):
            self.weights[value.data] = None
            return f"w[{value.data!a}]"
        return _python_literal(value)

    # --- text ---

    def line(self, text: str) -> None:
        """Write a line at the current level."""
        self.lines.append("    " * self.level + text)

    def define(self, value: SSAValue, wanted: str | None) -> str:
        """Give `value` a Python name like `wanted`."""
        self.names[value] = self.fresh(wanted or "v")
        return self.names[value]

    def name(self, value: SSAValue) -> str:
        """The Python expression that `value` is."""
        return self.names[value]

    def fresh(self, wanted: str) -> str:
        """A Python name like `wanted` that nothing else has."""
        base = _INVALID.sub("_", wanted) or "v"
        base = f"v{base}" if base[0].isdigit() else base
        name, count = base, 0
        while name in self._taken:
            count += 1
            name = f"{base}_{count}"
        self._taken.add(name)
        return name

    def reserve(self, *names: str) -> None:
        """Keep names for the program's own use."""
        self._taken.update(names)


def yielded(block: Block) -> Sequence[SSAValue]:
    """The values that a region's block gives to its op."""
    last = block.last_op
    assert isinstance(last, YieldOp), "a region ends with onnx.yield"
    return last.operands


def origin(op: Operation) -> str:
    """What a line came from: the ONNX nodes, escaped, and the operator."""
    names = ", ".join(ascii(name)[1:-1] for name in node_names(op))
    kind = op.label if isinstance(op, RegionOp) else op.name.partition(".")[2]
    return f"{kind} {names}" if names else kind


def _python_literal(value: Any) -> str:
    if isinstance(value, tuple):
        items = [_python_literal(item) for item in cast(tuple[Any, ...], value)]
        return f"({', '.join(items)}{',' if len(items) == 1 else ''})"
    if isinstance(value, float) and not math.isfinite(value):
        return f'float("{value}")'
    if value is None or isinstance(value, str | int | float):
        return ascii(value)
    raise LoweringError(f"an attribute is {value}, wanted a number, string or list")


def array_literal(array: Array) -> str:
    """An expression for a small array, exact in every bit."""
    if array.dtype == object:
        return f"np.array({_nested(array)}, object).reshape({array.shape!r})"
    name = array.dtype.name
    plain = array.dtype.kind in "iub" or (
        array.dtype.kind == "f" and bool(np.isfinite(array).all())
    )
    if plain and not (array.size == 0 and array.ndim != 1):
        return f"np.array({_nested(array)}, {name!r})"
    kind = repr(name) if array.dtype.kind in "iubfc" else f"ml_dtypes.{name}"
    content = f"bytes.fromhex({array.tobytes().hex()!r})"
    return f"np.frombuffer({content}, {kind}).reshape({array.shape!r})"


def _nested(array: Array) -> str:
    items: Any = array.tolist()
    return ascii(items)


# --- the whole program ---


def input_spec(name: str, kind: Attribute, bound: int | None = None) -> InputSpec:
    """How the program states an input or output of type `kind`."""
    element = element_of(kind)
    if isinstance(kind, MapType):
        return InputSpec(name, _map_name(name, kind), None)
    if element is None:
        return InputSpec(name, "", None)
    if element not in DTYPE_NAMES:
        raise LoweringError(f"{name!r}: {element} is not an ONNX element type")
    shape = shape_of(kind)
    if shape is None:
        return InputSpec(name, DTYPE_NAMES[element], None, bound)
    dims = [
        f"?{name}.{place}" if dim is None else _spec_dim(dim)
        for place, dim in enumerate(shape)
    ]
    return InputSpec(name, DTYPE_NAMES[element], tuple(dims), bound)


def _map_name(name: str, kind: MapType) -> str:
    """``map(string, float32)``: how the runtime reads the type of a map to scalars."""
    value = element_of(kind.value)
    if kind.key not in DTYPE_NAMES or value not in DTYPE_NAMES:
        raise LoweringError(f"{name!r}: {kind}, wanted a map to scalars")
    return f"map({DTYPE_NAMES[kind.key]}, {DTYPE_NAMES[value]})"


def _spec_dim(dim: Dim) -> int | str:
    if dim.constant is not None:
        return dim.constant
    return str(dim) if dim.symbol is None else dim.symbol


def assemble(
    title: str,
    emitter: Emitter,
    forward: str,
    inputs: Sequence[InputSpec],
    outputs: Sequence[InputSpec],
    runner: Sequence[Callable[..., Any]],
    driver: str,
) -> str:
    """
    The text of ``model.py``: kernels, ``forward``, and what runs it.

    `runner` are the runtime functions that `driver`, the program's last section, calls.
    """
    pasted = emitter.pasted
    kernels = list(pasted.blocks)
    for function in (runtime.bind, runtime.read_weights, runtime.main, *runner):
        given = pasted.add(function)
        assert given == function.__name__, "the driver calls these by their names"
    supports = pasted.blocks[len(kernels) :]
    for needed in ("import ml_dtypes", "import numpy as np", "import os"):
        pasted.imports[needed] = None
    entries = [_spec_text("INPUTS", inputs), _spec_text("OUTPUTS", outputs)]
    parts = [
        f'"""{_docstring(title, inputs, outputs)}"""',
        "from __future__ import annotations",
        "\n".join(pasted.import_lines()),
        "\n\n".join(entries),
        *_section("the model", [forward]),
        *_section("kernels", kernels),
        *_section("running it", supports),
        driver.strip(),
    ]
    return "\n\n\n".join(parts) + "\n"


def _section(title: str, blocks: Sequence[str]) -> list[str]:
    return [f"# --- {title} ---", *blocks] if blocks else []


def _spec_text(name: str, specs: Sequence[InputSpec]) -> str:
    rows = "".join(f"    {spec.entry()!a},\n" for spec in specs)
    return f"{name} = (\n{rows})"


def _docstring(
    title: str, inputs: Sequence[InputSpec], outputs: Sequence[InputSpec]
) -> str:
    lines = [title, ""]
    for word, specs in (("input", inputs), ("output", outputs)):
        for spec in specs:
            lines.append(f"{word:6} {spec}")
    lines += [
        "",
        "``python model.py`` runs it on random input; ``from model import run``",
    ]
    lines += ["gives a function of the inputs, by position or by name."]
    # Names are data: whatever they hold, they stay inside this string.
    return "\n".join(ascii(line)[1:-1].replace('"', "'") for line in lines)


@cache
def _parameters(kernel: Kernel) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(kernel).parameters
