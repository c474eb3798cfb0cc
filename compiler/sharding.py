"""What ``--shard`` and ``--devices`` say: the passes, and devices on this host."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Sequence

from ..dialects.errors import SardonyxError
from .pipelines import spec_of

PLANS = {"data": "shard-data", "tensor": "shard-tensor", "sequence": "shard-sequence"}
"""The pass that annotates for each plan."""

HOST_DEVICES = "--xla_force_host_platform_device_count"
"""XLA's flag for how many devices the CPU is."""


def parse_shards(
    entries: Sequence[str] | None, devices: int | None
) -> list[tuple[str, int]]:
    """
    ``PLAN=N`` options as plans and their sizes, in their order.

    One of them may leave N to be what `devices` has for it.
    """
    found: list[tuple[str, int | None]] = []
    for entry in entries or ():
        plan, equals, size = entry.partition("=")
        sized = size.isascii() and size.isdigit() and 0 < len(size) < 5
        if plan not in PLANS or bool(equals) != sized or (equals and int(size) < 1):
            wanted = f"PLAN=N, PLAN one of {', '.join(PLANS)}"
            raise SardonyxError(f"--shard: found {entry!r}, wanted {wanted}")
        if any(plan == other for other, _ in found):
            raise SardonyxError(f"--shard: found {plan!r} twice, wanted it once")
        found.append((plan, int(size) if equals else None))
    free = [plan for plan, size in found if size is None]
    taken = math.prod(size for _, size in found if size is not None)
    if free and (devices is None or len(free) > 1):
        wanted = f"{free[-1]}=N, or --devices for one of them"
        raise SardonyxError(f"--shard: found {free[-1]!r}, wanted {wanted}")
    if devices is not None and (devices % taken or (not free and devices != taken)):
        wanted = f"what --shard takes, {taken}" + ", or a multiple" * bool(free)
        raise SardonyxError(f"--devices: found {devices}, wanted {wanted}")
    rest = 1 if devices is None else devices // taken
    return [(plan, rest if size is None else size) for plan, size in found]


def sharded(pipeline: str, shards: Sequence[tuple[str, int]]) -> str:
    """`pipeline`, and then the passes that make a program for each device."""
    if not shards:
        return pipeline
    plans = [f"{PLANS[plan]}{{size={size}}}" for plan, size in shards]
    after = ["split-products", *plans, "propagate-shardings", "partition", "dce"]
    return ",".join([spec_of(pipeline), *after])


def make_devices(shards: Sequence[tuple[str, int]]) -> None:
    """
    Have JAX take this host's CPU for as many devices as `shards` need.

    It must come before JAX is loaded; a flag that the caller's XLA_FLAGS has stays.
    """
    count = math.prod(size for _, size in shards)
    flags = os.environ.get("XLA_FLAGS", "")
    if count > 1 and HOST_DEVICES not in flags and "jax" not in sys.modules:
        os.environ["XLA_FLAGS"] = f"{flags} {HOST_DEVICES}={count}".strip()
