"""What ``--shard``, ``--mesh`` and ``--devices`` say: the passes, and devices here."""

from __future__ import annotations

import math
import os
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from ..dialects.errors import SardonyxError
from .pipelines import spec_of, spec_text

PLANS = {
    "data": "shard-data{size=N}",
    "tensor": "shard-tensor{size=N}",
    "tensor-tokens": "shard-tensor{size=N scatter=true}",
    "sequence": "shard-sequence{size=N}",
}
"""The pass that annotates for each plan of size N."""

AS_NOTED = "model"
"""What ``--shard`` is told to take the shardings that the model's file has."""

HOST_DEVICES = "--xla_force_host_platform_device_count"
"""XLA's flag for how many devices the CPU is."""

_VALUE = re.compile(r"(?P<name>.+)=\[(?P<dims>.*)\]")
_DIM = re.compile(r"\{(?P<axes>[^{}]*)\}")
_AXIS = re.compile(r"[\w.-]+")


@dataclass(frozen=True)
class Shards:
    """How a model is to be divided."""

    plans: tuple[tuple[str, int], ...] = ()
    """Plans and their sizes, in their order."""
    mesh: str = ""
    """Axes that annotations name: ``x=2,y=2``."""
    values: tuple[str, ...] = ()
    """Annotations, as `shard-values` takes them: ``ids=x,_``."""
    noted: bool = False
    """Whether the model's file has shardings that are to be used."""
    given: int | None = None
    """What ``--devices`` said."""

    def __bool__(self) -> bool:
        return bool(self.plans or self.values or self.noted)

    @property
    def devices(self) -> int:
        """How many devices there must be."""
        if self.noted and self.given is not None:
            return self.given
        return math.prod((*(size for _, size in self.plans), *_sizes(self.mesh)))


def parse_shards(
    entries: Sequence[str] | None, devices: int | None, mesh: str | None = None
) -> Shards:
    """
    What ``--shard`` (``PLAN=N``, ``NAME=[{"x"},{}]`` or ``model``) and others say.

    One of the plans may leave N to be what `devices` has for it. Raises SardonyxError
    for what is none of these, and where the numbers do not fit.
    """
    plans: list[str] = []
    values: list[str] = []
    for entry in entries or ():
        annotated = _VALUE.fullmatch(entry)
        if annotated is not None:
            values.append(_annotation(entry, annotated))
        elif entry != AS_NOTED:
            plans.append(entry)
    noted = AS_NOTED in (entries or ())
    if bool(values) != bool(mesh):
        found = f"--mesh {mesh}" if mesh else f"--shard {values[0]}"
        raise SardonyxError(
            f"{found}: wanted --mesh X=N and --shard 'NAME=[{{\"X\"}},{{}}]' together"
        )
    taken = math.prod(_sizes(mesh or ""))
    if noted and (plans or values):
        raise SardonyxError("--shard model: found other --shard, wanted it alone")
    if noted:
        return Shards(noted=True, given=devices)
    sized = _plans(plans, devices, taken)
    return Shards(tuple(sized), mesh or "", tuple(values), given=devices)


def _plans(
    entries: Sequence[str], devices: int | None, taken: int
) -> list[tuple[str, int]]:
    """The plans and their sizes, on devices of which the mesh takes `taken`."""
    found: list[tuple[str, int | None]] = []
    for entry in entries:
        plan, equals, size = entry.partition("=")
        sized = size.isascii() and size.isdigit() and 0 < len(size) < 5
        if plan not in PLANS or bool(equals) != sized or (equals and int(size) < 1):
            plans = ", ".join(PLANS)
            wanted = f'PLAN=N, PLAN one of {plans}; NAME=[{{"X"}},{{}}]; or {AS_NOTED}'
            raise SardonyxError(f"--shard: found {entry!r}, wanted {wanted}")
        if any(plan == other for other, _ in found):
            raise SardonyxError(f"--shard: found {plan!r} twice, wanted it once")
        found.append((plan, int(size) if equals else None))
    free = [plan for plan, size in found if size is None]
    taken *= math.prod(size for _, size in found if size is not None)
    if free and (devices is None or len(free) > 1):
        wanted = f"{free[-1]}=N, or --devices for one of them"
        raise SardonyxError(f"--shard: found {free[-1]!r}, wanted {wanted}")
    if devices is not None and (devices % taken or (not free and devices != taken)):
        wanted = f"what --shard takes, {taken}" + ", or a multiple" * bool(free)
        raise SardonyxError(f"--devices: found {devices}, wanted {wanted}")
    rest = 1 if devices is None else devices // taken
    return [(plan, rest if size is None else size) for plan, size in found]


def _annotation(entry: str, found: re.Match[str]) -> str:
    """``NAME=[{"x", "y"}, {}]`` as ``NAME=x+y,_``."""
    dims: list[str] = []
    text = found["dims"].replace(" ", "")
    for dim in text.replace("},{", "}\n{").split("\n") if text else ():
        inside = _DIM.fullmatch(dim)
        axes = [] if inside is None else [a for a in inside["axes"].split(",") if a]
        axes = [axis.removeprefix('"').removesuffix('"') for axis in axes]
        if inside is None or not all(_AXIS.fullmatch(axis) for axis in axes):
            wanted = "for each dimension the axes that divide it"
            raise SardonyxError(
                f'--shard: found {entry!r}, wanted NAME=[{{"X"}},{{}}]: {wanted}'
            )
        dims.append("+".join(axes) or "_")
    return f"{found['name']}={','.join(dims)}"


def _sizes(mesh: str) -> list[int]:
    """The sizes of the axes ``x=2,y=2``; SardonyxError if it is not so."""
    found: list[int] = []
    for entry in filter(None, mesh.split(",")):
        name, _, size = entry.partition("=")
        good = size.isascii() and size.isdigit() and 0 < len(size) < 5
        if not _AXIS.fullmatch(name) or not good or int(size) < 1:
            raise SardonyxError(f"--mesh: found {entry!r}, wanted NAME=N,…")
        found.append(int(size))
    return found


def sharded(pipeline: str, shards: Shards) -> str:
    """`pipeline`, and then the passes that make a program for each device."""
    from ..passes.sharding.shard_values import ShardValuesPass

    if not shards:
        return pipeline
    plans = [PLANS[plan].replace("N", str(size)) for plan, size in shards.plans]
    if shards.values or shards.noted:
        # Without anything to say, it still wants that there is a mesh.
        plans.insert(0, spec_text(ShardValuesPass(shards.values, shards.mesh)))
    after = ["split-products", *plans, "propagate-shardings", "partition", "dce"]
    # -O0 is no pass at all.
    return ",".join(filter(None, [spec_of(pipeline), *after]))


def make_devices(shards: Shards) -> None:
    """
    Have JAX take this host's CPU for as many devices as `shards` need.

    It must come before JAX is loaded; a flag that the caller's XLA_FLAGS has stays.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    many = shards.devices > 1 and bool(shards)
    if many and HOST_DEVICES not in flags and "jax" not in sys.modules:
        os.environ["XLA_FLAGS"] = f"{flags} {HOST_DEVICES}={shards.devices}".strip()
