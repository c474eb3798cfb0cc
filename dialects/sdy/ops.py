"""
The ops of the `sdy` dialect: meshes, per-device programs and the collectives in them.

Shardy's collectives stand in the global program, on tensors of their whole size; ours
stand inside `sdy.manual_computation` alone, on each device's part, so that what is
printed is what runs.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Self, TypeAlias, cast

from xdsl.dialects.builtin import (
    IntegerAttr,
    IntegerType,
    ModuleOp,
    StringAttr,
    SymbolNameConstraint,
    TensorType,
)
from xdsl.dialects.func import FuncOp
from xdsl.ir import Attribute, Block, Operation, Region, SSAValue
from xdsl.irdl import (
    IRDLOperation,
    irdl_op_definition,
    operand_def,
    prop_def,
    region_def,
    result_def,
    traits_def,
    var_operand_def,
    var_result_def,
)
from xdsl.parser import Parser
from xdsl.printer import Printer
from xdsl.rewriter import Rewriter
from xdsl.traits import (
    HasParent,
    IsolatedFromAbove,
    IsTerminator,
    Pure,
    SymbolOpInterface,
)
from xdsl.utils.exceptions import VerifyException

from ..onnx.types import is_none, static_shape, tensor
from .shardings import (
    AxisListsAttr,
    Mesh,
    MeshAttr,
    Sharding,
    ShardingPerValueAttr,
    parse_axes,
    parse_axis_lists,
    parse_shardings,
    print_axes,
    print_axis_lists,
    print_shardings,
)

Shape: TypeAlias = tuple[int, ...]


@irdl_op_definition
class MeshOp(IRDLOperation):
    """``sdy.mesh @mesh = <["x"=2, "y"=4]>``."""

    name = "sdy.mesh"
    sym_name = prop_def(SymbolNameConstraint())
    mesh = prop_def(MeshAttr)
    traits = traits_def(SymbolOpInterface(), HasParent(ModuleOp))

    def __init__(self, name: str, mesh: Mesh):
        super().__init__(
            properties={"sym_name": StringAttr(name), "mesh": MeshAttr(mesh)}
        )

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        printer.print_symbol_name(self.sym_name.data)
        printer.print_string(" = ")
        self.mesh.print_parameter(printer)

    @classmethod
    def parse(cls, parser: Parser) -> MeshOp:
        name = parser.parse_symbol_name().data
        parser.parse_punctuation("=")
        return cls(name, MeshAttr.parse_parameter(parser))


def mesh_of(op: Operation, name: str) -> Mesh:
    """The mesh called `name` in the module around `op`; VerifyException if none is."""
    module = op.get_toplevel_object()
    if isinstance(module, ModuleOp):
        for other in module.ops:
            if isinstance(other, MeshOp) and other.sym_name == StringAttr(name):
                return other.mesh.data
    raise VerifyException(f"found no sdy.mesh @{name}")


@irdl_op_definition
class ReturnOp(IRDLOperation):
    """Ends a per-device program with each device's part of the results."""

    name = "sdy.return"
    arguments = var_operand_def()
    traits = traits_def(IsTerminator(), Pure())
    assembly_format = "attr-dict ($arguments^ `:` type($arguments))?"

    def __init__(self, *operands: SSAValue) -> None:
        super().__init__(operands=[operands])


