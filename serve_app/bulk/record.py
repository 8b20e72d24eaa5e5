"""The job's own record in its folder: what it was asked to do, and how long each run took."""

import json
import time
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from deployments.errors import InvalidRequest
from serve_app.bulk.store import Store, place

FOLDER = "_job"
REQUEST = "_job/job.json"
PARTS = "_job/parts"
RUNS = "_job/runs"
NOTES = "_job/folders"
"""Holds a file for each folder beside `_job` that is the job's own, of the same name."""

TEMPORARY = "_job/tmp"
OUTPUTS = ("pages", "documents", "markdown", "images")
REPORTS = ("report.json", "report.txt")
"""The first is written last."""

Asked = dict[str, Any]
"""What the pages of a job depend on; two runs with the same can share their pages."""


def claim(
    store: Store, asked: Asked, exports: Iterable[str], sources: Iterable[str], *, overwrite: bool
) -> None:
    """Begin or go on with a job in its folder.

    Whatever is deleted is a job's own: its folders are noted before anything is written into them, and
    folders that were there before are refused.

    Args:
        store: the folder.
        asked: what is asked for now.
        exports: formats in which documents are written too, each into a folder of its name.
        sources: the manifest and the documents, which must not lie where results are.
        overwrite: whether to delete what another job left, or this one if it is finished, and begin anew.

    Raises:
        InvalidRequest: the folder has the results of something else, or what is to be read.
    """
    before = _earlier(store)
    finished = store.exists(REPORTS[0])
    if before is not None and before != asked and not overwrite:
        changed = sorted(name for name in {*before, *asked} if before.get(name) != asked.get(name))
        raise InvalidRequest(
            f"{store.uri} has the pages of another job: {', '.join(changed)} changed. "
            "Take another folder, or --overwrite to delete what is there.",
            "out",
        )
    noted = _noted(store) if before is not None else set()
    folders = {*OUTPUTS, *exports}
    for name in sorted(folders - noted):
        if store.exists(name):
            # Anybody's, of that name by chance.
            raise InvalidRequest(
                f"{store.uri} has a folder {name}, as this job would write, which is of no job that is "
                "recorded there. Take another folder.",
                "out",
            )
    _check_sources(store, folders | noted, sources)
    if overwrite and before is not None and (before != asked or finished):
        # In an order that can end anywhere: until the new request replaces the other one, which it does at
        # once, the same command goes on deleting. Parts without it would be taken for this job's.
        for name in (*sorted(noted), PARTS, RUNS):
            store.delete_folder(name)
        store.delete(name for name in REPORTS if store.exists(name))
        store.delete_folder(NOTES)
        before, noted = None, set()
    store.delete_folder(TEMPORARY)
    if before is None:
        store.write(REQUEST, json.dumps(asked, indent=1, sort_keys=True).encode())
    for name in sorted(folders - noted):
        store.write(f"{NOTES}/{name}", b"")


def _noted(store: Store) -> set[str]:
    """Return the folders that are a job's own."""
    return {name.rpartition("/")[2] for name in store.names(NOTES)}


def _check_sources(store: Store, folders: Iterable[str], sources: Iterable[str]) -> None:
    """Raise if something that is to be read lies where results are."""
    # Of a name within, so that the folder itself may be a link.
    places = tuple(place(f"{store.uri}/{name}/-")[:-1] for name in (*folders, FOLDER))
    for source in sources:
        if f"{place(source)}/".startswith(places):  # the manifest may be a folder itself
            raise InvalidRequest(
                f"{source} lies in a folder of the results of {store.uri}. Take another folder for them.",
                "out",
            )


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
        record = {"began": self.began, "seconds": self._saved, "gpus": self.gpus}
        self.store.write(f"{RUNS}/{self.number:06d}.json", json.dumps(record).encode())


def all_runs(store: Store) -> list[dict[str, Any]]:
    """Return the records of all runs, first to last."""
    return [json.loads(store.read(name)) for name in store.names(RUNS)]
