"""Weights and tables: which ones there are, and where they lie."""
