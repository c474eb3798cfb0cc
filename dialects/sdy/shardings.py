"""
Meshes of devices, and how a tensor lies on one: the attributes of the `sdy` dialect.

The text is Shardy's (openxla.org/shardy, "Sharding representation"); sub-axes are not
ours. A tensor of eight rows on a mesh of two by four devices, rows along "x":
``#sdy.sharding<@mesh, [{"x"}, {}]>``.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import product

from xdsl.ir import Data
from xdsl.irdl import irdl_attr_definition
from xdsl.parser import AttrParser
from xdsl.printer import Printer
from xdsl.utils.exceptions import VerifyException

MAX_DEVICES = 4096
"""How many devices a mesh may have."""

# --- meshes ---


@dataclass(frozen=True)
class Mesh:
    """Devices in a grid, each of its dimensions an axis with a name."""

    axes: tuple[tuple[str, int], ...]

    @property
    def sizes(self) -> dict[str, int]:
        """How many devices lie along each axis."""
        return dict(self.axes)

    @property
    def devices(self) -> int:
        """How many devices there are."""
        return math.prod(size for _, size in self.axes)

    def size(self, axes: Iterable[str]) -> int:
        """In how many parts something sharded along `axes` is."""
        sizes = self.sizes
        return math.prod(sizes[axis] for axis in axes)

    def places(self) -> Iterator[dict[str, int]]:
        """Where each device lies along each axis, in the devices' order (row-major)."""
        names = [name for name, _ in self.axes]
        for place in product(*(range(size) for _, size in self.axes)):
            yield dict(zip(names, place, strict=True))

    def groups(self, axes: Sequence[str]) -> list[list[int]]:
        """The devices that differ along `axes` only, the first of these slowest."""
        sizes, found = self.sizes, dict[tuple[int, ...], list[tuple[int, int]]]()
        for device, place in enumerate(self.places()):
            rest = tuple(place[name] for name in sizes if name not in axes)
            found.setdefault(rest, []).append((part(place, axes, sizes), device))
        return [[device for _, device in sorted(group)] for group in found.values()]


def part(
    place: Mapping[str, int], axes: Iterable[str], sizes: Mapping[str, int]
) -> int:
    """Which of the parts along `axes`, the first of these slowest, lies at `place`."""
    index = 0
    for axis in axes:
        index = index * sizes[axis] + place[axis]
    return index


@irdl_attr_definition
class MeshAttr(Data[Mesh]):
    """``#sdy.mesh<["x"=2, "y"=4]>``."""

    name = "sdy.mesh"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Mesh:
        with parser.in_angle_brackets():
            return Mesh(
                tuple(
                    parser.parse_comma_separated_list(
                        parser.Delimiter.SQUARE, lambda: _parse_axis(parser)
                    )
                )
            )

    def print_parameter(self, printer: Printer) -> None:
        def axis(entry: tuple[str, int]) -> None:
            printer.print_string_literal(entry[0])
            printer.print_string(f"={entry[1]}")

        with printer.in_angle_brackets(), printer.in_square_brackets():
            printer.print_list(self.data.axes, axis)

    def verify(self) -> None:
        names = [name for name, _ in self.data.axes]
        if len(set(names)) != len(names):
            raise VerifyException(f"found axes {names}, wanted each once")
        if any(size < 1 for _, size in self.data.axes):
            raise VerifyException(f"found {self.data.axes}, wanted sizes of 1 or more")
        if self.data.devices > MAX_DEVICES:
            found = self.data.devices
            raise VerifyException(f"found {found} devices, wanted at most 4096")


def _parse_axis(parser: AttrParser) -> tuple[str, int]:
    name = parser.parse_str_literal("an axis name")
    parser.parse_punctuation("=")
    return name, parser.parse_integer(allow_boolean=False, allow_negative=False)


# --- shardings ---


@dataclass(frozen=True)
class DimSharding:
    """The axes along which one dimension is divided, the first of them slowest."""

    axes: tuple[str, ...] = ()
    open: bool = False
    """Whether propagation may add axes."""
    priority: int | None = None
    """Propagation's turn: those of lower numbers come first."""


