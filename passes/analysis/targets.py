"""
Targets: hardware described by data, in TOML files.

A target has engines that work at the same time, each with its rates, and links between
them. Those that we ship stand in ``targets/``; `read_target` takes their names, or the
path of a file of the user's own.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, cast

from ...dialects.errors import SardonyxError

SHIPPED = Path(__file__).parents[2] / "targets"
"""The folder of the targets that we ship, beside the packages."""


class TargetError(SardonyxError):
    """A description of a target that cannot be used."""


@dataclass(frozen=True)
class Engine:
    """Something that runs one op at a time."""

    name: str
    flops: Mapping[str, float]
    """Operations a second, by element type; float32 is there."""
    bandwidth: float
    """Bytes a second, between the engine and its memory."""
    memory_bytes: float
    launch_seconds: float = 0.0
    """What every op takes besides its work."""

    def seconds(self, flops: float, moved: float, element: str = "float32") -> float:
        """
        How long an op takes: the roofline (Williams et al. 2009), and its launch.

            max(flops / peak, bytes moved / bandwidth) + launch
        """
        peak = self.peak(element)
        return max(flops / peak, moved / self.bandwidth) + self.launch_seconds

    def peak(self, element: str) -> float:
        """
        Operations a second on elements of a type.

        One that the engine does not name goes at float32's rate.
        """
        return self.flops.get(element, self.flops["float32"])


@dataclass(frozen=True)
class Link:
    """A way between two engines, used in either direction."""

    between: tuple[str, str]
    bandwidth: float
    """Bytes a second."""
    latency_seconds: float = 0.0

    def seconds(self, moved: float) -> float:
        """How long `moved` bytes take."""
        return self.latency_seconds + moved / self.bandwidth


@dataclass(frozen=True)
class Rates:
    """What the programs of a backend reach on a target."""

    flops: float
    """Operations a second of a large product in float32; a multiply-add is 2."""
    bandwidth: float
    """Bytes a second read and written by a sum of arrays that no cache holds."""
    cache_bandwidth: float
    """As `bandwidth`, of arrays of less than `cache_bytes` together."""
    cache_bytes: float
    transcendentals: float
    """Evaluations of exp a second."""
    launch_seconds: float
    """What every op takes besides its work."""
    call_seconds: float
    """What every call of a program takes besides its ops."""
    fuses: bool = False
    """Whether the backend makes one kernel of elementwise ops that follow another."""


@dataclass(frozen=True)
class Target:
    """Hardware: its engines in the order of the file, and the links between them."""

    name: str
    description: str
    engines: tuple[Engine, ...]
    links: tuple[Link, ...] = ()
    backends: Mapping[str, Rates] = field(default_factory=dict[str, Rates])
    """By the backend's name; what is measured for a host by `sardonyx calibrate`."""

    def link(self, one: str, other: str) -> Link | None:
        """The link between two engines; None if they share their memory."""
        ends = {one, other}
        return next((link for link in self.links if {*link.between} == ends), None)


def shipped_targets() -> list[str]:
    """The names that `read_target` knows."""
    return sorted(path.stem for path in SHIPPED.glob("*.toml"))


def read_target(name: str | Path) -> Target:
    """
    The target called `name`, or described by the file at that path.

    Raises TargetError if there is none, or if the file says something else than it
    must.
    """
    path = Path(name)
    if path.suffix != ".toml":
        if str(name) not in shipped_targets():
            known = ", ".join(shipped_targets())
            raise TargetError(f"target {str(name)!r}: wanted {known}, or a .toml file")
        path = SHIPPED / f"{name}.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise TargetError(f"{path}: cannot be read: {reason}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TargetError(f"{path}: not TOML: {error}") from error
    return _target(_Table(content, str(path)), path.stem)


