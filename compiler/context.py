"""The context that modules of ours are parsed, rewritten and printed in."""

from xdsl.universe import Universe

from ..dialects.onnx import OnnxContext


def make_context() -> OnnxContext:
    """
    A context with every registered dialect (loaded on first use) and an empty store.
    """
    context = OnnxContext()
    for name, factory in Universe.get_multiverse().all_dialects.items():
        context.register_dialect(name, factory)
    return context
