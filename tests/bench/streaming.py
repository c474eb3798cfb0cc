"""
What a memory limit costs, and what it holds.

    python tests/bench/streaming.py [MODEL.onnx] --memory-limit 80MB

The model (without one: BERT-base's shapes with random weights, 436 MB) is compiled for
NumPy with the limit. One process runs the artifact as it is, one with a limit that all
its weights fit into, so that nothing is given back. Blocks of calls alternate between
the two while the other sleeps; what a round's blocks took is compared, and the median
of the rounds printed. Then, untimed, ``/proc/PID/smaps`` says every few milliseconds
how much of the weights' file is in the process's memory. Both must give the same bytes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
from bert_base import write_bert_base
from sardonyx.compiler import compile_model
from sardonyx.compiler.arguments import parse_bytes, parse_dims

DROPPED = 2
"""Calls at the start of a block that do not count: the other process had the caches."""
ROUNDS = 7
LOOKED_AT = 4
"""Calls while the memory is looked at."""

CALLS = """
import json, sys, time
import numpy as np
sys.path.insert(0, sys.argv[1])
import model
if sys.argv[2] == "all":
    model.LIMIT = sys.maxsize
inputs = model.random_inputs(model.INPUTS, {})
np.savez(sys.argv[3], *model.run(**inputs))
print("ready", flush=True)
for line in sys.stdin:
    least, seconds = json.loads(line)
    times = []
    while len(times) < least or sum(times) < seconds:
        start = time.perf_counter()
        model.run(**inputs)
        times.append(time.perf_counter() - start)
    print(json.dumps(times), flush=True)
"""


@dataclass(frozen=True)
class Streamed:
    """What a limit did to a model."""

    model: str
    weights: int
    """Bytes of all its weights."""
    limit: int
    whole_resident: int
    """The most bytes of weights in memory at a time, without the limit."""
    window_resident: int
    """As much with it."""
    whole_seconds: float
    window_seconds: float
    """Medians over all calls."""
    ratio: float
    """The median over rounds of the time with the limit over that without."""

    def row(self) -> list[str]:
        """A row of the table."""
        sizes = (
            self.weights,
            self.limit,
            self.whole_resident,
            self.window_resident,
        )
        times = (f"{1e3 * s:.1f}" for s in (self.whole_seconds, self.window_seconds))
        shown = (f"{size / 1e6:.1f}" for size in sizes)
        return [self.model, *shown, *times, f"{self.ratio:.2f}"]


HEADER = (
    "model",
    "weights, MB",
    "limit, MB",
    "in memory without it, MB",
    "in memory with it, MB",
    "without it, ms",
    "with it, ms",
    "ratio",
)


def resident(pid: int) -> int:
    """How many bytes of its weights' file process `pid` has in memory."""
    total, inside = 0, False
    for line in Path(f"/proc/{pid}/smaps").read_text().splitlines():
        name, _, rest = line.partition(":")
        if name == "Rss" and inside:
            total += 1024 * int(rest.split()[0])
        elif "-" in name.split()[0]:
            inside = line.endswith("weights.safetensors")
    return total


class Caller:
    """A process that runs an artifact whenever it is told to."""

    def __init__(self, folder: Path, mode: str) -> None:
        self.results = folder / f"{mode}.npz"
        words = [sys.executable, "-c", CALLS, str(folder), mode, str(self.results)]
        self.child: Any = subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def ready(self) -> None:
        """Wait until it has run once."""
        if self.child.stdout.readline() != "ready\n":
            sys.exit(f"the artifact failed, exit code {self.child.wait()}")

    def calls(self, least: int, seconds: float = 0.0) -> list[float]:
        """The seconds of each call, one after another until both are reached."""
        self.child.stdin.write(f"[{least}, {seconds}]\n")
        self.child.stdin.flush()
        return json.loads(self.child.stdout.readline())

    def most_resident(self, count: int) -> int:
        """The most bytes of weights in its memory during so many calls."""
        held, done = [resident(self.child.pid)], threading.Event()

        def look() -> None:
            while not done.wait(0.003):
                held.append(resident(self.child.pid))

        looking = threading.Thread(target=look)
        looking.start()
        self.calls(count)
        done.set()
        looking.join()
        return max(held)

    def end(self) -> None:
        """Let it end."""
        self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()


@contextmanager
def _callers(folder: Path) -> Iterator[tuple[Caller, Caller]]:
    both: list[Caller] = []
    try:
        for mode in ("all", "window"):
            both.append(Caller(folder, mode))
            both[-1].ready()
        yield both[0], both[1]
    finally:
        for one in both:
            one.end()


def streamed(
    path: Path, limit: int, dims: dict[str, int], seconds: float = 25.0
) -> Streamed:
    """Measure a model in about `seconds`, beside what compiling it takes."""
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        made = compile_model(path, "numpy", dims=dims, memory_limit=limit)
        weights = sum(
            made.model.context.store[k].file_bytes for k in made.program.weights
        )
        made.save(folder)
        del made
        with _callers(folder) as (whole, window):
            blocks = _blocks(whole, window, seconds)
            held = [one.most_resident(LOOKED_AT) for one in (whole, window)]
        _same(whole.results, window.results)
    medians = [
        median(s for block in mine for s in block) for mine in zip(*blocks, strict=True)
    ]
    ratio = median(median(b) / median(a) for a, b in blocks)
    return Streamed(path.stem, weights, limit, *held, *medians, ratio)


def _blocks(
    whole: Caller, window: Caller, seconds: float
) -> list[tuple[list[float], list[float]]]:
    """The calls of both in each round; they take `seconds` in all, or a little more."""
    each = seconds / (2 * ROUNDS)
    rounds: list[tuple[list[float], list[float]]] = []
    for _ in range(ROUNDS):
        both = [one.calls(DROPPED + 2, each)[DROPPED:] for one in (whole, window)]
        rounds.append((both[0], both[1]))
    return rounds


def _same(left: Path, right: Path) -> None:
    with np.load(left) as wanted, np.load(right) as found:
        for key in wanted.files:
            np.testing.assert_array_equal(found[key], wanted[key])


def main() -> None:
    """Compile, run, and print a table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip().split("\n")[0])
    parser.add_argument("model", type=Path, nargs="?", metavar="MODEL.onnx")
    parser.add_argument("--memory-limit", default="80MB", type=parse_bytes)
    parser.add_argument("--dim", action="append", default=[])
    parser.add_argument("--seconds", type=float, default=25.0)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        model = given.model or write_bert_base(Path(scratch) / "bert-base.onnx")
        found = streamed(
            model, given.memory_limit, parse_dims(given.dim), given.seconds
        )
    for line in (HEADER, ["---"] + ["---:"] * (len(HEADER) - 1), found.row()):
        print(f"| {' | '.join(line)} |")
    print("\nthe same outputs")


if __name__ == "__main__":
    main()
