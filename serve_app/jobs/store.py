"""A job's folder.

    ID/job.json                the record; a folder without it is a submission that never became a job
    ID/document                the bytes as they were sent
    ID/pages/000007.done.json  a page that was read, with its figures
    ID/pages/000008.failed.json

Every file is written whole or not at all. A page's file is what makes it ended: a job that goes on
after a restart reads the pages that have none, and no other. Names are made of ids and numbers that
this program made; nothing that a user sends becomes part of a path.
"""

import contextlib
import logging
import re
from collections.abc import Iterator
from pathlib import Path

from pyarrow import fs
from pydantic import ValidationError

from serve_app.bulk.store import Store
from serve_app.jobs.models import JobRecord, StoredPage, is_id

logger = logging.getLogger(__name__)

_PAGE = re.compile(r"([0-9]{6,})\.(done|failed)\.json")


class JobStore:
    """The folder of all jobs. Travels to workers; safe to use from several threads.

    Args:
        uri: a local path, `s3://bucket/prefix` or `gs://bucket/prefix`.

    Raises:
        InvalidRequest: a scheme that is not known.
    """

    def __init__(self, uri: str) -> None:
        self.files = Store(uri if "://" in uri else str(Path(uri).expanduser()))

    def create(self, record: JobRecord, document: bytes) -> None:
        """Store a new job; it exists once its record does, and leaves nothing where it can't be stored."""
        try:
            self.files.write(f"{record.id}/document", document)
            self.save(record)
        except OSError:
            with contextlib.suppress(OSError):
                self.files.delete_folder(record.id)
            raise

    def save(self, record: JobRecord) -> None:
        """Store a job's record."""
        self.files.write(f"{record.id}/job.json", record.model_dump_json(exclude_unset=True).encode())

    def ids(self) -> list[str]:
        """Return the ids of all folders of jobs, whole or not."""
        selector = fs.FileSelector(self.files.path("").rstrip("/"), allow_not_found=True)
        found = self.files.filesystem.get_file_info(selector)
        names = (info.base_name for info in found if info.type is fs.FileType.Directory)
        return sorted(name for name in names if is_id(name))

    def record(self, id_: str) -> JobRecord | None:
        """Return a job's record, or None where there is none that can be read."""
        try:
            return JobRecord.model_validate_json(self.files.read(f"{id_}/job.json"))
        except FileNotFoundError:
            return None
        except ValidationError:
            logger.exception("the record of job %s can't be read; it is left alone", id_)
            return None

    def is_abandoned(self, id_: str) -> bool:
        """Whether a folder has no record at all."""
        return not self.files.exists(f"{id_}/job.json")

    def document(self, id_: str) -> bytes:
        """Return a job's document.

        Raises:
            FileNotFoundError: it is gone.
        """
        return self.files.read(f"{id_}/document")

    def ended_pages(self, id_: str) -> dict[int, bool]:
        """Return each ended page's number, and whether it was read."""
        names = (name.rpartition("/")[2] for name in self.files.names(f"{id_}/pages"))
        matches = filter(None, map(_PAGE.fullmatch, names))
        return {int(match[1]): match[2] == "done" for match in matches}

    def write_page(self, id_: str, page: StoredPage) -> None:
        """Store a page that ended."""
        name = _page_name(id_, page.index, read=page.result is not None)
        self.files.write(name, page.model_dump_json(exclude_unset=True).encode())

    def page(self, id_: str, index: int, *, read: bool) -> StoredPage:
        """Return a page that ended.

        Raises:
            FileNotFoundError: it is gone.
        """
        return StoredPage.model_validate_json(self.files.read(_page_name(id_, index, read=read)))

    def pages(self, id_: str, indices: list[int]) -> Iterator[StoredPage]:
        """Yield those of the pages that ended, in the order given, one at a time."""
        ended = self.ended_pages(id_)
        for index in indices:
            if index in ended:
                yield self.page(id_, index, read=ended[index])

    def delete_contents(self, id_: str) -> None:
        """Delete a job's document and pages; the record stays."""
        self.files.delete_folder(f"{id_}/pages")
        if self.files.exists(f"{id_}/document"):
            self.files.delete([f"{id_}/document"])

    def delete(self, id_: str) -> None:
        """Delete a job; the record goes first, so that no half of it comes back."""
        if self.files.exists(f"{id_}/job.json"):
            self.files.delete([f"{id_}/job.json"])
        self.files.delete_folder(id_)


def _page_name(id_: str, index: int, *, read: bool) -> str:
    return f"{id_}/pages/{index:06d}.{'done' if read else 'failed'}.json"
