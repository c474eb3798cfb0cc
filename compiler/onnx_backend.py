"""
The backends as ONNX's own interface, so that anyone's runner can drive them.

``onnx.backend.test.BackendTest(NumpyBackend, __name__)`` runs the official suite.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, cast

import numpy as np
import onnx
from onnx import helper
from onnx.backend.base import Backend, BackendRep, Device, DeviceType

from ..dialects.errors import SardonyxError
from .driver import Executable, compile_model


class PreparedModel(BackendRep):
    """A compiled model as ONNX's runners call it."""

    def __init__(self, executable: Executable) -> None:
        self.executable = executable

    def run(self, inputs: Any, **kwargs: Any) -> tuple[Any, ...]:
        """
        The outputs as NumPy arrays (lists for sequences, None for an empty optional).

        `inputs` are arrays in the model's order, or a mapping from input names. Raises
        TypeError or ValueError, naming the input, for what the model does not take.
        """
        if kwargs:
            raise TypeError(f"found option {min(kwargs)!r}, wanted none")
        if isinstance(inputs, Mapping):
            by_name = cast(Mapping[str, Any], inputs)
            return tuple(map(_plain, self.executable(**by_name)))
        return tuple(map(_plain, self.executable(*inputs)))


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in cast(list[Any], value)]
    return value if value is None else np.asarray(value)


class SardonyxBackend(Backend):
    """What both backends share; `name` says which one compiles."""

    name: ClassVar[str]

    @classmethod
    def prepare(
        cls, model: onnx.ModelProto, device: str = "CPU", **kwargs: Any
    ) -> PreparedModel:
        """
        Compile `model`; `pipeline` (a level or a spec, ``O2``) may be given.

        Tolerances that a runner hands over (rtol, atol) are its own affair. Raises
        SardonyxError, naming the node, for a model that cannot be compiled.
        """
        if not cls.supports_device(device):
            raise SardonyxError(f"found device {device!r}, wanted 'CPU'")
        pipeline = kwargs.get("pipeline", "O2")
        if unknown := kwargs.keys() - {"pipeline", "rtol", "atol"}:
            raise TypeError(f"found option {min(unknown)!r}, wanted pipeline")
        return PreparedModel(compile_model(model, cls.name, pipeline))

    @classmethod
    def run_node(
        cls,
        node: onnx.NodeProto,
        inputs: Any,
        device: str = "CPU",
        outputs_info: Any = None,
        **kwargs: Any,
    ) -> tuple[Any, ...]:
        """
        The outputs of one node on `inputs`, in the order of its present inputs.

        `opset_version` is that of the node's domain, the newest if not given. What is
        expected (`outputs_info`) is not needed: types are inferred.
        """
        del outputs_info
        names = [name for name in node.input if name]
        if len(names) != len(inputs):
            raise ValueError(f"found {len(inputs)} inputs, wanted {len(names)}")
        opset = kwargs.pop("opset_version", None)
        model = _model_of(node, dict(zip(names, inputs, strict=True)), opset)
        return cls.prepare(model, device, **kwargs).run(inputs)

    @classmethod
    def supports_device(cls, device: str) -> bool:
        """Whether models run on `device`, ``"CPU"`` or ``"CUDA:1"``: on the CPU."""
        return Device(device).type == DeviceType.CPU


class NumpyBackend(SardonyxBackend):
    """Models as NumPy programs."""

    name = "numpy"


class JaxBackend(SardonyxBackend):
    """Models as JAX programs."""

    name = "jax"


def _model_of(
    node: onnx.NodeProto, inputs: Mapping[str, Any], opset: int | None
) -> onnx.ModelProto:
    """A model of one node, whose inputs have the types of these arrays."""
    entries = [
        helper.make_value_info(name, _type_of(value)) for name, value in inputs.items()
    ]
    outputs = [onnx.ValueInfoProto(name=name) for name in node.output if name]
    graph = helper.make_graph([node], "node", entries, outputs)
    opsets = [helper.make_opsetid("", onnx.defs.onnx_opset_version())]
    if node.domain not in ("", "ai.onnx"):
        known = onnx.defs.get_schema(node.op_type, node.domain).since_version
        opsets.append(helper.make_opsetid(node.domain, opset or known))
    elif opset is not None:
        opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets)


def _type_of(value: Any) -> onnx.TypeProto:
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        items = cast(Sequence[Any], value)
        if not items:
            raise ValueError("found an empty sequence, wanted one whose type shows")
        element = _type_of(items[0])
        # The elements of a sequence may differ in shape.
        element.tensor_type.ClearField("shape")
        return helper.make_sequence_type_proto(element)
    array = np.asarray(value)
    kind = np.dtype(object) if array.dtype.kind in "US" else array.dtype
    number = helper.np_dtype_to_tensor_dtype(kind)
    return helper.make_tensor_type_proto(number, array.shape)