@irdl_op_definition
class ManualComputationOp(IRDLOperation):
    """
    A program that every device of a mesh runs on its parts of the operands.

    The shardings, one for each operand and result, are closed; what an operand of type
    none is sharded by does not matter.
    """

    name = "sdy.manual_computation"
    tensors = var_operand_def()
    outputs = var_result_def()
    in_shardings = prop_def(ShardingPerValueAttr)
    out_shardings = prop_def(ShardingPerValueAttr)
    body = region_def("single_block")
    traits = traits_def(IsolatedFromAbove(), Pure())

    def __init__(
        self,
        operands: Sequence[SSAValue],
        in_shardings: Sequence[Sharding],
        out_shardings: Sequence[Sharding],
        body: Block,
        result_types: Sequence[Attribute],
    ):
        super().__init__(
            operands=[operands],
            result_types=[result_types],
            properties={
                "in_shardings": ShardingPerValueAttr(tuple(in_shardings)),
                "out_shardings": ShardingPerValueAttr(tuple(out_shardings)),
            },
            regions=[Region(body)],
        )

    @property
    def mesh(self) -> Mesh:
        """The devices that run it."""
        return mesh_of(self, self.mesh_name)

    @property
    def mesh_name(self) -> str:
        """The symbol of the mesh."""
        shardings = (*self.in_shardings.data, *self.out_shardings.data)
        if not shardings:
            raise VerifyException("found no operands or results, wanted shardings")
        return shardings[0].mesh

    def verify_(self) -> None:
        mesh, name = self.mesh, self.mesh_name
        last = self.body.block.last_op
        if not isinstance(last, ReturnOp):
            raise VerifyException("found another end of the body than sdy.return")
        ends = (
            ("operand", self.tensors, self.body.block.args, self.in_shardings),
            ("result", self.outputs, last.arguments, self.out_shardings),
        )
        for word, wholes, parts, shardings in ends:
            if not len(wholes) == len(parts) == len(shardings.data):
                raise VerifyException(
                    f"found {len(wholes)} {word}s, {len(parts)} in the body and "
                    f"{len(shardings.data)} shardings"
                )
            for place, (whole, part, sharding) in enumerate(
                zip(wholes, parts, shardings.data, strict=True)
            ):
                where = f"{word} {place}"
                if sharding.mesh != name:
                    raise VerifyException(f"{where}: found @{sharding.mesh}")
                _verify_part(where, whole.type, part.type, sharding, mesh)

    def print(self, printer: Printer) -> None:
        printer.print_operands(self.tensors)
        printer.print_string(" in_shardings=")
        print_shardings(printer, self.in_shardings.data)
        printer.print_string(" out_shardings=")
        print_shardings(printer, self.out_shardings.data)
        printer.print_string(" ")
        printer.print_region(self.body)
        printer.print_string(" : ")
        printer.print_function_type(self.operand_types, self.result_types)

    @classmethod
    def parse(cls, parser: Parser) -> ManualComputationOp:
        arguments = parser.parse_op_args_list()
        shardings: list[tuple[Sharding, ...]] = []
        for word in ("in_shardings", "out_shardings"):
            parser.parse_keyword(word)
            parser.parse_punctuation("=")
            shardings.append(parse_shardings(parser))
        body = parser.parse_region()
        parser.parse_punctuation(":")
        position = parser.pos
        kind = parser.parse_function_type()
        operands = parser.resolve_operands(arguments, kind.inputs.data, position)
        return cls.create(
            operands=operands,
            result_types=kind.outputs.data,
            properties={
                "in_shardings": ShardingPerValueAttr(shardings[0]),
                "out_shardings": ShardingPerValueAttr(shardings[1]),
            },
            regions=[body],
        )


def is_per_device(main: FuncOp) -> bool:
    """Whether a function is a per-device program."""
    return any(isinstance(op, ManualComputationOp) for op in main.body.block.ops)


def _verify_part(
    where: str, whole: Attribute, part: Attribute, sharding: Sharding, mesh: Mesh
) -> None:
    if is_none(whole) and is_none(part):
        return
    shape = static_shape(whole)
    if problem := sharding.problem(mesh, shape):
        raise VerifyException(f"{where}: {problem}")
    if shape is not None and local_type(whole, sharding, mesh) != part:
        wanted = local_type(whole, sharding, mesh)
        raise VerifyException(f"{where}: found {part} on a device, wanted {wanted}")


