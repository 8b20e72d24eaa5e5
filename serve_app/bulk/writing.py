"""Writing finished pages down, a part file at a time."""

import asyncio
import uuid

import ray
from ray.exceptions import RayError

from serve_app.bulk import stages
from serve_app.bulk.engines import Fault
from serve_app.bulk.journal import part_name, read_part, written_by
from serve_app.bulk.plan import Reading
from serve_app.bulk.rows import EngineLabel
from serve_app.bulk.stages import ReadPage

REMEMBERED_PARTS = 256
"""Part files that a restarted actor looks into for pages of the groups it had."""


class PageWriter:
    """Gathers finished pages, of any group, and has them written a part file at a time.

    Args:
        plan: how often, and where to.
        label: what the pages were read with.
        name: of the actor; part of its files' names.
    """

    def __init__(self, plan: Reading, label: EngineLabel, name: str) -> None:
        self._plan = plan
        self._label = label
        self._name = name
        self._waiting: list[tuple[ReadPage, asyncio.Future[str]]] = []
        self._timer: asyncio.TimerHandle | None = None
        self._writes: set[asyncio.Task[None]] = set()
        # Reserves no CPU: otherwise it could wait for tasks that wait for it.
        self._write = ray.remote(stages.write).options(num_cpus=0, max_retries=3, retry_exceptions=[OSError])

    async def write(self, page: ReadPage) -> str:
        """Return the status of a page's row once it is in a file.

        Raises:
            Fault: the output can't be written.
        """
        loop = asyncio.get_running_loop()
        done: asyncio.Future[str] = loop.create_future()
        self._waiting.append((page, done))
        if len(self._waiting) >= self._plan.group_pages:
            self._flush()
        elif self._timer is None:
            self._timer = loop.call_later(self._plan.flush_s, self._flush)
        return await done

    def _flush(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._waiting:
            batch, self._waiting = self._waiting, []
            task = asyncio.get_running_loop().create_task(self._written(batch))
            self._writes.add(task)
            task.add_done_callback(self._writes.discard)

    async def _written(self, batch: list[tuple[ReadPage, "asyncio.Future[str]"]]) -> None:
        pages = [page for page, _ in batch]
        name = part_name(
            self._plan.run, self._name, f"{asyncio.get_running_loop().time():017.6f}-{uuid.uuid4().hex[:8]}"
        )
        try:
            statuses = await self._write.remote(self._plan.store, name, pages, self._label, self._plan.images)
        except RayError as error:
            fault = Fault(f"The output can't be written: {error}")
            for _, done in batch:
                if not done.done():
                    done.set_exception(fault)
            return
        for (_, done), status in zip(batch, statuses, strict=True):
            if not done.done():
                done.set_result(status)


def already_written(plan: Reading, writer: str) -> dict[str, str]:
    """Return the status of each page that this actor wrote before it was killed and started again."""
    names = written_by(plan.store, plan.run, writer)
    return {
        row["page_id"]: row["status"]
        for name in names[-REMEMBERED_PARTS:]
        for row in read_part(plan.store, name, ["page_id", "status"]).to_pylist()
    }
