"""What an actor needs to know to read pages."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from deployments.model.engine import Engine
from deployments.model.ladder import LadderSettings
from deployments.preprocess.preparation import Preparation
from serve_app.bulk.store import Store


@dataclass(frozen=True, slots=True)
class Reading:
    """How an actor reads.

    Attributes:
        create: makes its engine.
        ledger: handle of the job's `serve_app.bulk.quarantine.Ledger`.
        preparation: how pages are prepared.
        ladder: attempts at a page.
        store: the job's folder.
        run: the run's number.
        images: whether figures are cut out and written.
        group_pages: pages of a part file.
        pages_in_flight: pages that the engine has at once.
        preparing: segments that are prepared at once.
        prepare_cpus: that a preparing task reserves.
        flush_s: longest wait of a finished page for others to be written with.
        page_timeout_s: longest time in the engine, all attempts counted.
        stall_timeout_s: an engine on which no page gets on for so long counts as dead.
    """

    create: Callable[[], Engine]
    ledger: Any
    preparation: Preparation
    ladder: LadderSettings
    store: Store
    run: int
    images: bool
    group_pages: int
    pages_in_flight: int
    preparing: int
    prepare_cpus: float
    flush_s: float
    page_timeout_s: float
    stall_timeout_s: float
