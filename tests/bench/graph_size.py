"""
How many ops our levels leave of a model, beside what other optimizers leave.

    python tests/bench/graph_size.py MODEL.onnx… -o docs/graph-size.md

Counted are nodes, those in subgraphs too, and no constants. onnxsim, onnxslim and ONNX
Runtime (its extended level, on the CPU) are run as they are installed. ONNX Runtime
fuses activations and sums into Conv and Gemm with operators of its own (FusedConv,
FusedGemm), which no ONNX operator says: its second column is without these fusions.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Callable, Iterator
from importlib.metadata import version
from pathlib import Path

import onnx
import onnxruntime
import onnxsim
import onnxslim
from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import count_ops, run_pipeline

LEVELS = ("O0", "O1", "O2")
OF_ITS_OWN = (
    "ConvActivationFusion",
    "ConvAddActivationFusion",
    "GemmActivationFusion",
)
"""ONNX Runtime's fusions into FusedConv and FusedGemm."""


def nodes(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """The nodes of a graph and of its subgraphs."""
    for node in graph.node:
        yield node
        for attribute in node.attribute:
            if attribute.type == onnx.AttributeProto.GRAPH:
                yield from nodes(attribute.g)


def count(model: onnx.ModelProto) -> int:
    """How many nodes are no constants."""
    return sum(node.op_type != "Constant" for node in nodes(model.graph))


def simplified(path: Path) -> onnx.ModelProto:
    """What onnxsim leaves."""
    model, _ = onnxsim.simplify(str(path))
    return model


def slimmed(path: Path) -> onnx.ModelProto:
    """What onnxslim leaves."""
    return onnxslim.slim(str(path))


def extended(path: Path, without: tuple[str, ...] = ()) -> onnx.ModelProto:
    """What ONNX Runtime's extended level leaves, some of its fusions left out."""
    options = onnxruntime.SessionOptions()
    levels = onnxruntime.GraphOptimizationLevel
    options.graph_optimization_level = levels.ORT_ENABLE_EXTENDED
    options.log_severity_level = 4
    with tempfile.TemporaryDirectory() as folder:
        written = Path(folder) / "optimized.onnx"
        options.optimized_model_filepath = str(written)
        onnxruntime.InferenceSession(
            str(path),
            options,
            providers=["CPUExecutionProvider"],
            disabled_optimizers=list(without),
        )
        return onnx.load(written, load_external_data=False)


def with_onnx_operators(path: Path) -> onnx.ModelProto:
    """What ONNX Runtime's extended level leaves without FusedConv and FusedGemm."""
    return extended(path, OF_ITS_OWN)


PEERS: dict[str, Callable[[Path], onnx.ModelProto]] = {
    "onnxsim": simplified,
    "onnxslim": slimmed,
    "ORT extended": extended,
    "ORT without FusedConv/FusedGemm": with_onnx_operators,
}


def ours(path: Path, level: str) -> int:
    """How many ops a level of ours leaves."""
    model = load(str(path))
    run_pipeline(model, level)
    return count_ops(model)


def row(path: Path) -> list[str]:
    """A row of the table; bold where we leave the fewest of all."""
    mine = [ours(path, level) for level in LEVELS]
    theirs = [count(optimize(path)) for optimize in PEERS.values()]
    last = f"**{mine[-1]}**" if mine[-1] <= min(theirs) else str(mine[-1])
    return [path.stem, *map(str, mine[:-1]), last, *map(str, theirs)]


def table(rows: list[list[str]]) -> str:
    """The rows below a header, as Markdown."""
    header = ["model", *(f"-{level}" for level in LEVELS), *PEERS]
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, rule, *rows])


TEXT = """# How small graphs become

Ops that are left, constants not counted; subgraphs are. Written by
`python tests/bench/graph_size.py MODEL.onnx… -o docs/graph-size.md` with {versions}.
Bold: no other tool leaves fewer.

{table}

ONNX Runtime's extended level writes a convolution or a product with the activation
(and the sum) after it as one node of its own, `FusedConv` or `FusedGemm`. ONNX has no
operator for that, and what we write is ONNX; so where that fusion applies, that column
is smaller, and the one beside it says what is left without. There we lose for this
reason alone.
"""


def main() -> None:
    """Measure the models given and write the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").strip())
    parser.add_argument("models", nargs="+", type=Path, metavar="MODEL.onnx")
    parser.add_argument("-o", "--output", type=Path, required=True)
    given = parser.parse_args()
    names = ("onnxsim", "onnxslim", "onnxruntime")
    versions = ", ".join(f"{name} {version(name)}" for name in names)
    rows: list[list[str]] = []
    for path in given.models:
        rows.append(row(path))
        print(*rows[-1], flush=True)
    text = TEXT.format(versions=versions, table=table(rows))
    given.output.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
