"""
Builds ops with inferred result types: what the importer and the passes write IR with.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from xdsl.dialects.builtin import UNKNOWN_LOC, LocationAttr
from xdsl.ir import Attribute, Operation, Region, SSAValue
from xdsl.irdl import VariadicDef

from .attributes import AttributeValue, attribute
from .base import NoneOp, OnnxOp
from .infer import result_types
from .integers import IntegerValues
from .ops import OPS
from .store import WeightStore
from .types import Array, DenseAttr, WeightAttr

INLINE_ELEMENTS = 16
"""
Constants up to this many elements stand in the IR's text, larger ones in the store.
"""


class OnnxBuilder:
    """
    Makes ops and hands each to `insert`; types come from inference.

    `location` is put on every op that is made; set it as the source changes.
    """

    def __init__(
        self,
        insert: Callable[[Operation], object],
        store: WeightStore,
        integers: IntegerValues | None = None,
        location: LocationAttr = UNKNOWN_LOC,
    ):
        self.insert = insert
        self.store = store
        self.integers = IntegerValues(store) if integers is None else integers
        self.location = location

    def none(self) -> SSAValue:
        """The value of an absent optional input."""
        op = NoneOp()
        self.insert(op)
        return op.result

    def op(
        self,
        name: str,
        *operands: SSAValue | None,
        outputs: int | Sequence[bool] = 1,
        **attributes: AttributeValue | None,
    ) -> OnnxOp:
        """
        Insert op `name` (``onnx.Conv``) and return it.

        An operand that is None, or missing at the end, is absent. `outputs` tells how
        many results are wanted, or which; those not wanted have type none. Raises
        InferenceError if the operands do not fit, ValueError for a wrong attribute.
        """
        schema = OPS[name].schema()
        properties = {
            key: attribute(schema, key, value)
            for key, value in attributes.items()
            if value is not None
        }
        return self.create(name, operands, properties, outputs)

    def create(
        self,
        name: str,
        operands: Sequence[SSAValue | None],
        properties: dict[str, Attribute],
        outputs: int | Sequence[bool] = 1,
        types: Sequence[Attribute] | None = None,
        regions: Sequence[Region] = (),
    ) -> OnnxOp:
        """
        `op` with IR attributes; with `types` (needed with regions) nothing is inferred.
        """
        made = OPS[name]
        values = [self.none() if v is None else v for v in operands]
        definition = made.get_irdl_definition()
        values += [self.none() for _ in range(len(values), _fixed(definition.operands))]
        wanted = [True] * outputs if isinstance(outputs, int) else list(outputs)
        wanted += [False] * (_fixed(definition.results) - len(wanted))
        if types is None:
            types = result_types(name, values, properties, wanted, self.integers)
        absent = len(definition.regions) - len(regions)
        op = made.create(
            operands=values,
            result_types=types,
            properties=properties,
            regions=[*regions, *(Region() for _ in range(absent))],
            location=self.location,
        )
        self.insert(op)
        return op

    def value(
        self, name: str, *operands: SSAValue | None, **attributes: AttributeValue | None
    ) -> SSAValue:
        """Insert an op of one result and return that."""
        return self.op(name, *operands, outputs=1, **attributes).results[0]

    def constant(self, array: Array, key: str = "constant") -> SSAValue:
        """
        A constant: in the text if small or of strings, else in the store under `key`.
        """
        if array.size <= INLINE_ELEMENTS or array.dtype == object:
            return self.held(DenseAttr.of(array), DenseAttr.of(array).type)
        stored = self.store.add(key, array)
        return self.held(WeightAttr(stored), self.store[stored].type)

    def held(self, value: DenseAttr | WeightAttr, kind: Attribute) -> SSAValue:
        """The constant of an attribute and its type."""
        made = OPS["onnx.Constant"]
        op = made.create(
            result_types=[kind], properties={"value": value}, location=self.location
        )
        self.insert(op)
        return op.results[0]


def _fixed(definitions: Sequence[tuple[str, object]]) -> int:
    """How many operands or results an op always has."""
    return sum(not isinstance(definition, VariadicDef) for _, definition in definitions)
