"""Reads a function into an e-graph, and writes what was chosen back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from xdsl.dialects.func import FuncOp, ReturnOp
from xdsl.ir import Block, Operation, SSAValue
from xdsl.rewriter import Rewriter
from xdsl.traits import is_side_effect_free

from ...dialects.onnx import WeightAttr, WeightStore
from ...dialects.onnx.integers import IntegerValues
from ...dialects.onnx.proto import refine
from ...dialects.onnx.provenance import fused
from ..analysis.storage import CONSTANTS
from ..specialize_dims import infer_again, update_function_type
from .costs import Machine
from .graph import EGraph, GraphIntegers, is_node
from .problem import Node, Problem


class Region:
    """A function's block, and the graph of its values."""

    def __init__(self, function: FuncOp, store: WeightStore):
        self.function = function
        self.block: Block = function.body.block
        self.graph = EGraph(store)
        self.values: dict[SSAValue, SSAValue] = {}
        """What stands in the graph for each value of the function."""
        self.copies: list[tuple[Operation, Operation]] = []
        """The ops of the function, and what they became when they were read."""
        self.returned: list[SSAValue] = []
        self.effects: list[SSAValue] = []
        """What ops give that are no pure functions: these ops stay."""
        for argument in self.block.args:
            self.values[argument] = self.graph.argument(argument.type)
        for op in self.block.ops:
            if isinstance(op, ReturnOp):
                self.returned = [self.values[v] for v in op.arguments]
                break
            copy = op.clone(self.values)
            came = self.graph.add(copy)
            self.values.update(zip(op.results, came, strict=True))
            self.copies.append((op, copy))
            if not is_node(op) and not is_side_effect_free(op):
                self.effects += came
        self.graph.wanted = self.roots

    @property
    def roots(self) -> list[SSAValue]:
        """What is needed in the end."""
        return [*self.returned, *self.effects]


@dataclass(frozen=True)
class Choice:
    """A problem of extraction, and the ops and classes that its numbers stand for."""

    problem: Problem
    ops: tuple[Operation | None, ...]
    """The op of each node; None for an argument."""
    classes: tuple[SSAValue, ...]
    before: float
    """Seconds of the function as it was read, where equal ops count each."""


class _Numbering:
    """Numbers the classes that are needed and the nodes that give them."""

    def __init__(self, graph: EGraph, seconds: Callable[[Operation], float]):
        self.graph = graph
        self.seconds = seconds
        self.classes: dict[SSAValue, int] = {}
        self.ops: dict[Operation, int] = {}
        self.nodes: list[Node] = []
        self.start: dict[int, int] = {}

    def number(self, value: SSAValue) -> int:
        root = self.graph.find(value)
        return self.classes.setdefault(root, len(self.classes))

    def argument(self, value: SSAValue) -> None:
        one = self.number(value)
        self.start[one] = len(self.nodes)
        self.nodes.append(Node(0.0, (one,), ()))

    def reach(self, roots: Iterable[SSAValue]) -> None:
        waiting = list(roots)
        seen: set[SSAValue] = set()
        while waiting:
            root = self.graph.find(waiting.pop())
            if root in seen:
                continue
            seen.add(root)
            for op in self.graph.givers(root):
                if op not in self.ops:
                    self.ops[op] = len(self.nodes)
                    self.nodes.append(self.node(op))
                    waiting += self.graph.needs(op)

    def node(self, op: Operation) -> Node:
        needs = dict.fromkeys(map(self.number, self.graph.needs(op)))
        # What equals an operand is given by what gives that.
        gives = dict.fromkeys(map(self.number, op.results))
        gives = [one for one in gives if one not in needs]
        return Node(self.seconds(op), tuple(gives), tuple(needs))


def choice_of(region: Region, machine: Machine) -> Choice:
    """What extraction chooses from."""
    graph, integers = region.graph, GraphIntegers(region.graph.store)
    numbering = _Numbering(graph, lambda op: machine.seconds(op, integers))
    for argument in region.block.args:
        numbering.argument(region.values[argument])
    arguments = len(numbering.nodes)
    numbering.reach(region.roots)
    before = 0.0
    for _, copy in region.copies:
        op = graph.node(copy)
        before += machine.seconds(op, integers)
        # What came first gives a class: it needs only what came before it.
        if op in numbering.ops:
            for one in numbering.nodes[numbering.ops[op]].gives:
                numbering.start.setdefault(one, numbering.ops[op])
    roots = dict.fromkeys(map(numbering.number, region.roots))
    return Choice(
        Problem(tuple(numbering.nodes), tuple(roots), numbering.start),
        (*(None for _ in range(arguments)), *numbering.ops),
        tuple(numbering.classes),
        before,
    )