@dataclass(frozen=True)
class Sharding:
    """How a tensor lies on a mesh."""

    mesh: str
    """The symbol of the mesh."""
    dims: tuple[DimSharding, ...]
    replicated: tuple[str, ...] = ()
    """Axes along which propagation must not divide it."""
    unreduced: tuple[str, ...] = ()
    """Axes along which the devices hold terms of a sum that is still to be made."""

    @staticmethod
    def of(mesh: str, dims: Sequence[Sequence[str]]) -> Sharding:
        """A closed sharding with these axes for each dimension."""
        return Sharding(mesh, tuple(DimSharding(tuple(axes)) for axes in dims))

    @property
    def axes(self) -> tuple[tuple[str, ...], ...]:
        """The axes of each dimension."""
        return tuple(dim.axes for dim in self.dims)

    @property
    def used(self) -> set[str]:
        """Every axis that it names."""
        named = [axis for axes in self.axes for axis in axes]
        return {*named, *self.replicated, *self.unreduced}

    def closed(self) -> Sharding:
        """The same, to which propagation adds nothing."""
        dims = tuple(replace(d, open=False, priority=None) for d in self.dims)
        return replace(self, dims=dims)

    def problem(self, mesh: Mesh, shape: Sequence[int] | None) -> str | None:
        """What is wrong with it for a tensor of `shape`; None if nothing is."""
        named = [axis for axes in self.axes for axis in axes]
        named += [*self.replicated, *self.unreduced]
        for axis in named:
            if axis not in mesh.sizes:
                return f"found axis {axis!r}, wanted one of {sorted(mesh.sizes)}"
            if named.count(axis) > 1:
                return f"found axis {axis!r} {named.count(axis)} times, wanted it once"
        if shape is None:
            return None
        if len(shape) != len(self.dims):
            return f"found {len(self.dims)} dimensions for a tensor of {len(shape)}"
        for size, axes in zip(shape, self.axes, strict=True):
            if size >= 0 and size % mesh.size(axes):
                return f"found size {size}, wanted a multiple of {mesh.size(axes)}"
        return None


@irdl_attr_definition
class ShardingAttr(Data[Sharding]):
    """``#sdy.sharding<@mesh, [{"x"}, {"y", ?}], replicated={"z"}>``."""

    name = "sdy.sharding"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> Sharding:
        return parse_sharding(parser)

    def print_parameter(self, printer: Printer) -> None:
        print_sharding(printer, self.data)


@irdl_attr_definition
class ShardingPerValueAttr(Data[tuple[Sharding, ...]]):
    """One sharding for each result: ``#sdy.sharding_per_value<[<@mesh, [{}]>]>``."""

    name = "sdy.sharding_per_value"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> tuple[Sharding, ...]:
        with parser.in_angle_brackets():
            return parse_shardings(parser)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            print_shardings(printer, self.data)


def parse_shardings(parser: AttrParser) -> tuple[Sharding, ...]:
    """Parse ``[<@mesh, [{"x"}]>, …]``."""
    found = parser.parse_comma_separated_list(
        parser.Delimiter.SQUARE, lambda: parse_sharding(parser)
    )
    return tuple(found)


def print_shardings(printer: Printer, shardings: Sequence[Sharding]) -> None:
    """Print what `parse_shardings` reads."""
    with printer.in_square_brackets():
        printer.print_list(shardings, lambda one: print_sharding(printer, one))


def parse_sharding(parser: AttrParser) -> Sharding:
    """Parse ``<@mesh, [{"x"}, {"y", ?}], replicated={"z"}, unreduced={"w"}>``."""
    with parser.in_angle_brackets():
        mesh = parser.parse_symbol_name().data
        parser.parse_punctuation(",")
        dims = parse_dims(parser)
        extra: dict[str, tuple[str, ...]] = {}
        while parser.parse_optional_punctuation(",") is not None:
            word = "replicated" if parser.parse_optional_keyword("replicated") else ""
            if not word:
                parser.parse_keyword("unreduced")
                word = "unreduced"
            parser.parse_punctuation("=")
            extra[word] = parse_axes(parser)
        return Sharding(mesh, dims, **extra)


