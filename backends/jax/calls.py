"""
How a JAX program is run: its weights, its calls, and where compiled code is kept.

The emitter pastes these functions into every artifact, so they use only JAX, NumPy and
the standard library. Nothing here changes JAX's configuration for the caller's code:
64-bit types and the cache of compiled programs are on for our own calls alone.
"""

from __future__ import annotations

import importlib
import os
import weakref
from collections.abc import Mapping, MutableMapping, Sequence
from contextlib import ExitStack
from functools import partial
from typing import Any

import jax
import numpy as np
from jax.experimental.compilation_cache import compilation_cache

COMPILED: MutableMapping[Any, dict[Any, Any]] = weakref.WeakKeyDictionary()
"""
What is compiled of each function that was called: by its inputs' shapes and types, the
one used last at the end.
"""

COMPILER_OPTIONS: dict[str, str] = {
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    )
}
"""
What XLA's CPU compiler hands to YNNPACK: all that it does by default but convolutions.

Eigen spreads these over the cores where YNNPACK finds too little work in a row of the
result: 0.83 of the time of Inception v2, 0.87 of ZFNet, 0.92 of SqueezeNet. Emptied
where JAX does not know the option: another version may have dropped it.
"""

FUSED_PRODUCTS = "LIBRARY_FUSION_TYPE_DOT,LIBRARY_FUSION_TYPE_REDUCE"
"""
What it hands over of a program with stacks of small products: what follows one, too.

It keeps both cores busy where waking the second is half of the time: 0.83 of the time
of ShuffleNet. Others are slower by it, ResNet-50 and SqueezeNet 1.05, and with Relu as
a maximum 1.11 and 1.23.
"""

REDUCTIONS = "LIBRARY_FUSION_TYPE_REDUCE"
"""
What it hands over of a program with large products where vectors have 8 floats.

YNNPACK arranges a matrix anew in every product, and with AVX2 is the slower for it: by
Eigen MiniLM takes 0.81 of the time with 16 tokens, 0.93 with 128. What ends in a
reduction stays, which attention's scores do.
"""

MAX_SHAPES = 64
"""For how many shapes of its inputs a function is kept compiled."""

MIN_COMPILE_SECONDS = 0.1
"""What compiles faster is not kept: a file each would cost more than it saves."""


