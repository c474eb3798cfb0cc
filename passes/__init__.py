"""Passes: each rewrites the IR into IR of the same meaning."""