def print_sharding(printer: Printer, sharding: Sharding) -> None:
    """Print what `parse_sharding` reads."""
    with printer.in_angle_brackets():
        printer.print_symbol_name(sharding.mesh)
        printer.print_string(", ")
        print_dims(printer, sharding.dims)
        for word in ("replicated", "unreduced"):
            axes: tuple[str, ...] = getattr(sharding, word)
            if axes:
                printer.print_string(f", {word}=")
                print_axes(printer, axes)


def parse_dims(parser: AttrParser) -> tuple[DimSharding, ...]:
    """Parse ``[{"x"}, {"y", ?}p1]``."""
    found = parser.parse_comma_separated_list(
        parser.Delimiter.SQUARE, lambda: _parse_dim(parser)
    )
    return tuple(found)


def print_dims(printer: Printer, dims: Sequence[DimSharding]) -> None:
    """Print what `parse_dims` reads."""

    def one(dim: DimSharding) -> None:
        print_axes(printer, dim.axes, dim.open)
        if dim.priority is not None:
            printer.print_string(f"p{dim.priority}")

    with printer.in_square_brackets():
        printer.print_list(dims, one)


def _parse_dim(parser: AttrParser) -> DimSharding:
    entries = parser.parse_comma_separated_list(
        parser.Delimiter.BRACES, lambda: _parse_entry(parser)
    )
    is_open = entries[-1:] == [None]
    axes = [entry for entry in entries if entry is not None]
    if len(axes) + is_open != len(entries):
        parser.raise_error("expected `?` at the end only")
    priority = parser.parse_optional_keyword_in(_PRIORITIES)
    return DimSharding(
        tuple(axes), is_open, None if priority is None else int(priority[1:])
    )


_PRIORITIES = {f"p{n}" for n in range(100)}


def _parse_entry(parser: AttrParser) -> str | None:
    if parser.parse_optional_punctuation("?") is not None:
        return None
    return parser.parse_str_literal("an axis name or `?`")


@irdl_attr_definition
class AxisListsAttr(Data[tuple[tuple[str, ...], ...]]):
    """Axes for each dimension: ``#sdy.axis_lists<[{}, {"x"}]>``."""

    name = "sdy.axis_lists"

    @classmethod
    def parse_parameter(cls, parser: AttrParser) -> tuple[tuple[str, ...], ...]:
        with parser.in_angle_brackets():
            return parse_axis_lists(parser)

    def print_parameter(self, printer: Printer) -> None:
        with printer.in_angle_brackets():
            print_axis_lists(printer, self.data)


def parse_axis_lists(parser: AttrParser) -> tuple[tuple[str, ...], ...]:
    """Parse ``[{}, {"x"}]``."""
    found = parser.parse_comma_separated_list(
        parser.Delimiter.SQUARE, lambda: parse_axes(parser)
    )
    return tuple(found)


def print_axis_lists(printer: Printer, lists: Sequence[Sequence[str]]) -> None:
    """Print what `parse_axis_lists` reads."""
    with printer.in_square_brackets():
        printer.print_list(lists, lambda axes: print_axes(printer, axes))


def parse_axes(parser: AttrParser) -> tuple[str, ...]:
    """Parse ``{"x", "y"}``."""
    found = parser.parse_comma_separated_list(
        parser.Delimiter.BRACES, lambda: parser.parse_str_literal("an axis name")
    )
    return tuple(found)


def print_axes(printer: Printer, axes: Sequence[str], is_open: bool = False) -> None:
    """Print what `parse_axes` reads, with ``?`` for an open dimension."""
    with printer.in_braces():
        printer.print_list(axes, printer.print_string_literal)
        if is_open:
            printer.print_string(", ?" if axes else "?")
