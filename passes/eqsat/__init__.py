"""
Equality saturation: what equals what, kept side by side, and the cheapest taken.

`graph` holds the equal values of a function, `region` reads it from a function and
writes a program back, `saturation` applies rules until nothing new comes, `costs` says
what an op takes, `problem` what a program is, and `greedy` and `integer` choose one.
"""
