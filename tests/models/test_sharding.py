"""
Models divided over devices: data, tensor and sequence plans give what the undivided
model gives in ONNX Runtime, with the collectives that are predicted.
"""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from sardonyx.compiler.driver import (
    Executable,
    compile_model,
    load,
    random_by_name,
)
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.compiler.sharding import Shards, sharded
from sardonyx.passes.sharding.traffic import collectives, traffic_table

SHARED = Path(__file__).parents[3] / "shared" / "models"
MODELS: dict[str, dict[str, int]] = {
    "bert_tiny_dynamic": {"batch": 8, "seq": 16},
    "llama_tiny": {},
    "gpt2_tiny": {},
    "vit_tiny": {},
    "bytelm": {"batch": 8, "seq": 16},
}
PRESENT = [name for name in MODELS if (SHARED / f"{name}.onnx").exists()]
PLANS = ("data", "tensor", "tensor-tokens", "sequence")
KINDS = ("all_reduce", "all_gather", "all_to_all", "reduce_scatter")
LIMIT = 1e-5
"""max|a - b| / max|b| beside the undivided model."""

# The layers of each, and the heads that its keys have.
LAYERS = {
    "bert_tiny_dynamic": 2,
    "llama_tiny": 2,
    "gpt2_tiny": 2,
    "vit_tiny": 2,
    "bytelm": 6,
}
KEY_HEADS = {
    "bert_tiny_dynamic": 4,
    "llama_tiny": 2,
    "gpt2_tiny": 4,
    "vit_tiny": 4,
    "bytelm": 4,
}


def of_model(name: str, plans: list[tuple[str, int]], backend: str) -> Executable:
    path = SHARED / f"{name}.onnx"
    return compile_model(
        path, backend, sharded("O2", Shards(tuple(plans))), MODELS[name]
    )


def wanted_of(name: str) -> tuple[dict[str, Any], list[Any]]:
    executable = compile_model(SHARED / f"{name}.onnx", "numpy", "O0", MODELS[name])
    inputs = random_by_name(executable, {}, 0)
    session = onnxruntime.InferenceSession(str(SHARED / f"{name}.onnx"))
    return inputs, session.run(None, inputs)


def error(found: Any, wanted: Any) -> float:
    pairs = zip(found, wanted, strict=True)
    return max(float(np.abs(a - b).max() / np.abs(b).max()) for a, b in pairs)


def predicted(name: str, plan: str, devices: int) -> dict[str, int]:
    """Megatron's two all-reduces a layer, Ulysses' four all-to-alls."""
    fits = KEY_HEADS[name] % devices == 0
    if plan == "tensor":
        # Without the heads only the MLP is divided, where its width allows it.
        odd = name == "llama_tiny" and 172 % devices
        count = LAYERS[name] * (fits + (not odd))
        return {"all_reduce": count} if count else {}
    if plan == "sequence":
        divided = fits and name != "vit_tiny"
        return {"all_to_all": 4 * LAYERS[name]} if divided else {}
    return {}


def by_tokens(name: str, devices: int) -> dict[str, int] | None:
    """A gather before each pair of products and a reduce-scatter behind it."""
    if devices == 1:
        return {}
    if name == "vit_tiny":
        # It has 17 tokens: the sums are whole.
        return predicted(name, "tensor", devices)
    # Without the heads tokens lie where they are sent from; bert_tiny_dynamic's weights
    # are so small that some are sent instead.
    if KEY_HEADS[name] % devices or name == "bert_tiny_dynamic":
        return None
    return dict.fromkeys(("all_gather", "reduce_scatter"), 2 * LAYERS[name])


