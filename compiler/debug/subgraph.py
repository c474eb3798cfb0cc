"""
Cuts a model to some of its ops: what they took from others becomes an input whose
value was captured, what others took from them an output.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from xdsl.dialects.builtin import ArrayAttr, FunctionType, ModuleOp
from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, BlockArgument, Operation, Region, SSAValue

from ...dialects.onnx import OnnxBuilder
from ...dialects.onnx.provenance import location
from ...dialects.onnx.types import Array, element_of, is_none
from ..model import Model, name_entry
from ..verify import expose, tensor_of
from .trial import run_model

LEAVES = ("onnx.Constant", "onnx.none")
"""Ops that come along with those that use them."""


@dataclass(frozen=True)
class Case:
    """A candidate: a model, and the inputs to run it on."""

    model: Model
    inputs: Mapping[str, Any] | None
    """None where nothing is run: a crash needs no inputs."""


def body_ops(model: Model) -> list[Operation]:
    """The ops of ``@main`` in their order, constants and the return aside."""
    return [
        op
        for op in model.main.body.block.ops
        if op.name not in LEAVES and not isinstance(op, ReturnOp)
    ]


def captured(model: Model, inputs: Mapping[str, Any]) -> dict[SSAValue, Any]:
    """Every value that the ops of ``@main`` compute, from one run on NumPy."""
    copy = model.clone()
    ours, theirs = body_ops(model), body_ops(copy)
    names = [value.name for value in model.inputs]
    known = dict(
        zip(model.main.body.block.args, (inputs[n] for n in names), strict=True)
    )
    pairs = [
        (here, there)
        for one, other in zip(ours, theirs, strict=True)
        for here, there in zip(one.results, other.results, strict=True)
        if not is_none(here.type)
    ]
    count = len(copy.results)
    expose(copy, [there for _, there in pairs])
    found = run_model(copy, inputs, "numpy")[count:]
    values = zip((here for here, _ in pairs), found, strict=True)
    return {**known, **dict(values)}


class Graph:
    """A model to cut, and what its values were in a run (none where nothing is run)."""

    def __init__(self, model: Model, values: Mapping[SSAValue, Any] | None):
        self.model = model
        self.values = values
        self.block = model.main.body.block
        self.ops = body_ops(model)
        self._order = {op: place for place, op in enumerate(self.ops)}
        self._users: dict[SSAValue, list[Operation]] = {}
        self._used: dict[Operation, list[SSAValue]] = {}
        for top in self.block.ops:
            taken = [value for op in top.walk() for value in op.operands]
            self._used[top] = [v for v in dict.fromkeys(taken) if self._is_outer(v)]
            for value in self._used[top]:
                self._users.setdefault(value, []).append(top)
        self._names: dict[SSAValue, str] = {
            argument: value.name
            for argument, value in zip(self.block.args, model.inputs, strict=True)
        }

    def _is_outer(self, value: SSAValue) -> bool:
        """Whether a value stands in ``@main`` itself, not in a region of an op."""
        if isinstance(value, BlockArgument):
            return value.owner is self.block
        return value.owner.parent is self.block

    def around(self, seeds: Sequence[Operation], steps: int) -> list[Operation]:
        """The ops at most `steps` edges away from `seeds`."""
        found = dict.fromkeys(seeds)
        edge = list(seeds)
        for _ in range(steps):
            near: list[Operation] = []
            for op in edge:
                owners = [value.owner for value in self._used[op]]
                near += [o for o in owners if isinstance(o, Operation)]
                near += [u for r in op.results for u in self._users.get(r, ())]
            edge = [op for op in near if op in self._order and op not in found]
            found.update(dict.fromkeys(edge))
        return sorted(found, key=self._order.__getitem__)

    def outputs(self, keep: Collection[Operation]) -> list[SSAValue]:
        """What others use of `keep`, and what nobody uses."""
        kept, results = set(keep), list[SSAValue]()
        for op in sorted(kept, key=self._order.__getitem__):
            for result in op.results:
                users = self._users.get(result, ())
                outside = not users or any(user not in kept for user in users)
                if outside and not is_none(result.type):
                    results.append(result)
        return results

    def cone(
        self, outputs: Collection[SSAValue], keep: Collection[Operation]
    ) -> list[Operation]:
        """The ops of `keep` that `outputs` need."""
        kept, found = set(keep), dict[Operation, None]()
        waiting = [value.owner for value in outputs]
        while waiting:
            op = waiting.pop()
            if isinstance(op, Operation) and op in kept and op not in found:
                found[op] = None
                waiting += [value.owner for value in self._used[op]]
        return sorted(found, key=self._order.__getitem__)

    def closed(self, keep: Collection[Operation]) -> list[Operation]:
        """`keep` and the producers of what it uses that can be no input: sequences."""
        found, waiting = set(keep), list(keep)
        while waiting:
            for value in self._used[waiting.pop()]:
                owner = value.owner
                if owner in found or owner not in self._order:
                    continue
                if element_of(value.type) is None and isinstance(owner, Operation):
                    found.add(owner)
                    waiting.append(owner)
        return sorted(found, key=self._order.__getitem__)

    def cut(
        self,
        keep: Collection[Operation],
        outputs: Sequence[SSAValue] | None = None,
        frozen: Collection[SSAValue] = (),
    ) -> Case:
        """
        The model of the ops in `keep`; values in `frozen` become constants.

        Its outputs are `outputs`, by default all that others use.
        """
        kept = self.closed(keep)
        return _Cut(self, kept, frozen).case(outputs or self.outputs(kept))

    def used_by(self, op: Operation) -> list[SSAValue]:
        """The values of ``@main`` that `op` and the regions in it take."""
        return self._used[op]

    def name_of(self, value: SSAValue) -> str | None:
        """The name of a value in the user's file, if it is known."""
        return self._names.get(value) or tensor_of(value)


