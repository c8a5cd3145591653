"""Preparing recorded clips and fitting what ships in ``talkcli/data``."""
