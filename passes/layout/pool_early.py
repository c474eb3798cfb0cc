"""
Have a MaxPool see what its convolution's bias and Relu were to be applied to.

    MaxPool(Relu(Conv(x, w, b)))   ->   Relu(Add(MaxPool(Conv(x, w)), b))

Neither changes which element of a window is the largest, rounded or not, so that the
result is the same to the bit, and both are applied to the fewer elements that are left.
On JAX, where XLA applies them again for each window that an element is in; on NumPy,
and in ONNX Runtime, a convolution applies them to what it has just written.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from xdsl.context import Context
from xdsl.dialects.builtin import ModuleOp
from xdsl.ir import Operation, SSAValue
from xdsl.passes import ModulePass

from ...dialects.onnx import OnnxBuilder, OnnxOp, store_of
from ...dialects.onnx.types import is_none, static_shape
from ..facts import constant_shape, derived, given, is_wide_float, setting
from ..fold_constants import constant_of
from ..patterns import Declined, OnnxPattern, journal_of, rewrite_module


@dataclass(frozen=True)
class Activated:
    """A Relu, and the convolution before it if its bias can wait, too."""

    relu: OnnxOp
    conv: OnnxOp | None


@dataclass(frozen=True)
class PoolOfRelu(OnnxPattern[Activated]):
    """A MaxPool of a Relu that nothing else sees."""

    name = "pool-of-relu"
    roots = frozenset(["onnx.MaxPool"])

    def decide(self, op: OnnxOp) -> Activated | Declined:
        relu = op.operands[0].owner
        if not isinstance(relu, OnnxOp) or relu.name != "onnx.Relu":
            return Declined("its image is no Relu's", near=False)
        if not relu.results[0].has_one_use():
            return Declined("its Relu has other uses")
        if any(not is_none(kind) for kind in op.result_types[1:]):
            return Declined("where its largest elements are is wanted")
        if all(size == 1 for size in setting(op, "strides") or (1,)):
            return Declined("its windows overlap: it may leave as many elements")
        if _sees_nothing(op):
            return Declined("a window may lie in the padding alone")
        return Activated(relu, self._biased(relu.operands[0]))

    def _biased(self, image: SSAValue) -> OnnxOp | None:
        """The convolution that gives `image` alone, with a constant bias."""
        conv = image.owner
        if not isinstance(conv, OnnxOp) or conv.name != "onnx.Conv":
            return None
        _, _, bias = conv.operands
        if not given(bias) or not image.has_one_use():
            return None
        # The sum of a convolution in 16 bits is rounded once, with its bias.
        if constant_of(bias, self.store) is None or not is_wide_float(image):
            return None
        return conv if static_shape(bias.type) else None

    def covers(self, op: OnnxOp, found: Activated) -> list[Operation]:
        before = [] if found.conv is None else [found.conv]
        return [*before, found.relu, op]

    def rewrite(
        self, op: OnnxOp, found: Activated, builder: OnnxBuilder
    ) -> Sequence[SSAValue | None]:
        image = found.relu.operands[0]
        if found.conv is not None:
            x, weight, _ = found.conv.operands
            settings = dict(found.conv.properties)
            image = builder.create(
                found.conv.name, [x, weight, None], settings
            ).results[0]
        wanted = [not is_none(kind) for kind in op.result_types]
        made = builder.create(op.name, [image], dict(op.properties), wanted)
        pooled = made.results[0]
        if found.conv is not None:
            bias = self._along(found.conv.operands[2], op, builder)
            pooled = builder.value("onnx.Add", pooled, bias)
        return [builder.value("onnx.Relu", pooled), *[None] * (len(wanted) - 1)]

    def _along(self, bias: SSAValue, op: OnnxOp, builder: OnnxBuilder) -> SSAValue:
        """A bias as an image of one place."""
        whole = [constant_shape(bias)[0], *[1] * len(setting(op, "kernel_shape"))]
        return derived(bias, "image", whole, lambda a: a.reshape(whole), builder)


def _sees_nothing(op: OnnxOp) -> bool:
    """Whether a window may hold no element: its largest would be no element's."""
    if setting(op, "ceil_mode") or any(d != 1 for d in setting(op, "dilations") or ()):
        return True
    kernel = setting(op, "kernel_shape")
    pads = setting(op, "pads") or (0,) * (2 * len(kernel))
    return any(pad >= size for pad, size in zip(pads, (*kernel, *kernel), strict=True))


@dataclass(frozen=True)
class PoolEarlyPass(ModulePass):
    """Apply a convolution's bias and Relu to what MaxPool leaves."""

    name = "pool-early"

    def apply(self, ctx: Context, op: ModuleOp) -> None:
        store = store_of(ctx)
        if store is not None:
            rewrite_module(op, PoolOfRelu(store, journal_of(ctx)))

    @classmethod
    def schedule_space(
        cls, ctx: Context, module_op: ModuleOp
    ) -> tuple[PoolEarlyPass, ...]:
        return (cls(),)
