"""
Sharding: a plan annotates some values, propagation the rest, partition makes the
program of each device.

`rules` says which dimensions of an operator's tensors go together, `layouts` how values
lie on the mesh, `reshard` how they are moved, `traffic` what that sends.
"""
