"""Project directories, with stages that run once, atomic writes and one writer at a time."""

from talkcli.project.stage import Stage, StageRun
from talkcli.project.store import Project, ProjectInput, cached_project_root

__all__ = ["Project", "ProjectInput", "Stage", "StageRun", "cached_project_root"]
