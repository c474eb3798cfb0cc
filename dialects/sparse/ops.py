"""
Products with weights that are stored without their zeros.

`sparse.MatMul` gathers the inputs that a group of outputs keeps, and multiplies by a
small dense matrix. `sparse.BitmapMatMul` loads a weight as sparse and computes as dense
(Xia et al., "Flash-LLM", 2023, arXiv:2309.10285). The note ``sparse.encoding`` says
which encoding it is; without, it is the plainest with these operands.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence

import numpy as np
from xdsl.ir import Attribute, SSAValue
from xdsl.utils.exceptions import VerifyException

from ..onnx.base import OnnxOp
from ..onnx.builder import OnnxBuilder
from ..onnx.classes import op_class
from ..onnx.contrib import parse
from ..onnx.dims import Dim
from ..onnx.extension import ExtensionOp
from ..onnx.types import element_of, shape_of, static_shape, tensor
from .attributes import EncodingAttr
from .encodings import NM, Bitmap, Block, Encoding, EncodingError, GroupShared

NOTE = "sparse.encoding"
"""What the note of an op is called."""

_TABLE = """
[sardonyx.sparse]

MatMul: Product of X with a weight of which groups of outputs share what they keep.
  X:T W:T I:int32 -> Y:T
  | axis=-1 span=1
  | T=float,double

BitmapMatMul: Product of X with a weight of which only what is not 0 is stored.
  X:T V:T M:uint8 -> Y:T
  | K=int! axis=-1
  | T=float,double
"""


class SparseOp(OnnxOp, ExtensionOp):
    """A product of ``x [..., K]``, or ``[..., K, n]``, with a weight ``[K, N]``."""

    @property
    def along(self) -> int:
        """The axis of `x` that is summed over, and of the outputs: -1 or -2."""
        return int(self._setting("axis", -1))

    @property
    @abstractmethod
    def shape(self) -> tuple[int, int]:
        """``(K, N)``; K is not known of a matrix that gathers, and 0, without `x`'s."""

    @property
    @abstractmethod
    def encoding(self) -> Encoding:
        """How the weight is stored: what the note says, or the operands."""

    @abstractmethod
    def plain(self) -> Encoding:
        """What the operands say alone."""

    def inferred(self) -> Sequence[Attribute]:
        """The type of the result: that of `x`, with N outputs on the axis."""
        element, shape = (
            element_of(self.operands[0].type),
            shape_of(self.operands[0].type),
        )
        assert element is not None, "the schema wants a tensor"
        if shape is None:
            return [tensor(element, None)]
        if len(shape) < -self.along:
            raise VerifyException(f"found an operand of rank {len(shape)}")
        sizes = list(shape)
        sizes[self.along] = Dim.of(self.shape[1])
        return [tensor(element, sizes)]

    def verify_(self) -> None:
        if self.along not in (-1, -2):
            raise VerifyException(f"found axis {self.along}, wanted -1 or -2")
        try:
            self._check()
        except EncodingError as error:
            raise VerifyException(str(error)) from error
        wanted, found = shape_of(self.inferred()[0]), shape_of(self.results[0].type)
        if wanted is None or found is None:
            return
        pairs = zip(wanted, found, strict=False)
        same = all(a is None or b is None or _may_equal(a, b) for a, b in pairs)
        if len(wanted) != len(found) or not same:
            raise VerifyException(f"found a result of {self.results[0].type}")

    def _check(self) -> None:
        depth = self.depth
        if depth is not None and depth != self.shape[0]:
            raise VerifyException(f"found {depth} inputs, wanted {self.shape[0]}")
        note = self.attributes.get(NOTE)
        if note is None:
            return
        if not isinstance(note, EncodingAttr):
            raise VerifyException(f"found {NOTE} {note}, wanted an encoding")
        note.data.check(self.shape)
        self._check_note(note.data)

    @abstractmethod
    def _check_note(self, encoding: Encoding) -> None:
        """Raise EncodingError unless the operands are of `encoding`."""

    @property
    def depth(self) -> int | None:
        """How many inputs `x` has; None if its type does not tell."""
        shape = shape_of(self.operands[0].type)
        if shape is None or len(shape) < -self.along:
            return None
        found = shape[self.along]
        return None if found is None else found.constant

    def _noted(self) -> Encoding:
        note = self.attributes.get(NOTE)
        return note.data if isinstance(note, EncodingAttr) else self.plain()

    def _setting(self, name: str, default: int) -> int:
        return int(self.python_attributes().get(name, default))


