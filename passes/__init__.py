"""
Passes: each rewrites the IR into IR of the same meaning.

One file per pass; `get_all_passes` is the phone book, which loads a pass when it is
called for.
"""

from collections.abc import Callable
from functools import partial
from importlib import import_module

from xdsl.passes import ModulePass

_FOLDERS = {
    "assign-layout": "layout",
    "block-shuffles": "layout",
    "convolve-by-spectra": "layout",
    "depth-first": "fusion",
    "encode-sparse": "sparsity",
    "expand-functions": "",
    "fixpoint": "",
    "fold-affine": "fusion",
    "fold-batch-norm": "",
    "fold-constants": "",
    "fuse-activations": "fusion",
    "fuse-attention": "fusion",
    "fuse-gelu": "fusion",
    "fuse-gemm": "fusion",
    "fuse-layer-norm": "fusion",
    "fuse-pads": "fusion",
    "fuse-qdq": "quantize",
    "fuse-regions": "fusion",
    "fuse-rotary": "fusion",
    "fuse-softmax": "fusion",
    "gptq": "quantize",
    "infer-types": "",
    "inline-control-flow": "cleanup",
    "inline-regions": "fusion",
    "llm-int8": "quantize",
    "merge-constants": "cleanup",
    "merge-products": "fusion",
    "partition": "sharding",
    "plan-memory": "schedule",
    "pool-early": "layout",
    "propagate-shardings": "sharding",
    "prune": "sparsity",
    "quantize-dynamic": "quantize",
    "quantize-static": "quantize",
    "quantize-weights": "quantize",
    "regroup-outputs": "sparsity",
    "remove-identities": "",
    "remove-neutral": "cleanup",
    "saturate": "eqsat",
    "reorder": "schedule",
    "shard-data": "sharding",
    "shard-sequence": "sharding",
    "shard-tensor": "sharding",
    "shard-values": "sharding",
    "simplify-algebra": "",
    "simplify-reductions": "cleanup",
    "simplify-shapes": "cleanup",
    "simplify-slices": "cleanup",
    "simplify-transposes": "cleanup",
    "simplify-views": "cleanup",
    "smooth-quant": "quantize",
    "spare": "",
    "split-concats": "layout",
    "split-quant": "quantize",
    "specialize-dims": "",
    "split-products": "sharding",
}
"""
The folder below this one in which each pass stands; "" is this one.

The pass ``fuse-pads`` is `FusePadsPass` in ``fuse_pads.py``.
"""


def get_all_passes() -> dict[str, Callable[[], type[ModulePass]]]:
    """Every pass of ours by name; the values import it."""
    return {name: partial(_load, name, folder) for name, folder in _FOLDERS.items()}


def _load(name: str, folder: str) -> type[ModulePass]:
    stem = name.replace("-", "_")
    place = f".{folder}.{stem}" if folder else f".{stem}"
    kind = "".join(word.title() for word in name.split("-"))
    return getattr(import_module(place, __name__), f"{kind}Pass")
