"""Stages of a project: run once, reused afterwards."""
