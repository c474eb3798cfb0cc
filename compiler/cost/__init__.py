"""
What a program takes on this machine: measured, reckoned by a roofline, and learned.

Looks at IR and returns numbers and pipeline specs; never edits IR. The modules, in the
order in which they use each other: `facts` (what is known of an op), `rates` and
`calibrate` (what the machine does), `roofline`, `features`, `trees` and `learned` (the
residual), `tokens` and `sequence` (the network over the IR's text), `dataset`,
`search` and `tune`.
"""