@dataclass(frozen=True)
class _Table:
    """A table of the file, and how it is called in errors."""

    content: Mapping[str, Any]
    where: str

    def known(self, *names: str) -> None:
        """Raise TargetError for an entry that nobody reads."""
        for name in self.content:
            if name not in names:
                wanted = ", ".join(names)
                raise TargetError(f"{self.where}: found {name!r}, wanted {wanted}")

    def text(self, name: str, default: str | None = None) -> str:
        found = self.content.get(name, default)
        if not isinstance(found, str):
            raise TargetError(f"{self.where}: {name}: found {found!r}, wanted a string")
        return found

    def amount(self, name: str, default: float | None = None) -> float:
        """A number of 0 or more; over 0 if there is no default."""
        found = self.content.get(name, default)
        number = isinstance(found, int | float) and not isinstance(found, bool)
        if not number or not math.isfinite(found) or found < 0:
            wanted = "a finite number of 0 or more"
            raise TargetError(f"{self.where}: {name}: found {found!r}, wanted {wanted}")
        if found == 0 and default is None:
            raise TargetError(f"{self.where}: {name}: found 0, wanted more")
        return float(found)

    def flag(self, name: str) -> bool:
        """Whether it is so; it is not if there is nothing."""
        found = self.content.get(name, False)
        if not isinstance(found, bool):
            raise TargetError(f"{self.where}: {name}: found {found!r}, wanted a bool")
        return found

    def table(self, name: str) -> _Table:
        """The table of that name; an empty one if there is none."""
        found = self.content.get(name, {})
        if not isinstance(found, dict):
            raise TargetError(f"{self.where}: {name}: found {found!r}, wanted a table")
        return _Table(cast(dict[str, Any], found), f"{self.where}: {name}")

    def tables(self, name: str) -> list[_Table]:
        found = self.content.get(name, [])
        items = cast(list[Any], found) if isinstance(found, list) else [found]
        made: list[_Table] = []
        for number, item in enumerate(items):
            if not isinstance(item, dict):
                raise TargetError(f"{self.where}: {name}: wanted tables, [[{name}]]")
            content = cast(dict[str, Any], item)
            made.append(_Table(content, f"{self.where}: {name} {number}"))
        return made


def _target(table: _Table, stem: str) -> Target:
    table.known("name", "description", "engines", "links", "backends")
    engines = tuple(map(_engine, table.tables("engines")))
    names = [engine.name for engine in engines]
    if not names or len({*names}) != len(names):
        raise TargetError(
            f"{table.where}: found engines {names}, wanted some, all named"
        )
    links = tuple(_link(one, names) for one in table.tables("links"))
    name, description = table.text("name", stem), table.text("description", "")
    held = table.table("backends")
    backends = {one: _rates(held.table(one)) for one in held.content}
    return Target(name, description, engines, links, backends)


def _rates(table: _Table) -> Rates:
    names = [one.name for one in fields(Rates)]
    table.known(*names)
    amounts = [table.amount(name) for name in names if name != "fuses"]
    return Rates(*amounts, fuses=table.flag("fuses"))


def _engine(table: _Table) -> Engine:
    table.known("name", "memory_bytes", "bandwidth", "launch_seconds", "flops")
    rates = table.content.get("flops")
    if not isinstance(rates, dict) or "float32" not in rates:
        raise TargetError(f"{table.where}: flops: wanted a table with float32 at least")
    held = _Table(cast(dict[str, Any], rates), f"{table.where}: flops")
    return Engine(
        table.text("name"),
        {element: held.amount(element) for element in held.content},
        table.amount("bandwidth"),
        table.amount("memory_bytes"),
        table.amount("launch_seconds", 0.0),
    )


def _link(table: _Table, engines: list[str]) -> Link:
    table.known("between", "bandwidth", "latency_seconds")
    ends = table.content.get("between")
    if not isinstance(ends, list) or len(cast(list[Any], ends)) != 2:
        raise TargetError(f"{table.where}: between: wanted the names of two engines")
    one, other = cast(list[Any], ends)
    if one not in engines or other not in engines or one == other:
        wanted = f"two of {', '.join(engines)}"
        raise TargetError(f"{table.where}: between: found {ends}, wanted {wanted}")
    latency = table.amount("latency_seconds", 0.0)
    return Link((one, other), table.amount("bandwidth"), latency)
