"""What ops mean on arrays (`kernels`), and the emitters that write programs of them."""
