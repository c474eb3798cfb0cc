"""
What zeros in weights save, and what they cost: docs/sparsity.md.

    python tests/bench/sparsity.py [--windows 48] [--rounds 40] [--resume] [-o FILE]

Speed: a product of a random 1024x1024 weight and 128 columns, compiled with -O2, its
weight with zeros in groups of outputs, beside the same product of the dense weight on
the same backend. Both programs run in one process in turns, blocks of 16 calls of which
the first 4 are dropped, and the median of the blocks' ratios is told. BLAS has one
thread, and both cores, in processes of their own; with both it waits for its second
thread at every product, so that a busy machine costs small groups most. bytelm:
perplexity on held-out files of CPython 3.11's library at one half, by method, pattern,
and with the search for groups; Wanda's norm of the inputs to the power 0.5, our default
(Zhang et al., ICLR 2024), and to 1 as published. Calibration is 64 windows of other
files, and the product that gives the logits is pruned nowhere. Bytes are those of a
1024x1024 float32 weight. What is measured is kept in build/sparsity.json; --resume goes
on from there.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper
from quantization import MODELS, WINDOW, batched, entropy, library, optimized, windows
from sardonyx.compiler.bench.machine import measured_on
from sardonyx.compiler.compression.plans import apply_plan
from sardonyx.compiler.driver import (
    Executable,
    call_by_name,
    compile_model,
    load,
    lower,
)
from sardonyx.compiler.model import Model
from sardonyx.compiler.pipelines import run_pipeline
from sardonyx.compiler.quantize.calibrate import calibrated, write_calibration
from sardonyx.compiler.quantize.data import Batches
from sardonyx.compiler.sparsify.plans import plan_of
from sardonyx.dialects.sparse import NM, Bitmap, Block, Encoding, GroupShared
from sardonyx.passes.sparsity.importance import POWER
from sardonyx.passes.sparsity.prune import PrunePass

ROOT = Path(__file__).parents[2]
PAGE, STATE = ROOT / "docs" / "sparsity.md", ROOT / "build" / "sparsity.json"
SIZE, COLUMNS = 1024, 128
PARTS = (0.3, 0.5, 0.75)
GROUPS = (128, 256, 512)
CALLS, DROPPED = 16, 4
PATTERNS = ("unstructured", "2:4", "group-shared", "block")
METHODS = {
    "magnitude": ("magnitude", POWER),
    "wanda, power 1": ("wanda", 1.0),
    "wanda": ("wanda", POWER),
    "sparsegpt": ("sparsegpt", POWER),
}
"""The method and the power of the inputs' norm, by what the page calls both."""
GROUP, RUN = 64, 8
"""Of the patterns of bytelm, whose products have 128 to 688 outputs."""
EXCLUDED = ("node_linear_42",)
"""bytelm's last product, which gives the logits: pruned nowhere, as is customary."""


# --- speed ---


def product(weight: Any, left: bool) -> onnx.ModelProto:
    """``x w`` of 128 rows, or ``w^T x`` of 128 columns."""
    shapes = [[SIZE, COLUMNS], [SIZE, COLUMNS]] if left else [[COLUMNS, SIZE]] * 2
    stored = weight.T.copy() if left else weight
    operands = ["w", "x"] if left else ["x", "w"]
    graph = helper.make_graph(
        [helper.make_node("MatMul", operands, ["y"], "product")],
        "product",
        [helper.make_tensor_value_info("x", 1, shapes[0])],
        [helper.make_tensor_value_info("y", 1, shapes[1])],
        [numpy_helper.from_array(stored, "w")],
    )
    imports = [helper.make_opsetid("", 21)]
    return helper.make_model(graph, opset_imports=imports, ir_version=10)


def with_zeros(part: float, group: int) -> Any:
    """A weight of which each group of outputs leaves out `part` of the inputs."""
    rng = np.random.default_rng(0)
    weight = rng.standard_normal((SIZE, SIZE)).astype(np.float32)
    for start in range(0, SIZE, group):
        gone = rng.permutation(SIZE)[: round(part * SIZE)]
        weight[gone, start : start + group] = 0
    return weight


