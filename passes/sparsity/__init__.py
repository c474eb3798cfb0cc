"""Pruning, the search for groups that lose little, and products without zeros."""
