"""
Convolution and pooling of images whose channels come last: ``[n, h, w, c]``.

What `assign-layout` makes of ONNX's operators for a backend that prefers them so. Their
attributes are ONNX's, and each says what it means in ONNX's operators.
"""

from __future__ import annotations

from collections.abc import Sequence

from xdsl.ir import Dialect, SSAValue

from .onnx.base import OnnxOp
from .onnx.builder import OnnxBuilder
from .onnx.classes import op_class
from .onnx.contrib import parse
from .onnx.extension import ExtensionOp

TO_NHWC = (0, 2, 3, 1)
"""The order that a Transpose gives ``[n, c, h, w]`` to put channels last."""
TO_NCHW = (0, 3, 1, 2)
"""The order that undoes it."""
TO_OIHW = (3, 2, 0, 1)
"""The order in which a weight ``[kh, kw, c / group, m]`` becomes ONNX's."""
TO_HWIO = (2, 3, 1, 0)
"""The order that undoes it."""

_TABLE = """
floats := float16,bfloat16,float,double

[sardonyx.nhwc]

AveragePool: Mean of every window of an image [n, h, w, c].
  X:T -> Y:T
  | auto_pad='NOTSET' ceil_mode=0 count_include_pad=0 dilations=ints kernel_shape=ints!
    pads=ints strides=ints
  | T=floats

BatchNormalization: Channels of [n, h, w, c] normalized by statistics that are given.
  X:T scale:T1 B:T1 input_mean:T2 input_var:T2 -> Y:T
  | epsilon=1e-05
  | T=floats T1=floats T2=floats

Conv: Convolution of an image [n, h, w, c] with a weight [kh, kw, c / group, m].
  X:T W:T B?:T -> Y:T
  | auto_pad='NOTSET' dilations=ints group=1 pads=ints strides=ints
  | T=floats

LRN: Local response normalization over the channels of [n, h, w, c].
  X:T -> Y:T
  | alpha=1e-04 beta=0.75 bias=1.0 size=int!
  | T=floats

MaxPool: Maximum of every window of an image [n, h, w, c].
  X:T -> Y:T
  | auto_pad='NOTSET' ceil_mode=0 dilations=ints kernel_shape=ints! pads=ints
    strides=ints
  | T=floats
"""


class NhwcOp(OnnxOp, ExtensionOp):
    """An ONNX operator on images ``[n, h, w, c]``."""

    def onnx_body(
        self, builder: OnnxBuilder, operands: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        image, *others = operands
        if self.op_type() == "Conv":
            weight = builder.value("onnx.Transpose", others[0], perm=TO_OIHW)
            others = [weight, *others[1:]]
        swapped = builder.value("onnx.Transpose", image, perm=TO_NCHW)
        plain = f"onnx.{self.op_type()}"
        y = builder.value(plain, swapped, *others, **self.python_attributes())
        return [builder.value("onnx.Transpose", y, perm=TO_NHWC)]


OPS: dict[str, type[NhwcOp]] = {}
"""Every op class by its name in the IR: ``nhwc.Conv``."""

for _schema in parse(_TABLE.strip()):
    _made = op_class(_schema, NhwcOp)
    OPS[_made.name] = _made

Nhwc = Dialect("nhwc", [*OPS.values()])