def ratio(backend: str, left: bool, group: int, part: float, rounds: int) -> Any:
    """How many times as fast as dense; None where the pass declines."""
    weight = with_zeros(part, group)
    sparse = load(product(weight, left))
    run_pipeline(sparse, f'encode-sparse{{backend="{backend}"}}')
    if not any(op.name == "sparse.MatMul" for op in sparse.module.walk()):
        return None
    shape = (SIZE, COLUMNS) if left else (COLUMNS, SIZE)
    x = np.random.default_rng(1).standard_normal(shape).astype(np.float32)
    programs = [
        compile_model(model, backend, "O2")
        for model in (load(product(weight, left)), sparse)
    ]
    wanted, found = (np.asarray(program(x)[0]) for program in programs)
    assert np.abs(found - wanted).max() <= 1e-5 * np.abs(wanted).max()
    ratios: list[float] = []
    for _ in range(rounds):
        dense, ours = (block(program, x) for program in programs)
        ratios.append(dense / ours)
    return float(np.median(ratios))


def block(program: Any, x: Any) -> float:
    """The seconds of a block of calls."""
    for call in range(CALLS):
        if call == DROPPED:
            start = time.perf_counter()
        np.asarray(program(x)[0])
    return time.perf_counter() - start


def speeds(threads: int, rounds: int) -> dict[str, Any]:
    """The ratios of all cases, measured in a process with so many BLAS threads."""
    found: dict[str, Any] = {}
    plural = "thread" if threads == 1 else "threads"
    # XLA's own threads are all cores, whatever BLAS has.
    for backend in ("numpy", "jax") if threads > 1 else ("numpy",):
        for left in (True, False):
            for group in GROUPS:
                for part in PARTS:
                    form = "w @ x" if left else "x @ w"
                    key = f"{backend}, {threads} {plural}, {form}, {group}, {part}"
                    found[key] = ratio(backend, left, group, part, rounds)
                    print(key, found[key], file=sys.stderr, flush=True)
    return found


def apart(threads: int, rounds: int) -> dict[str, Any]:
    """As `speeds`, in a process of its own."""
    names = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
    environment = os.environ | {name: str(threads) for name in names}
    command = [sys.executable, __file__, "--speeds", str(threads)]
    done = subprocess.run(
        [*command, "--rounds", str(rounds)],
        env=environment,
        stdout=subprocess.PIPE,
        check=True,
    )
    return json.loads(done.stdout)


# --- perplexity ---


def perplexities(
    count: int, known: dict[str, Any], keep: Callable[[], None]
) -> dict[str, Any]:
    """By method and pattern, what `known` lacks; `keep` is called after each."""
    model = optimized(MODELS / "bytelm.onnx")
    trained, held = library()
    name = model.inputs[0].name
    calibration = batched(name, windows(trained, 64, 0))
    test = windows(held, count, 1)
    data = batched(name, test)
    if "dense" not in known:
        known["dense"] = perplexity(model, data, test)
        keep()
    with tempfile.TemporaryDirectory() as folder:
        first = Path(folder) / "first.npz"
        for pattern in PATTERNS:
            for method in METHODS:
                for regroup in (
                    (False, True) if pattern in ("block", "group-shared") else (False,)
                ):
                    key = f"{pattern}, {method}" + (", regrouped" if regroup else "")
                    if key in known:
                        continue
                    pruned = pruned_model(
                        model, method, pattern, regroup, calibration, first
                    )
                    known[key] = perplexity(pruned, data, test)
                    print(key, known[key], file=sys.stderr, flush=True)
                    keep()
    return known


def pruned_model(
    model: Model,
    called: str,
    pattern: str,
    regroup: bool,
    calibration: Batches,
    first: Path,
) -> Model:
    """`model` with half of its products' weights 0, by what METHODS call so."""

    def measure(now: Model, second: bool, place: int) -> Path:
        path = first if place == 0 else first.with_name(f"{place}.npz")
        # The first stage of every plan sees the model as it was.
        if place or not path.exists():
            write_calibration(calibrated(now, calibration, True), path)
        return path

    method, power = METHODS[called]
    prune = PrunePass(method, pattern, 0.5, GROUP, RUN, power=power)
    done = apply_plan(plan_of(prune, regroup), model, measure, exclude=EXCLUDED)
    return done.model


