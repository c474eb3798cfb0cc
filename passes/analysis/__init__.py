"""
Analyses: what can be said of the IR by looking at it. They return values.

`storage` has sizes in bytes, `cost` the work of an op, `liveness` which values are held
when. Amounts are `Dim` polynomials, so that they stay exact where sizes are symbols; an
amount that is not known is None, never 0.
"""
