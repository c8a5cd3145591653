"""Project directories: stages that run once, atomic writes, one writer at a time."""

from talkcli.project.stage import Stage, StageRun
from talkcli.project.store import Project, ProjectInput, cache_root, cached_project_root

__all__ = ["Project", "ProjectInput", "Stage", "StageRun", "cache_root", "cached_project_root"]