@pytest.mark.parametrize("name", PRESENT)
def test_on_numpy(name: str) -> None:
    inputs, wanted = wanted_of(name)
    for plan in PLANS:
        for devices in (1, 2, 4, 8):
            executable = of_model(name, [(plan, devices)], "numpy")
            assert error(executable(**inputs), wanted) <= LIMIT, (plan, devices)
            found = traffic_table(executable.model.module)
            counts = {kind: count for kind, (count, _) in found.items()}
            if plan == "tensor-tokens":
                wished = by_tokens(name, devices)
                assert counts == (counts if wished is None else wished), devices
                continue
            if name == "bert_tiny_dynamic" and devices > 1:
                # Its mask is flattened over batch and sequence, and gathered.
                assert counts.pop("all_gather", 0) <= 1
            one = {} if devices == 1 else predicted(name, plan, devices)
            assert counts == one, (plan, devices)


@pytest.mark.parametrize("name", PRESENT)
def test_a_grid(name: str) -> None:
    """Data and tensor parallelism at once."""
    inputs, wanted = wanted_of(name)
    executable = of_model(name, [("data", 2), ("tensor", 2)], "numpy")
    assert error(executable(**inputs), wanted) <= LIMIT


def on_devices(name: str) -> dict[str, Any]:
    """What JAX says of every plan on 2 and 8 devices of the host: run as a program."""
    # Only there: the tests' own process has one device.
    import jax

    inputs, wanted = wanted_of(name)
    rows: dict[str, Any] = {}
    for plan in PLANS:
        for devices in (2, 8):
            executable = of_model(name, [(plan, devices)], "jax")
            with jax.enable_x64(True):
                pure = jax.jit(executable.function)
                lowered = pure.lower(executable.params, *inputs.values())
            rows[f"{plan} {devices}"] = {
                "error": error([np.asarray(x) for x in executable(**inputs)], wanted),
                "stablehlo": lowered.as_text(),
                "hlo": lowered.compile().as_text(),
                "predicted": traffic_table(executable.model.module),
            }
    return rows


def hlo_bytes(text: str) -> dict[str, int]:
    """The bytes that the collectives of a compiled program give, by kind."""
    sizes: dict[str, int] = {}
    for line in text.splitlines():
        head, _, rest = line.partition(" = ")
        for kind in KINDS:
            kind_text, found, _ = rest.partition(f" {kind.replace('_', '-')}(")
            if head and found:
                total = sum(map(_shape_bytes, _shapes(kind_text)))
                sizes[kind] = sizes.get(kind, 0) + total
    return sizes


def _shapes(text: str) -> list[str]:
    return re.findall(r"[a-z]+\d*\[[\d,]*\]", text)


def _shape_bytes(text: str) -> int:
    element, _, sizes = text.rstrip("]").partition("[")
    width = {"f32": 4, "s64": 8, "s32": 4, "pred": 1}[element]
    return width * int(np.prod([int(n) for n in sizes.split(",") if n], dtype=np.int64))


@pytest.mark.parametrize("name", PRESENT)
def test_on_jax(name: str) -> None:
    flags = "--xla_force_host_platform_device_count=8"
    ran = subprocess.run(
        [sys.executable, __file__, name],
        env={**os.environ, "XLA_FLAGS": flags},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    for case, row in json.loads(ran.stdout).items():
        assert row["error"] <= LIMIT, case
        counts = {k: row["stablehlo"].count(f"stablehlo.{k}") for k in row["predicted"]}
        assert counts == {k: n for k, (n, _) in row["predicted"].items()}, case
        for kind in KINDS:
            if kind not in row["predicted"]:
                assert f"stablehlo.{kind}" not in row["stablehlo"], case
        wanted = {kind: size for kind, (_, size) in row["predicted"].items()}
        assert hlo_bytes(row["hlo"]) == wanted, case


@pytest.mark.parametrize("name", [n for n in PRESENT if n == "vit_tiny"])
def test_what_cannot_be_divided_says_why(name: str) -> None:
    model = load(SHARED / f"{name}.onnx")
    runs = run_pipeline(model, sharded("O2", Shards((("sequence", 2),))))
    reasons = [r for run in runs for r in run.journal.reasons()]
    assert "found 17 queries, wanted a multiple of 2" in reasons
    assert not list(collectives(model.module))


if __name__ == "__main__":
    print(json.dumps(on_devices(sys.argv[1])))