def perplexity(model: Model, data: Batches, test: Any) -> float:
    """Of the next byte."""
    copy = model.clone()
    executable = Executable(copy, "numpy", "", lower(copy, "numpy"))
    logits = [call_by_name(executable, batch)[0] for batch in data]
    return float(np.exp(entropy(np.concatenate(logits), test)))


# --- the page ---


STORED: dict[str, Encoding | None] = {
    "dense": None,
    "bitmap, 50 %": Bitmap(SIZE * SIZE // 2),
    "bitmap, 90 %": Bitmap(SIZE * SIZE // 10),
    "2:4, each output its own": NM(2, 4),
    "2:4, shared": NM(2, 4, True),
    "block 16x128, 50 %": Block(16, 128, 32),
    "group-shared 128, 50 %": GroupShared(128, 512),
    "group-shared 128, 75 %": GroupShared(128, 256),
}
"""Encodings of a weight of 1024x1024, by what they are called on the page."""


def page(known: dict[str, Any], count: int) -> str:
    """The tables as Markdown."""
    told = " ".join((__doc__ or "").split("\n\n", 2)[2].split())
    lines = ["# Sparsity", "", f"Written by `python tests/bench/sparsity.py`. {told}"]
    lines += ["", measured_on(), "", "## Times as fast as dense", ""]
    lines += [f"| | {' | '.join(f'{part:.0%}' for part in PARTS)} |", "|---" * 4 + "|"]
    cases = dict.fromkeys(key.rpartition(", ")[0] for key in known["speeds"])
    for case in cases:
        found = [known["speeds"][f"{case}, {part}"] for part in PARTS]
        cells = ["declined" if one is None else f"{one:.2f}" for one in found]
        backend, threads, form, group = case.split(", ")
        what = f"{backend}, {threads}, {form}, groups of {group}"
        lines.append(f"| {what} | {' | '.join(cells)} |")
    lines += ["", f"## bytelm at one half, {count} windows of {WINDOW} bytes", ""]
    lines += [f"| perplexity | {' | '.join(METHODS)} |", "|---" * 5 + "|"]
    losses = known["perplexities"]
    lines.append(f"| dense | {losses['dense']:.3f} | | | |")
    for pattern in PATTERNS:
        for end in ("", ", regrouped"):
            keys = [f"{pattern}, {method}{end}" for method in METHODS]
            if any(key in losses for key in keys):
                cells = [f"{losses[k]:.3f}" if k in losses else "" for k in keys]
                lines.append(f"| {pattern}{end} | {' | '.join(cells)} |")
    lines += ["", f"Groups of up to {GROUP} outputs; blocks of {RUN} inputs."]
    lines += ["", "## Bytes of a 1024x1024 weight", ""]
    lines += ["| | stored elements | bytes | of dense |", "|---|---|---|---|"]
    dense = SIZE * SIZE * 4
    for name, encoding in STORED.items():
        shape = (SIZE, SIZE)
        stored = SIZE * SIZE if encoding is None else encoding.stored(shape)
        size = dense if encoding is None else encoding.bytes(shape)
        lines.append(f"| {name} | {stored} | {size} | {size / dense:.3f} |")
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure what is not known yet, and write the page."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("--windows", type=int, default=48)
    parser.add_argument("--rounds", type=int, default=40)
    parser.add_argument("--speeds", type=int, help=argparse.SUPPRESS)
    parser.add_argument("-o", "--output", type=Path, default=PAGE)
    parser.add_argument("--resume", action="store_true", help="Go on from build/.")
    given = parser.parse_args()
    if given.speeds:
        print(json.dumps(speeds(given.speeds, given.rounds)))
        return
    known: dict[str, Any] = {}
    if given.resume and STATE.exists():
        known = json.loads(STATE.read_text())
    STATE.parent.mkdir(exist_ok=True)

    def keep() -> None:
        STATE.write_text(json.dumps(known, indent=1) + "\n")

    if "speeds" not in known:
        known["speeds"] = apart(1, given.rounds) | apart(2, given.rounds)
        keep()
    perplexities(given.windows, known.setdefault("perplexities", {}), keep)
    given.output.write_text(page(known, given.windows))


if __name__ == "__main__":
    main()