class Rewriting:
    """Writes a selection in place of a function's ops."""

    def __init__(self, region: Region, choice: Choice, selection: Mapping[int, int]):
        self.region = region
        self.choice = choice
        self.used = choice.problem.used(selection)
        chosen = {choice.ops[number] for number in self.used.values()}
        self.gone = [
            (op, copy)
            for op, copy in region.copies
            if copy not in chosen and op.name not in CONSTANTS
        ]
        """The ops of the function that are written no more, and their copies."""
        self.new: list[Operation] = []
        """The ops that rules wrote."""
        self.returned: list[SSAValue] = []
        self.originals: dict[SSAValue, Operation] = {}
        """By class, the last op of the function that gave it."""
        self.hints: dict[SSAValue, str | None] = {}
        for op, _ in region.copies:
            for result in op.results:
                root = region.graph.find(region.values[result])
                self.originals[root] = op
                self.hints.setdefault(root, result.name_hint)

    def made(self) -> list[Operation]:
        """The ops to write, each behind what it needs, near the order that was."""
        problem = self.choice.problem
        starts = [one for one in problem.start if one in self.used]
        order = replace(problem, roots=(*starts, *problem.roots)).order(self.used)
        assert order is not None, "a selection has no cycle"
        graph, region = self.region.graph, self.region
        stands: dict[SSAValue, SSAValue] = {
            graph.find(region.values[argument]): argument
            for argument in region.block.args
        }
        made: list[Operation] = []
        for number in order:
            op = self.choice.ops[number]
            if op is not None:
                made.append(self.copy(op, number, stands))
        self.returned = [stands[graph.find(value)] for value in region.returned]
        return made

    def rules(self, united: Iterable[tuple[SSAValue, str]]) -> list[str]:
        """The rules that wrote what is new, or made equal what is written no more."""
        graph = self.region.graph
        nodes = (self.choice.ops[number] for number in self.used.values())
        names = {graph.rules.get(op, "") for op in nodes if op is not None} - {""}
        gone = {graph.find(r) for _, copy in self.gone for r in copy.results}
        names |= {rule for value, rule in united if graph.find(value) in gone}
        return sorted(names)

    def copy(
        self, op: Operation, number: int, stands: dict[SSAValue, SSAValue]
    ) -> Operation:
        """Write a node on what stands for its operands."""
        graph = self.region.graph
        roots = [graph.find(result) for result in op.results]
        kept = {root: stands[root] for root in roots if root in stands}
        made = op.clone(stands)
        for root, result in zip(roots, list(made.results), strict=True):
            kind = refine(root.type, result.type)
            if kind != result.type:
                result = Rewriter.replace_value_with_new_type(result, kind)
            stands[root] = result
            if op in graph.rules:
                result.name_hint = self.hints.get(root) or result.name_hint
        if op in graph.rules:
            below = [self.originals[root] for root in roots if root in self.originals]
            made.location = fused([op, *below])
            self.new.append(made)
        stands.update(kept)
        return made

    def write(self, made: Sequence[Operation], store: WeightStore) -> None:
        """Let `made` stand in the function, and its weights in `store`."""
        block, last = self.region.block, self.region.block.last_op
        assert last is not None, "a function ends with a return"
        for op in made:
            for held in op.properties.values():
                if isinstance(held, WeightAttr):
                    self.keep(held.data, store)
            block.insert_op_before(op, last)
        last.operands = self.returned
        for op, _ in reversed(self.region.copies):
            Rewriter.erase_op(op)
        integers = IntegerValues(store)
        for op in made:
            infer_again(op, integers)
        update_function_type(self.region.function)

    def keep(self, key: str, store: WeightStore) -> None:
        """Let a weight that a rule or folding made be in `store`."""
        weights = self.region.graph.store
        if key not in store and key in weights:
            store.add(key, weights[key])
