"""Passes that order ops, and that say where their results lie in memory."""
