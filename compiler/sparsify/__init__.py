"""What `sardonyx sparsify` does: its plans of passes, and what became of each layer."""
