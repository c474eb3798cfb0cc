"""What quantization and sparsity share: plans of passes, and what became of layers."""
