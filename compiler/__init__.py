"""Compile ONNX models."""
