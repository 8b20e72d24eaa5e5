"""The Ray Data pipeline: documents → groups of pages → actors that read them.

A block holds one group, so that blocks neither starve an engine nor hold much memory: pixels never
travel in blocks. A lost block loses nothing but time; `serve_app.bulk.job` finds what is missing.
"""

import logging
import pickle
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any

import pyarrow as pa
import ray
from ray.data import ActorPoolStrategy, DataContext
from ray.exceptions import RayError

from deployments.errors import StageLost
from deployments.preprocess.preparation import Preparation
from serve_app.bulk.pages import Segment, Wanted, groups, segments
from serve_app.bulk.plan import Reading
from serve_app.bulk.progress import Progressed
from serve_app.bulk.reading import ReadGroups

logger = logging.getLogger(__name__)

DOCUMENTS_PER_BLOCK = 64
"""Documents that one task looks into, in a large job."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How large the pipeline is.

    Attributes:
        actors: engines.
        actor_cpus: CPUs that each reserves.
        actor_gpus: GPUs of each.
        groups_per_actor: that each has in hand.
        expand_cpus: that a task reserves that looks into documents.
        max_lost_blocks: blocks that may be lost to dying workers before the pipeline stops.
    """

    actors: int
    actor_cpus: float
    actor_gpus: float
    groups_per_actor: int
    expand_cpus: float
    max_lost_blocks: int


def read_documents(
    documents: Iterable[Wanted], per_block: int, plan: Reading, scale: Scale
) -> Generator[Progressed, None, None]:
    """Read documents, and yield as their pages are written. Closing the iterator stops the work.

    Raises:
        RayError: more blocks were lost than allowed, or an actor can't be started.
    """
    # Ray's annotations leave no room for a function's further arguments.
    expand: Any = _expand
    with _context(scale):
        dataset = (
            ray.data.from_blocks(list(_blocks(documents, per_block)))
            .map_batches(
                expand,
                batch_size=None,
                num_cpus=scale.expand_cpus,
                fn_args=(look_into, plan.preparation, plan.group_pages),
            )
            .map_batches(
                ReadGroups,
                fn_constructor_args=(plan,),
                batch_size=1,
                num_cpus=scale.actor_cpus,
                num_gpus=scale.actor_gpus,
                compute=ActorPoolStrategy(
                    size=scale.actors,
                    max_concurrent_calls_per_actor=scale.groups_per_actor,
                    max_tasks_in_flight_per_actor=scale.groups_per_actor,
                    enable_true_multi_threading=True,
                ),
            )
        )
        for batch in dataset.iter_batches(batch_size=None, prefetch_batches=0):
            counts = ("pages", "failed", "opened", "opened_pages")
            fault = next((text for text in batch["fault"].tolist() if text), "")
            yield Progressed(**{name: int(batch[name].sum()) for name in counts}, fault=fault)


def look_into(documents: list[Wanted], spec: Preparation, group_pages: int) -> Iterator[list[Segment]]:
    """Yield the segments of each document, in order."""
    for document in documents:
        yield segments(document, spec.limits, group_pages, spec.inspect)


def _expand(batch: Any, look: Any, spec: Preparation, group_pages: int) -> Iterator[Any]:
    """Look into blocks of documents, and yield groups of their pages."""
    for block in batch["documents"]:
        documents = pickle.loads(block)  # noqa: S301 - the driver's own bytes
        for group in groups(_segments(documents, look, spec, group_pages), group_pages):
            yield {"group": [pickle.dumps(group)]}


def _segments(documents: list[Wanted], look: Any, spec: Preparation, group_pages: int) -> Iterator[Segment]:
    """Yield the segments of documents, looked into by a process that may die of one.

    Ray Data repeats a task of its own whose process dies without end. Here it is repeated once, then each
    document left has a process to itself, and the one that still kills it has failed.
    """
    # The caller's CPU is reserved for it, and waits.
    task: Any = ray.remote(look).options(num_cpus=0, num_returns="streaming", max_retries=1)
    left = list(documents)
    try:
        for reference in task.remote(documents, spec, group_pages):
            yield from ray.get(reference)
            del left[0]
    except RayError as error:
        logger.warning("looking into %d documents failed: %s", len(left), error)
    for document in left:
        try:
            for reference in task.remote([document], spec, group_pages):
                yield from ray.get(reference)
        except RayError as error:
            logger.warning("%s can't be looked into: %s", document.doc_id, error)
            loss = StageLost("The process that opened this document died each time; the log has the cause.")
            yield Segment(document.doc_id, document.uri, document.request, (), 0, error=loss)


def _blocks(documents: Iterable[Wanted], per_block: int) -> Iterator[pa.Table]:
    source = iter(documents)
    while block := list(islice(source, per_block)):
        yield pa.table({"documents": [pickle.dumps(block)]})


@contextmanager
def _context(scale: Scale) -> Iterator[None]:
    """Set what Ray Data has as settings of the process, for the datasets made within."""
    # It reports each dataset's start and end, and what was switched off.
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = DataContext.get_current().copy()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    # The least that Ray Data accepts: each group becomes a block of its own.
    context.target_max_block_size = 1
    context.max_errored_blocks = scale.max_lost_blocks
    with DataContext.current(context):
        yield
