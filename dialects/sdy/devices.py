"""
Where the IR keeps what ONNX's multi-device protos say beside meshes and shardings.

The importer reads these from the protos, the exporter writes them back.
"""

CONFIGURATIONS = "onnx.device_configurations"
"""On the module: each configuration's name, number of devices, and devices' names."""

STAGE = "sdy.pipeline_stage"
"""On an op: the stage of a pipeline in which its node is."""

OPERANDS = "sdy.operand_shardings"
"""
On an op, an entry for each operand: how its node wants it, where that is not how the
value lies; else unit.
"""

AXES = "sardonyx.mesh"
"""Among an exported model's metadata: the axes of its mesh, ``x=2,y=4``."""