def local_type(whole: Attribute, sharding: Sharding, mesh: Mesh) -> Attribute:
    """The type of a device's part of a tensor of static shape."""
    shape = static_shape(whole)
    assert shape is not None, "only tensors of known sizes are sharded"
    sizes = [n // mesh.size(a) for n, a in zip(shape, sharding.axes, strict=True)]
    return tensor(cast(TensorType[Attribute], whole).element_type, sizes)


# --- collectives ---


class CollectiveOp(IRDLOperation, ABC):
    """
    What devices do together, each with its part of a tensor.

    ``sdy.all_gather [{}, {"x"}] %t : (tensor<4x2xf32>) -> tensor<4x8xf32>``: `lists`
    has the axes for each dimension.
    """

    operand = operand_def(TensorType)
    result = result_def(TensorType)
    lists = prop_def(AxisListsAttr)
    traits = traits_def(Pure())
    MOVES: ClassVar[bool] = True
    """Whether devices send each other anything."""

    @abstractmethod
    def part(self, shape: Shape, mesh: Mesh) -> Shape | str:
        """The shape of the result's part; or what is wrong with the operand's."""

    @property
    def mesh(self) -> Mesh:
        """The devices that take part."""
        around = self.parent_op()
        if not isinstance(around, ManualComputationOp):
            raise VerifyException(f"{self.name} stands outside sdy.manual_computation")
        return around.mesh

    @property
    def axes(self) -> tuple[str, ...]:
        """The axes along which devices take part, the first of them slowest."""
        return tuple(axis for axes in self.lists.data for axis in axes)

    def verify_(self) -> None:
        mesh = self.mesh
        if problem := Sharding.of("", [self.axes]).problem(mesh, None):
            raise VerifyException(problem)
        wanted = _typed(self.operand.type, self._checked(mesh))
        if wanted != self.result.type:
            found = self.result.type
            raise VerifyException(f"found a result of {found}, wanted {wanted}")

    def _checked(self, mesh: Mesh) -> Shape:
        shape = static_shape(self.operand.type)
        if shape is None:
            raise VerifyException(f"found {self.operand.type}, wanted known sizes")
        found = self.part(shape, mesh)
        if isinstance(found, str):
            raise VerifyException(found)
        return found

    @classmethod
    def on(
        cls,
        operand: SSAValue,
        lists: Sequence[Sequence[str]],
        mesh: Mesh,
        **properties: Attribute,
    ) -> Self:
        """This collective on `operand`; VerifyException if the axes do not fit it."""
        data = tuple(tuple(axes) for axes in lists)
        made = cls.create(
            operands=[operand],
            result_types=[operand.type],
            properties={"lists": AxisListsAttr(data), **properties},
        )
        kind = _typed(operand.type, made._checked(mesh))
        Rewriter.replace_value_with_new_type(made.result, kind)
        return made

    def print(self, printer: Printer) -> None:
        printer.print_string(" ")
        self.print_lists(printer)
        printer.print_string(" ")
        printer.print_operand(self.operand)
        printer.print_string(" : ")
        printer.print_function_type(self.operand_types, self.result_types)

    def print_lists(self, printer: Printer) -> None:
        """Print the axes."""
        print_axis_lists(printer, self.lists.data)

    @classmethod
    def parse(cls, parser: Parser) -> Self:
        properties = cls.parse_lists(parser)
        operand = parser.parse_unresolved_operand()
        parser.parse_punctuation(":")
        position = parser.pos
        kind = parser.parse_function_type()
        operands = parser.resolve_operands([operand], kind.inputs.data, position)
        return cls.create(
            operands=operands, result_types=kind.outputs.data, properties=properties
        )

    @classmethod
    def parse_lists(cls, parser: Parser) -> dict[str, Attribute]:
        """Parse what `print_lists` writes."""
        return {"lists": AxisListsAttr(parse_axis_lists(parser))}


def _typed(kind: Attribute, shape: Shape) -> Attribute:
    return tensor(cast(TensorType[Attribute], kind).element_type, shape)


def _rank_problem(lists: Sequence[Sequence[str]], shape: Shape) -> str | None:
    if len(shape) == len(lists):
        return None
    return f"found {len(lists)} lists of axes for a tensor of rank {len(shape)}"


@irdl_op_definition
class AllGatherOp(CollectiveOp):
    """Every device gets all parts along the axes, one after another."""

    name = "sdy.all_gather"

    def part(self, shape: Shape, mesh: Mesh) -> Shape | str:
        if problem := _rank_problem(self.lists.data, shape):
            return problem
        pairs = zip(shape, self.lists.data, strict=True)
        return tuple(size * mesh.size(axes) for size, axes in pairs)


class _SlicingOp(CollectiveOp, ABC):
    def part(self, shape: Shape, mesh: Mesh) -> Shape | str:
        lists = self.lists.data
        problem = _rank_problem(lists, shape) or Sharding.of("", lists).problem(
            mesh, shape
        )
        if problem:
            return problem
        pairs = zip(shape, lists, strict=True)
        return tuple(size // mesh.size(axes) for size, axes in pairs)


@irdl_op_definition
class AllSliceOp(_SlicingOp):
    """Every device keeps its part, along the axes, of what all of them have."""

    name = "sdy.all_slice"
    MOVES: ClassVar[bool] = False


@irdl_op_definition
class ReduceScatterOp(_SlicingOp):
    """The sum over devices of what each has, of which every device gets its part."""

    name = "sdy.reduce_scatter"


@irdl_op_definition
class AllReduceOp(CollectiveOp):
    """The sum over devices of what each has: ``sdy.all_reduce {"x"} %p : …``."""

    name = "sdy.all_reduce"

    def part(self, shape: Shape, mesh: Mesh) -> Shape | str:
        found = len(self.lists.data)
        return shape if found == 1 else f"found {found} lists of axes, wanted 1"

    def print_lists(self, printer: Printer) -> None:
        print_axes(printer, self.axes)

    @classmethod
    def parse_lists(cls, parser: Parser) -> dict[str, Attribute]:
        return {"lists": AxisListsAttr((parse_axes(parser),))}


@irdl_op_definition
class AllToAllOp(CollectiveOp):
    """
    Parts along one dimension become parts along another.

    ``sdy.all_to_all [{"x"}: 1->2] %t : (tensor<4x2x8xf32>) -> tensor<4x8x2xf32>``
    """

    name = "sdy.all_to_all"
    source = prop_def(IntegerAttr[IntegerType])
    target = prop_def(IntegerAttr[IntegerType])

    @property
    def dims(self) -> tuple[int, int]:
        """The dimension that becomes whole, and the one that is divided."""
        return self.source.value.data, self.target.value.data

    def part(self, shape: Shape, mesh: Mesh) -> Shape | str:
        source, target = self.dims
        if len(self.lists.data) != 1:
            return f"found {len(self.lists.data)} lists of axes, wanted 1"
        if source == target or not {source, target} <= set(range(len(shape))):
            return f"found dimensions {source}->{target} of a tensor {list(shape)}"
        count, sizes = mesh.size(self.axes), list(shape)
        if sizes[target] % count:
            return f"found size {sizes[target]}, wanted a multiple of {count}"
        sizes[source] *= count
        sizes[target] //= count
        return tuple(sizes)

    def print_lists(self, printer: Printer) -> None:
        with printer.in_square_brackets():
            print_axes(printer, self.axes)
            source, target = self.dims
            printer.print_string(f": {source}->{target}")

    @classmethod
    def parse_lists(cls, parser: Parser) -> dict[str, Attribute]:
        with parser.in_square_brackets():
            axes = parse_axes(parser)
            parser.parse_punctuation(":")
            source = parser.parse_integer(allow_boolean=False, allow_negative=False)
            parser.parse_punctuation("->")
            target = parser.parse_integer(allow_boolean=False, allow_negative=False)
        return {
            "lists": AxisListsAttr((axes,)),
            "source": IntegerAttr(source, 64),
            "target": IntegerAttr(target, 64),
        }
