"""Stages of a project, which run once and are reused afterwards."""