class _Cut:
    def __init__(
        self, graph: Graph, kept: Sequence[Operation], frozen: Collection[SSAValue]
    ):
        self.graph, self.kept, self.frozen = graph, kept, frozen
        self.context = graph.model.context.clone()
        self.block = Block()
        self.mapped: dict[SSAValue, SSAValue] = {}
        self.inputs: dict[str, SSAValue] = {}
        self.taken: set[str] = set()

    def case(self, outputs: Sequence[SSAValue]) -> Case:
        for op in self.kept:
            for value in self.graph.used_by(op):
                if value not in self.mapped:
                    self._bring(value)
            self.block.add_op(op.clone(self.mapped))
        results = [self.mapped[value] for value in outputs]
        self.block.add_op(ReturnOp(*results))
        names = [self._name(value, "output") for value in outputs]
        types = [argument.type for argument in self.block.args]
        main = FuncOp(
            "main",
            FunctionType.from_lists(types, [value.type for value in results]),
            Region(self.block),
            arg_attrs=ArrayAttr(map(name_entry, self.inputs)) if types else None,
            res_attrs=ArrayAttr(map(name_entry, names)) if names else None,
        )
        attributes = dict(self.graph.model.module.attributes)
        model = Model(ModuleOp([main], attributes), self.context)
        values = self.graph.values
        if values is None:
            return Case(model, None)
        return Case(model, {name: values[v] for name, v in self.inputs.items()})

    def _bring(self, value: SSAValue) -> None:
        """Make `value`, which no kept op computes, stand in the block."""
        owner = value.owner
        if isinstance(owner, Operation) and owner.name in LEAVES:
            self.block.add_op(owner.clone(self.mapped))
            return
        if value in self.frozen and self.graph.values is not None:
            array: Array = self.graph.values[value]
            builder = OnnxBuilder(self.block.add_op, self.context.store)
            self.mapped[value] = builder.constant(array, value.name_hint or "constant")
            return
        argument = self.block.insert_arg(value.type, len(self.block.args))
        name = self._name(value, "input")
        argument.location = location(name)
        argument.name_hint = value.name_hint
        self.mapped[value] = argument
        self.inputs[name] = value

    def _name(self, value: SSAValue, word: str) -> str:
        name = base = self.graph.name_of(value) or word
        count = 0
        while name in self.taken:
            count += 1
            name = f"{base}_{count}"
        self.taken.add(name)
        return name