def _may_equal(a: Dim, b: Dim) -> bool:
    return a.constant is None or b.constant is None or a == b


class GatherOp(SparseOp):
    """
    ``y[..., group] = x[..., I[group]] @ W[group]``.

    `W` is ``[groups, kept, width]`` and `I` int32 ``[groups, kept / span]``, each the
    number of a run of `span` inputs. With ``axis=-2`` it is ``W[group]``, of ``[groups,
    width, kept]``, times the rows ``x[..., I[group], :]``.
    """

    @property
    def run(self) -> int:
        """How many inputs one after another an index is of."""
        return self._setting("span", 1)

    @property
    def shape(self) -> tuple[int, int]:
        groups, kept, width = self._sizes()
        # Indices do not tell how many inputs there are: at least what is kept.
        return self.depth or kept, groups * width

    @property
    def encoding(self) -> Encoding:
        return self._noted()

    def plain(self) -> Encoding:
        _, kept, width = self._sizes()
        if self.run > 1:
            return Block(self.run, width, kept // self.run)
        return GroupShared(width, kept)

    def _sizes(self) -> tuple[int, int, int]:
        found = static_shape(self.operands[1].type)
        if found is None or len(found) != 3:
            raise EncodingError(f"found values of {self.operands[1].type}")
        groups, kept, width = found
        return (groups, kept, width) if self.along == -1 else (groups, width, kept)

    def _check(self) -> None:
        groups, kept, _ = self._sizes()
        if self.run < 1 or kept % self.run:
            raise EncodingError(f"found {kept} kept in runs of {self.run}")
        wanted = (groups, kept // self.run)
        if static_shape(self.operands[2].type) != wanted:
            raise EncodingError(
                f"found indices of {self.operands[2].type}, wanted {list(wanted)}"
            )
        self.plain().check(self.shape)
        super()._check()

    def _check_note(self, encoding: Encoding) -> None:
        groups, kept, _ = self._sizes()
        if isinstance(encoding, NM):
            depth, width = self.shape
            whole = encoding.stored((depth, width)) == kept * width
            if encoding.shared and groups == self.run == 1 and whole:
                return
        elif encoding == self.plain():
            return
        raise EncodingError(f"found {encoding}, wanted {self.plain()}")

    def onnx_body(
        self, builder: OnnxBuilder, operands: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        x, values, indices = operands
        if self.run > 1:
            indices = self._spread(indices, builder)
        rank, width = _rank(x), self.shape[1]
        if self.along == -2:
            picked = builder.value("onnx.Gather", x, indices, axis=rank - 2)
            y = builder.value("onnx.MatMul", values, picked)
            sizes = [0] * (rank - 2) + [width, -1]
            return [builder.value("onnx.Reshape", y, _ints(builder, sizes))]
        picked = builder.value("onnx.Gather", x, indices, axis=rank - 1)
        if rank == 1:
            # A vector has no rows for the groups to stand before.
            picked = builder.value("onnx.Unsqueeze", picked, _ints(builder, [1]))
            y = builder.value("onnx.MatMul", picked, values)
            return [builder.value("onnx.Reshape", y, _ints(builder, [width]))]
        order = list(range(rank + 1))
        order[-3], order[-2] = order[-2], order[-3]
        rows = builder.value("onnx.Transpose", picked, perm=order)
        y = builder.value("onnx.MatMul", rows, values)
        y = builder.value("onnx.Transpose", y, perm=order)
        sizes = [0] * (rank - 1) + [width]
        return [builder.value("onnx.Reshape", y, _ints(builder, sizes))]

    def _spread(self, indices: SSAValue, builder: OnnxBuilder) -> SSAValue:
        """The inputs that runs of `span` are, one by one."""
        span = builder.constant(np.array(self.run, np.int32))
        first = builder.value("onnx.Mul", indices, span)
        column = builder.value("onnx.Unsqueeze", first, _ints(builder, [2]))
        run = builder.constant(np.arange(self.run, dtype=np.int32))
        whole = builder.value("onnx.Add", column, run)
        groups, kept, _ = self._sizes()
        return builder.value("onnx.Reshape", whole, _ints(builder, [groups, kept]))


class BitmapOp(SparseOp):
    """
    ``y = x @ W``, of which `V` are the elements other than 0, output by output.

    Bit k of row n of `M`, uint8 ``[N, ceil(K / 8)]`` with the first in the lowest bit,
    says whether ``W[k, n]`` is among them. With ``axis=-2`` it is ``W^T @ x``.
    """

    @property
    def shape(self) -> tuple[int, int]:
        found = static_shape(self.operands[2].type)
        if found is None or len(found) != 2:
            raise EncodingError(f"found a mask of {self.operands[2].type}")
        return self._setting("K", 0), found[0]

    @property
    def encoding(self) -> Encoding:
        return self._noted()

    def plain(self) -> Encoding:
        found = static_shape(self.operands[1].type)
        if found is None or len(found) != 1:
            raise EncodingError(f"found values of {self.operands[1].type}")
        return Bitmap(found[0])

    def _check(self) -> None:
        depth, width = self.shape
        wanted = (width, -(-depth // 8))
        if depth < 1 or static_shape(self.operands[2].type) != wanted:
            raise EncodingError(
                f"found a mask of {self.operands[2].type}, wanted {list(wanted)}"
            )
        self.plain().check(self.shape)
        super()._check()

    def _check_note(self, encoding: Encoding) -> None:
        wanted = self.plain().stored(self.shape)
        gathers = not isinstance(encoding, NM | Bitmap)
        if gathers or (isinstance(encoding, NM) and encoding.shared):
            raise EncodingError(f"found {encoding}, wanted bitmap {wanted}")
        # Where nothing is stored, one 0 is.
        if max(encoding.stored(self.shape), 1) != wanted:
            raise EncodingError(f"found {encoding}, wanted {wanted} elements")

    def onnx_body(
        self, builder: OnnxBuilder, operands: Sequence[SSAValue]
    ) -> Sequence[SSAValue]:
        x, values, mask = operands
        depth, width = self.shape
        two = builder.constant(np.array(2, np.int32))
        wide = builder.value("onnx.CastLike", mask, two)
        column = builder.value("onnx.Unsqueeze", wide, _ints(builder, [2]))
        powers = builder.constant(1 << np.arange(8, dtype=np.int32))
        shifted = builder.value("onnx.Div", column, powers)
        bits = builder.value("onnx.Mod", shifted, two)
        rows = builder.value("onnx.Reshape", bits, _ints(builder, [width, -1]))
        ends = [_ints(builder, [n]) for n in (0, depth, 1)]
        used = builder.value("onnx.Slice", rows, ends[0], ends[1], ends[2])
        flat = builder.value("onnx.Reshape", used, _ints(builder, [-1]))
        axis = builder.constant(np.array(0, np.int64))
        counted = builder.value("onnx.CumSum", flat, axis, exclusive=1)
        last = builder.constant(np.array(self.plain().stored(self.shape) - 1, np.int32))
        # Behind the last element there is none to look at.
        places = builder.value("onnx.Min", counted, last)
        picked = builder.value("onnx.Gather", values, places, axis=0)
        like = builder.value("onnx.CastLike", flat, picked)
        dense = builder.value("onnx.Mul", picked, like)
        turned = builder.value("onnx.Reshape", dense, _ints(builder, [width, depth]))
        if self.along == -2:
            return [builder.value("onnx.MatMul", turned, x)]
        weight = builder.value("onnx.Transpose", turned, perm=[1, 0])
        return [builder.value("onnx.MatMul", x, weight)]


def _ints(builder: OnnxBuilder, numbers: Sequence[int]) -> SSAValue:
    return builder.constant(np.array(numbers, np.int64))


def _rank(value: SSAValue) -> int:
    shape = shape_of(value.type)
    if shape is None:
        raise VerifyException(f"found {value.type}, wanted a known rank")
    return len(shape)


MATMUL, BITMAP = "sparse.MatMul", "sparse.BitmapMatMul"

_BASES: dict[str, type[SparseOp]] = {"MatMul": GatherOp, "BitmapMatMul": BitmapOp}

OPS: dict[str, type[SparseOp]] = {}
"""Every op class by its name in the IR: ``sparse.MatMul``."""

for _schema in parse(_TABLE.strip()):
    _made = op_class(_schema, _BASES[_schema.name])
    OPS[_made.name] = _made
