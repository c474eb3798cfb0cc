"""
Hostile model files, each by its seed: `mutant(seed)` is always the same one.

A third are base models with changed bytes, a third have changed fields, a third are
made for one attack: `hostile_bombs` has those that ask for too much.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from random import Random

import onnx
from hostile_bases import MODEL, Files, bases
from hostile_bombs import BOMBS
from hostile_fields import BYTES, NAMES, messages, mutate_field

DATA = "w.bin"


@dataclass
class Mutant:
    """A mutated model."""

    seed: int
    made: str
    """How it was made, for a person."""
    files: Files
    places: dict[str, tuple[str, str]] = field(
        default_factory=dict[str, tuple[str, str]]
    )
    """What is no plain file: its kind (link, pipe, folder) and what a link leads to."""

    def write(self, folder: Path) -> Path:
        """Write the files into `folder`; returns the model's path."""
        for name, content in self.files.items():
            (folder / name).write_bytes(content)
        for name, (kind, goal) in self.places.items():
            if kind == "link":
                (folder / name).symlink_to(goal)
            elif kind == "pipe":
                os.mkfifo(folder / name)
            else:
                (folder / name).mkdir()
        return folder / MODEL


def mutant(seed: int) -> Mutant:
    """The hostile file of `seed`."""
    rng = Random(seed)
    kind = rng.choices(_KINDS, _WEIGHTS)[0]
    return kind(seed, rng)


@cache
def _bases() -> dict[str, Files]:
    return bases()


def _base(rng: Random) -> tuple[str, Files]:
    name = rng.choice(sorted(_bases()))
    return name, dict(_bases()[name])


def _of_bytes(seed: int, rng: Random) -> Mutant:
    name, files = _base(rng)
    made = [name]
    for _ in range(rng.choice((1, 1, 2, 3))):
        change = rng.choice(BYTES)
        made.append(change.__name__)
        goal = rng.choice((MODEL, MODEL, *files))
        files[goal] = change(rng, files[goal])
    return Mutant(seed, " ".join(made), files)


def _of_fields(seed: int, rng: Random) -> Mutant:
    name, files = _base(rng)
    made = [name]
    model = onnx.ModelProto.FromString(files[MODEL])
    for _ in range(rng.choice((1, 1, 1, 2, 3, 5))):
        made.append(mutate_field(rng, model))
    files[MODEL] = model.SerializeToString()
    return Mutant(seed, " ".join(made), files)


def _of_bombs(seed: int, rng: Random) -> Mutant:
    bomb = rng.choice(BOMBS)
    return Mutant(seed, f"bomb {bomb.__name__}", {MODEL: bomb(rng)})


# --- external data ---


def _of_external(seed: int, rng: Random) -> Mutant:
    files = dict(_bases()["external"])
    model = onnx.ModelProto.FromString(files[MODEL])
    tensor = rng.choice(model.graph.initializer)
    entries = {entry.key: entry for entry in tensor.external_data}
    result = Mutant(seed, "external", files)
    match rng.choice(("location", "offset", "length", "place", "file", "repeat")):
        case "location":
            entries["location"].value = rng.choice((*_LOCATIONS, *NAMES))
        case "repeat":
            tensor.external_data.add(
                key=rng.choice((*entries, "checksum", "basepath", "")),
                value=rng.choice(_NUMBERS),
            )
        case "place":
            del files[DATA]
            result.places[DATA] = rng.choice(_PLACES)
        case "file":
            files[DATA] = rng.choice(BYTES)(rng, files[DATA])
        case key:
            entries[key].value = rng.choice(_NUMBERS)
    if rng.random() < 0.3:
        tensor.dims[:] = [rng.choice((0, 1, -1, 16, 1 << 40, 1 << 62)) for _ in "ab"]
    if rng.random() < 0.2:
        tensor.data_type = rng.randrange(30)
    files[MODEL] = model.SerializeToString()
    result.made = f"external {tensor.external_data} {result.places}".replace("\n", " ")
    return result


_LOCATIONS = (
    *("/dev/zero", "/dev/stdin", "/proc/self/mem", "/proc/self/environ", "../w.bin"),
    *("../../../../../../../etc/passwd", ".", "..", "./w.bin", "w.bin/", "w.bin/x"),
    *(MODEL, "~/w.bin", "$HOME", "file:///etc/passwd", "C:\\w.bin", "w.bin\0.txt"),
    *("/" * 4000, "x/" * 3000, "\\\\host\\share", "w.bin\n", "//etc/passwd"),
)
_NUMBERS = (
    *("0", "1", "3", "1024", "1088", "4096", "-1", "-0", "+4", "0x10", "1e3", " 4"),
    *("4.0", "", "nan", "²", "٣", "1_0", "9" * 18, "9" * 19, "9" * 5000, str(1 << 63)),
    *(str((1 << 64) - 1), str((1 << 64) - 512), "0" * 30, "1088\0", "NaN", "true"),
)
_PLACES = (
    ("link", "/etc/passwd"),
    ("link", "/dev/zero"),
    ("link", "/proc/self/environ"),
    ("link", "../../../etc/passwd"),
    ("link", DATA),
    ("link", "gone"),
    ("link", MODEL),
    ("pipe", ""),
    ("folder", ""),
)


# --- graphs ---


def _of_graph(seed: int, rng: Random) -> Mutant:
    """A base model with cycles, names given twice, or nodes in another order."""
    name, files = _base(rng)
    model = onnx.ModelProto.FromString(files[MODEL])
    kinds = (onnx.GraphProto, onnx.FunctionProto)
    graphs = [m for m in messages(model) if isinstance(m, kinds) and m.node]
    graph = rng.choice(graphs) if graphs else model.graph
    nodes = list(graph.node)
    outputs = [tensor for node in nodes for tensor in node.output]
    kind = rng.choice(("cycle", "twice", "order", "copies", "outer"))
    goal = rng.choice(nodes) if nodes else onnx.NodeProto()
    match kind:
        case "cycle" if goal.input and outputs:
            goal.input[rng.randrange(len(goal.input))] = rng.choice(outputs)
        case "twice" if goal.output and outputs:
            goal.output[rng.randrange(len(goal.output))] = rng.choice(outputs)
        case "order":
            rng.shuffle(nodes)
            graph.ClearField("node")
            graph.node.extend(nodes)
        case "copies":
            graph.node.extend(nodes[: rng.randrange(len(nodes) + 1)])
        case _:
            inner = rng.choice([m for m in messages(model) if isinstance(m, kinds)])
            names = [t for node in inner.node for t in node.output] or ["x"]
            graph.node.append(
                onnx.NodeProto(op_type="Neg", input=[rng.choice(names)], output=["q"])
            )
    files[MODEL] = model.SerializeToString()
    return Mutant(seed, f"{name} {kind}", files)


_KINDS: Sequence[Callable[[int, Random], Mutant]] = (
    _of_bytes,
    _of_fields,
    _of_graph,
    _of_external,
    _of_bombs,
)
_WEIGHTS = (25, 35, 8, 10, 22)
