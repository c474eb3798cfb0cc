"""The dialects of sardonyx: structure, types and verification of the IR."""
