"""The job's own record in its folder: what it was asked to do, and how long each run took."""

import json
import time
from dataclasses import dataclass
from typing import Any

from deployments.errors import InvalidRequest
from serve_app.bulk.store import Store

FOLDER = "_job"
REQUEST = "_job/job.json"
RUNS = "_job/runs"
TEMPORARY = "_job/tmp"
OUTPUTS = ("pages", "documents", "markdown", "images")
REPORTS = ("report.json", "report.txt")

Asked = dict[str, Any]
"""What the pages of a job depend on; two runs with the same can share their pages."""


def claim(store: Store, asked: Asked, *, overwrite: bool) -> None:
    """Begin or go on with a job in its folder.

    Args:
        store: the folder.
        asked: what is asked for now.
        overwrite: whether to delete what another job left, and begin anew.

    Raises:
        InvalidRequest: the folder has the results of something else.
    """
    before = _earlier(store)
    if before is not None and before != asked:
        if not overwrite:
            changed = sorted(name for name in {*before, *asked} if before.get(name) != asked.get(name))
            raise InvalidRequest(
                f"{store.uri} has the pages of another job: {', '.join(changed)} changed. "
                "Take another folder, or --overwrite to delete what is there.",
                "out",
            )
    elif before is None and not overwrite and any(store.exists(name) for name in OUTPUTS):
        raise InvalidRequest(
            f"{store.uri} has results, but no record of the job that wrote them. "
            "Take another folder, or --overwrite to delete what is there.",
            "out",
        )
    if overwrite:
        for name in (FOLDER, *OUTPUTS):
            store.delete_folder(name)
        store.delete(name for name in REPORTS if store.exists(name))
        before = None
    store.delete_folder(TEMPORARY)
    if before is None:
        store.write(REQUEST, json.dumps(asked, indent=1, sort_keys=True).encode())


def _earlier(store: Store) -> Asked | None:
    try:
        found: Asked = json.loads(store.read(REQUEST))
    except FileNotFoundError:
        return None
    return found


@dataclass(slots=True)
class Run:
    """One run of a job; its record is renewed as it goes, so that a run that is killed counts too.

    Attributes:
        number: from 1.
        pages: read in this run.
    """

    store: Store
    number: int
    began: float
    gpus: int
    pages: int = 0
    _saved: float = 0.0

    SAVED_EVERY_S = 5.0

    @classmethod
    def begin(cls, store: Store, gpus: int) -> "Run":
        """Begin the next run."""
        number = 1 + max((int(name[-11:-5]) for name in store.names(RUNS)), default=0)
        run = cls(store, number, time.time(), gpus)
        run.save()
        return run

    @property
    def seconds(self) -> float:
        """Since it began."""
        return time.time() - self.began

    def add(self, pages: int) -> None:
        """Count pages that were read, and save now and then."""
        self.pages += pages
        if self.seconds - self._saved > self.SAVED_EVERY_S:
            self.save()

    def save(self) -> None:
        """Write the record."""
        self._saved = self.seconds
        record = {"began": self.began, "seconds": self._saved, "pages": self.pages, "gpus": self.gpus}
        self.store.write(f"{RUNS}/{self.number:06d}.json", json.dumps(record).encode())


def all_runs(store: Store) -> list[dict[str, Any]]:
    """Return the records of all runs, first to last."""
    return [json.loads(store.read(name)) for name in store.names(RUNS)]
