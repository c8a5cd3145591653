"""How numba kernels are compiled, vectorised and spread over threads."""
