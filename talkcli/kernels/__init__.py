"""Compiling numba kernels, vectorising them, and running them on threads."""