def prepare_weights(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """
    The weights as JAX arrays, 64-bit types kept.

    On the CPU, JAX reads a mapped tensor that is aligned to 64 bytes where it lies.
    """
    with jax.enable_x64(True):
        return jax.device_put(dict(arrays))  # pyright: ignore[reportUnknownMemberType]


def call(
    jitted: Any, weights: Mapping[str, Any], inputs: Sequence[Any]
) -> tuple[Any, ...]:
    """
    The outputs of the jitted function; 64-bit types are on for this call alone.

    It is compiled for the shapes of its inputs, and kept for the `MAX_SHAPES` of them
    that were used last. JAX may read an array where it lies until the call is over.
    What is compiled gives its results memory of their own.
    """
    with jax.enable_x64(True):
        compiled = COMPILED.setdefault(jitted, {})
        shapes = tuple((value.shape, value.dtype) for value in inputs)
        one = compiled.pop(shapes, None)
        # Only a call of new shapes compiles: the others need no cache.
        with cached_compilation() if one is None else ExitStack():
            if one is None:
                one, results = compiled_for(jitted, weights, inputs)
            else:
                results = (jitted if one is True else one)(weights, *inputs)
        while len(compiled) >= MAX_SHAPES:
            compiled.pop(next(iter(compiled)), None)
        compiled[shapes] = one
        return tuple(jax.block_until_ready(results))  # pyright: ignore[reportUnknownMemberType, reportUnknownArgumentType]


def compiled_for(
    jitted: Any, weights: Mapping[str, Any], inputs: Sequence[Any]
) -> tuple[Any, Any]:
    """`jitted` for inputs of a new shape, and what it makes of these."""
    one = of_one_shape(jitted)
    try:
        return one, (jitted if one is True else one)(weights, *inputs)
    except RuntimeError as error:
        if not COMPILER_OPTIONS or "No such compile option" not in str(error):
            raise
    COMPILER_OPTIONS.clear()
    return compiled_for(jitted, weights, inputs)


def fuse_products() -> None:
    """Have all that is compiled from now on be compiled with `FUSED_PRODUCTS`."""
    hand_over(FUSED_PRODUCTS)


def keep_products() -> None:
    """Have `REDUCTIONS` alone be handed over, where vectors have 8 floats."""
    if has_avx2_alone():
        hand_over(REDUCTIONS)


def hand_over(what: str) -> None:
    """Have YNNPACK get `what` of all that is compiled from now on."""
    for option in COMPILER_OPTIONS:
        COMPILER_OPTIONS[option] = what


def has_avx2_alone() -> bool:
    """Whether vectors have 8 floats here: AVX2 (x86-64-v3) without AVX-512 (v4)."""
    simd: Any = np.show_config(mode="dicts") or {}
    known: Any = simd.get("SIMD Extensions", {})
    names = {*known.get("baseline", ()), *known.get("found", ())}
    wider = any(name == "X86_V4" or name.startswith("AVX512") for name in names)
    return not wider and not names.isdisjoint(("X86_V3", "AVX2"))


def of_one_shape(jitted: Any) -> Any:
    """
    `jitted` anew, so that what is compiled for one shape can be let go.

    A jitted function keeps all that it was ever compiled for as long as it lives. True
    for a function of another kind: that is called as it is.
    """
    function = getattr(jitted, "__wrapped__", None)
    # The same function jitted again would share what JAX keeps.
    if function is None:
        return True
    return jax.jit(partial(function), compiler_options=COMPILER_OPTIONS)  # pyright: ignore[reportUnknownMemberType]


# --- compiled programs, from one process to the next ---


def cached_compilation() -> ExitStack:
    """
    An open context in which this thread's compilations use the user's cache.

    It is JAX's persistent compilation cache, in `cache_folder`. A caller who has given
    JAX a folder of their own, or has switched the cache off, is obeyed.
    """
    options = {
        "jax_compilation_cache_dir": cache_folder(),
        "jax_persistent_cache_min_compile_time_secs": MIN_COMPILE_SECONDS,
        "jax_enable_compilation_cache": True,
    }
    # JAX's public way to set an option is for all threads and for good. A JAX whose
    # options are elsewhere compiles without the cache.
    states = getattr(importlib.import_module("jax._src.config"), "config_states", {})
    if not options.keys() <= states.keys() or not options["jax_compilation_cache_dir"]:
        return ExitStack()
    switched_off = not states["jax_enable_compilation_cache"].value
    if switched_off or states["jax_compilation_cache_dir"].value:
        return ExitStack()
    with ExitStack() as context:
        # JAX opens one cache per process, when it first compiles with a folder set:
        # one that is open is put aside, and ours does not stay open for the caller.
        compilation_cache.reset_cache()
        context.callback(compilation_cache.reset_cache)
        for name, value in options.items():
            context.enter_context(states[name](value))
        return context.pop_all()


def cache_folder() -> str | None:
    """
    The user's folder of compiled programs, made if it is missing; None for no cache.

    It is ``$SARDONYX_CACHE/jax``, with that variable empty none, and without it
    ``sardonyx/jax`` among the user's caches (``$XDG_CACHE_HOME``, or ``~/.cache``).
    Whoever can write there can have us run their code, so a folder that another user
    owns or may write to is not used; nor is one that cannot be written.
    """
    base = os.environ.get("SARDONYX_CACHE")
    if base is None:
        caches = os.environ.get("XDG_CACHE_HOME", "")
        if not os.path.isabs(caches):
            # The specification has relative ones ignored.
            caches = os.path.join(os.path.expanduser("~"), ".cache")
        base = os.path.join(caches, "sardonyx") if os.path.isabs(caches) else ""
    if not base:
        return None
    folder = os.path.join(os.path.abspath(base), "jax")
    try:
        os.makedirs(os.path.dirname(folder), mode=0o700, exist_ok=True)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        found = os.stat(folder)
    except OSError:
        # The model runs without it, after compiling anew.
        return None
    if os.name == "posix" and (found.st_uid != os.getuid() or found.st_mode & 0o022):
        return None
    return folder if os.access(folder, os.W_OK) else None
