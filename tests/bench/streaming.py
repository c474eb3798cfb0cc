"""
What a memory limit costs, and what it holds.

    python tests/bench/streaming.py MODEL.onnx --memory-limit 80MB

The model is compiled for NumPy with and without the limit. Each artifact runs in a
process of its own; this one reads from ``/proc/PID/smaps`` how much of the weights'
file is in that process's memory as it runs, and what the process holds in all (RssFile
and RssAnon). Times are medians of calls that follow each other, measured while nobody
looks. Both must give the same bytes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from sardonyx.compiler import compile_model
from sardonyx.compiler.arguments import parse_bytes, parse_dims

CALLS = """
import sys, time
from pathlib import Path
import numpy as np
sys.path.insert(0, sys.argv[1])
import model
inputs = model.random_inputs(model.INPUTS, {})
print("ready", flush=True)
results = model.run(**inputs)
np.savez(Path(sys.argv[1]).with_suffix(".npz"), *results)
times = []
for _ in range(int(sys.argv[2])):
    start = time.perf_counter()
    model.run(**inputs)
    times.append(time.perf_counter() - start)
print(*times, flush=True)
sys.stdin.readline()
"""


@dataclass
class Held:
    """The most that a process held at a time, in bytes."""

    weights: int = 0
    """Of the file of weights."""
    file: int = 0
    anonymous: int = 0


def rss(pid: int, now: Held) -> None:
    """Raise what `now` says by what process `pid` holds."""
    weights = 0
    inside = False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Rss" and inside:
            weights += 1024 * int(rest.split()[0])
        elif "-" in name.split()[0]:
            inside = line.endswith("weights.safetensors")
    now.weights = max(now.weights, weights)
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "RssFile":
            now.file = max(now.file, 1024 * int(rest.split()[0]))
        elif name == "RssAnon":
            now.anonymous = max(now.anonymous, 1024 * int(rest.split()[0]))


def run(folder: Path, calls: int, looked_at: bool) -> tuple[list[float], Held]:
    """The seconds of each call of an artifact, and what its process held."""
    command = [sys.executable, "-c", CALLS, str(folder), str(calls)]
    held = Held()
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        assert child.stdin is not None
        assert child.stdout.readline() == "ready\n"
        if looked_at:
            while not _said(child):
                rss(child.pid, held)
                time.sleep(0.002)
        times = [float(word) for word in child.stdout.readline().split()]
        rss(child.pid, held)
        child.stdin.write("\n")
        child.stdin.close()
    return times, held


def _said(child: subprocess.Popen[str]) -> bool:
    import select

    return bool(select.select([child.stdout], [], [], 0)[0])


def main() -> None:
    """Compile, run, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip())
    parser.add_argument("model", type=Path, metavar="MODEL.onnx")
    parser.add_argument("--memory-limit", default="80MB")
    parser.add_argument("--dim", action="append", default=[])
    parser.add_argument("--calls", type=int, default=20)
    given = parser.parse_args()
    limit, dims = parse_bytes(given.memory_limit), parse_dims(given.dim)
    with tempfile.TemporaryDirectory() as scratch:
        print("| weights | ms a call | weights in memory, MB | RssFile | RssAnon |")
        print("| --- | ---: | ---: | ---: | ---: |")
        rows: dict[str, float] = {}
        for name, most in (("all", None), (given.memory_limit, limit)):
            folder = Path(scratch) / ("all" if most is None else "window")
            compile_model(given.model, "numpy", dims=dims, memory_limit=most).save(
                folder
            )
            times, _ = run(folder, given.calls, looked_at=False)
            _, held = run(folder, given.calls, looked_at=True)
            rows[name] = float(np.median(times[len(times) // 4 :]))
            amounts = (held.weights, held.file, held.anonymous)
            shown = " | ".join(f"{amount / 1e6:.1f}" for amount in amounts)
            print(f"| {name} | {1e3 * rows[name]:.1f} | {shown} |", flush=True)
        files = [np.load(Path(scratch) / f"{n}.npz") for n in ("all", "window")]
        for key in files[0].files:
            np.testing.assert_array_equal(files[0][key], files[1][key])
        ratio = rows[given.memory_limit] / rows["all"]
        print(f"\nthe same outputs, {ratio:.2f} times the time")


if __name__ == "__main__":
    main()
