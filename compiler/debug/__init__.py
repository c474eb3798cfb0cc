"""What shows a user what the passes did: instruments, why, diff."""
