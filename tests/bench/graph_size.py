"""
How many ops our levels leave of a model, beside what other optimizers leave.

    python tests/bench/graph_size.py MODEL.onnx… -o docs/graph-size.md

Counted are nodes, those in subgraphs too, and no constants. onnxsim, onnxslim and ONNX
Runtime (its extended level, on the CPU) are run as they are installed. ONNX Runtime
fuses activations and sums into Conv and Gemm with operators of its own (FusedConv,
FusedGemm), which no ONNX operator says: its second column is without these fusions.
Ours is fuse-regions, which the NumPy backend runs after -O2 and writes each region as
one function; a region that it does not write so counts as what it holds.
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
from sardonyx.backends.numpy import TABLE
from sardonyx.backends.numpy.regions import is_one_kernel
from sardonyx.compiler.driver import load
from sardonyx.compiler.pipelines import count_ops, run_pipeline, spec_of
from sardonyx.dialects.fusion import RegionOp

LEVELS = ("O0", "O1", "O2")
FUSED = {
    "-O2, fused regions": "O2,fuse-regions",
    "NumPy's program": spec_of("O2", "numpy"),
}
"""The columns in which a region that is one function counts once, and their specs."""
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


def kernels(path: Path, spec: str) -> int:
    """How many ops `spec` leaves, a region once if NumPy runs it as one function."""
    model = load(str(path))
    run_pipeline(model, spec)
    regions = (op for op in model.module.walk() if isinstance(op, RegionOp))
    others = [op for op in regions if not is_one_kernel(op, TABLE)]
    return count_ops(model) + sum(len(op.ops) - 1 for op in others)


def row(path: Path) -> list[str]:
    """A row of the table; bold where we leave the fewest of all."""
    mine = [ours(path, level) for level in LEVELS]
    mine += [kernels(path, spec) for spec in FUSED.values()]
    theirs = [count(optimize(path)) for optimize in PEERS.values()]
    fewest = min(theirs)
    shown = [f"**{n}**" if n <= fewest else str(n) for n in mine]
    return [path.stem, *shown, *map(str, theirs)]


def table(rows: list[list[str]]) -> str:
    """The rows below a header, as Markdown."""
    header = ["model", *(f"-{level}" for level in LEVELS), *FUSED, *PEERS]
    rule = ["---", *("---:" for _ in header[1:])]
    return "\n".join(f"| {' | '.join(line)} |" for line in [header, rule, *rows])


TEXT = """# How small graphs become

Ops that are left, constants not counted; subgraphs are. Written by
`python tests/bench/graph_size.py MODEL.onnx… -o docs/graph-size.md` with {versions}.
Bold: no other tool leaves fewer.

{table}

"-O2, fused regions" counts a region once: a convolution or another product with the
sum, the activation and whatever else is done to each element after it, and with the
Reshape or Transpose before it, which NumPy reads through; or a chain of elementwise
ops. The NumPy backend writes each as one function that works in place
(`passes/fusion/fuse_regions.py`); a region that it could not write so would count as
its ops. "NumPy's program" is what that backend runs: its images have channels last, and
a Transpose that no region takes in is counted too, where ONNX Runtime's extended level
leaves the layout as it is: squeezenet has one, between the mean over its image and its
Softmax, and shufflenet's grouped convolutions are spelt out there as batched products,
with the Reshapes and Transposes around them. On JAX what is in a region are separate
ops, which XLA fuses as it sees fit, and so they are in a model that leaves as ONNX:
there "-O2" counts.

ONNX Runtime's extended level writes such a convolution or product as one node too,
`FusedConv` or `FusedGemm`, its own operators. ONNX has none for that, and what we
write is ONNX; where "-O2" alone is not bold, we lose for this reason alone: the last
column says what is left without these operators.
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
