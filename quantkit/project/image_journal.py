"""Where a project keeps what its images look like, so that no command decodes them again."""

from quantkit.journal import Journal
from quantkit.project.config import Project


def image_journal(project: Project) -> Journal:
    """Open the journal of thumbnails, one for all models of the project.

    It holds what can be made again, under the hash of each image file: it may be deleted.
    """
    return Journal(project.work_dir.parent / "thumbnails.jsonl", sync=False)
