"""What every kernel promises the emitters: its parameters and their defaults."""

import inspect
from typing import Any

import pytest
from onnx import helper
from sardonyx.backends.jax.kernels import KERNELS as JAX
from sardonyx.backends.kernels import KERNELS, STATIC
from sardonyx.backends.numpy.kernels import KERNELS as NUMPY
from sardonyx.dialects import fourier, nhwc, sparse
from sardonyx.dialects.onnx.blocks import BLOCK
from sardonyx.dialects.onnx.ops import OPS as ONNX
from sardonyx.dialects.onnx.proto import ELEMENT_NAMES

OPS = {**ONNX, **fourier.OPS, **nhwc.OPS, **sparse.OPS}
DTYPE_ATTRIBUTES = ("to", "dtype", "output_dtype", "output_datatype")
TABLES = {"shared": KERNELS, "jax": JAX, "numpy": NUMPY}
EVERY = [(table, name) for table, kernels in TABLES.items() for name in sorted(kernels)]


def parameters(table: str, name: str) -> dict[str, inspect.Parameter]:
    return dict(inspect.signature(TABLES[table][name]).parameters)


def schema_default(attribute: Any) -> Any:
    """The default that ONNX gives `attribute`, as kernels get it; None without one."""
    if not attribute.default_value.name:
        return None
    value = helper.get_attribute_value(attribute.default_value)
    if attribute.name in DTYPE_ATTRIBUTES:
        return ELEMENT_NAMES[value] if value else None
    if isinstance(value, list):
        return tuple(v.decode() if isinstance(v, bytes) else v for v in value)
    return value.decode() if isinstance(value, bytes) else value


@pytest.mark.parametrize(("table", "name"), EVERY)
def test_takes_every_attribute(table: str, name: str):
    """Each attribute is a parameter with the schema's default."""
    schema = OPS[name].schema()
    taken = parameters(table, name)
    for attribute in schema.attributes.values():
        assert attribute.name in taken, f"{name} takes no {attribute.name}"
        found = taken[attribute.name].default
        if attribute.required:
            continue
        if attribute.name in DTYPE_ATTRIBUTES:
            assert (found or None) == schema_default(attribute), attribute.name
        else:
            wanted = schema_default(attribute)
            assert found == wanted or found == pytest.approx(wanted), attribute.name


@pytest.mark.parametrize(("table", "name"), EVERY)
def test_takes_every_operand(table: str, name: str):
    """`xp`, one parameter per operand, the attributes, `outputs`: nothing else."""
    schema = OPS[name].schema()
    first, *others = parameters(table, name).values()
    assert first.name == "xp"
    if table == "numpy" and others[-1].name == "out":
        # Where to write the result, if it has a place.
        assert others.pop().default is None
    # What an import notes at a convolution in blocks is no attribute of the operator.
    noted = {BLOCK} if name == "microsoft_nchwc.Conv" else set[str]()
    known = {*schema.attributes, *noted, "outputs"}
    operands = [p for p in others if p.name not in known]
    # An operand may bear the name of an attribute that is not its own.
    assert len(operands) == len(schema.inputs), [p.name for p in operands]
    for operand, declared in zip(operands, schema.inputs, strict=True):
        variadic = declared.option.name == "Variadic"
        assert (operand.kind is operand.VAR_POSITIONAL) == variadic, operand.name
        if declared.option.name == "Optional":
            assert operand.default is None, operand.name


@pytest.mark.parametrize(("table", "name"), EVERY)
def test_takes_outputs(table: str, name: str):
    """Only a kernel of several, optional or variadic outputs says which are wanted."""
    outputs = OPS[name].schema().outputs
    several = len(outputs) > 1 or any(o.option.name != "Single" for o in outputs)
    assert ("outputs" in parameters(table, name)) == several


def test_static_operands_exist():
    for name, operands in STATIC.items():
        schema = OPS[name].schema()
        assert max(operands) < len(schema.inputs), name


def test_replaces_only_shared_kernels():
    assert JAX.keys() <= KERNELS.keys()
    assert NUMPY.keys() <= KERNELS.keys()
