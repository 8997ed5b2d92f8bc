"""A project file, and the steps that lead from it to a table of results.

Example:
    >>> from pathlib import Path
    >>> from quantkit.project import find_project
    >>> find_project(Path("/")) is None
    True
"""

from quantkit.project.config import DataPaths, Project, find_project, load_project

__all__ = ["DataPaths", "Project", "find_project", "load_project"]
