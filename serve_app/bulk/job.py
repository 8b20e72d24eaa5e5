"""A bulk job from end to end: check, read what is left, write the output, report.

It may be killed at any moment. What is in a part file is done; the rest is found by comparing the part
files with the manifest, when the job is run again and at the end of each pass over the documents.
"""

import itertools
import logging
import math
import os
import random
import signal
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import partial
from types import FrameType
from typing import Any, NoReturn

import pyarrow as pa
import ray
from ray.exceptions import RayError

from deployments.errors import OcrError, StageLost
from deployments.model.engine import Engine
from deployments.model.selection import EngineChoice, choose_engine, create_engine
from deployments.types import PageRequest
from serve_app.bulk import journal, record
from serve_app.bulk.cluster import pages_in_flight, scale_for
from serve_app.bulk.exporting import Exports
from serve_app.bulk.manifest import digest, numbered_rows, read_manifest
from serve_app.bulk.outputs import Layout, entries, write_outputs
from serve_app.bulk.pages import WHOLE_DOCUMENT, Wanted
from serve_app.bulk.pipeline import DOCUMENTS_PER_BLOCK, Scale, read_documents
from serve_app.bulk.plan import Reading
from serve_app.bulk.progress import Progress
from serve_app.bulk.quarantine import Ledger
from serve_app.bulk.report import make_report, write_report
from serve_app.bulk.rows import error_row
from serve_app.bulk.store import Store
from serve_app.cluster import cluster_resources, connected, is_given, silence_workers
from serve_app.formats import ResultFormat
from serve_app.settings import ScalingSettings, Settings
from serve_app.sizing import PREPROCESS_REPLICAS_PER_GPU, Resources, check_fits, engine_threads, sized

logger = logging.getLogger(__name__)

RESIDENT_WORKERS = 8
"""Processes of tasks that stay when idle: of a job on two cores, five are at work most of the time."""

PASSES = 3
"""Times that a job goes over what is left before it writes down the rest as lost."""


class JobFailed(OcrError):
    """The job can't go on; what was read is kept."""

    code = "job_failed"


@dataclass(frozen=True, slots=True)
class JobOptions:
    """What a job is asked to do.

    Attributes:
        manifest: path or URI of the manifest.
        out: path or URI of the folder for the results.
        request: how pages are read where the manifest says nothing else.
        images: whether figures are cut out and written.
        markdown: whether each document's Markdown is written as a file too.
        exports: formats in which each document is written as a file too.
        merge: whether those files have the pages put together.
        gpu_hour_price: for the report.
        retry_failed: whether pages and documents that failed or ran away are read again.
        overwrite: whether to delete what another job, or this one if it is finished, left in the folder.
    """

    manifest: str
    out: str
    request: PageRequest
    images: bool = False
    markdown: bool = False
    exports: tuple[str, ...] = ()
    merge: bool = False
    gpu_hour_price: float | None = None
    retry_failed: bool = False
    overwrite: bool = False


def run_job(
    options: JobOptions, settings: Settings, create: Callable[[], Engine] | None = None
) -> dict[str, Any]:
    """Run a job to its end.

    Args:
        options: what to do.
        settings: the whole tree.
        create: makes each actor's engine; None makes the one that the settings mean.

    Returns:
        The report, as it is written to `report.json`.

    Raises:
        InvalidRequest: the manifest is wrong, or the folder has another job's results.
        ConfigurationError: the engine can't run here.
        JobFailed: the job can't go on.
        JobIncomplete: the job's own check of its output failed.
    """
    manifest = read_manifest(options.manifest, options.request)
    try:
        return _run(options, settings, create, manifest)
    except OSError as error:
        raise JobFailed(f"{options.out} can't be read or written: {error}") from error


def _run(
    options: JobOptions, settings: Settings, create: Callable[[], Engine] | None, manifest: pa.Table
) -> dict[str, Any]:
    # Ray ends idle processes above one a CPU after a second; on a small machine a job's tasks would then
    # start one after another, at a second or two of CPU time each. Counts where this job starts Ray.
    os.environ.setdefault("RAY_num_workers_soft_limit", str(RESIDENT_WORKERS))
    with connected(), stopped_by_signals():
        resources = cluster_resources()
        choice = choose_engine(settings.model, resources.gpus)
        scaling = sized(settings.scaling, settings.model, choice.name, resources).model
        if create is None:
            if not is_given():
                check_fits(settings.scaling, settings.model, choice.name, resources)
            create = partial(create_engine, settings.model, choice.name, engine_threads(scaling))
        store = Store(options.out, record.TEMPORARY)
        sources = itertools.chain(
            [options.manifest], (row["uri"] for _, row in numbered_rows(manifest.select(["uri"])))
        )
        asked = _asked(options, settings, choice, manifest)
        record.claim(store, asked, options.exports, sources, overwrite=options.overwrite)
        scale = scale_for(settings, choice, scaling, resources)
        run = record.Run.begin(store, round(scale.actors * scale.actor_gpus))
        plan = _plan(options, settings, choice, scaling, scale, resources, store, run.number, create)
        try:
            _read_all(options, settings, manifest, plan, scale, run)
        finally:
            run.save()
        index = journal.read_index(store, manifest["doc_id"])
        exports = Exports(
            formats=tuple(map(ResultFormat, options.exports)),
            max_bytes=settings.limits.max_bytes,
            figures=options.images,
            merge=options.merge,
        )
        layout = Layout(settings.bulk.rows_per_file, options.markdown, options.images, exports)
        tally = write_outputs(store, entries(manifest, index, settings.limits), layout)
        report = make_report(tally, index.rows_of_pages, record.all_runs(store), options.gpu_hour_price)
        write_report(store, report)
        return report


@contextmanager
def stopped_by_signals() -> Iterator[None]:
    """Raise KeyboardInterrupt at Ctrl-C, and at SIGTERM, which `ray job stop` sends.

    Ray's own handler of SIGTERM would end without a word. What workers say from then on is of their own end,
    in which one that is closing a document may print a traceback: it stays in their logs.
    """

    def interrupt(number: int, frame: FrameType | None) -> NoReturn:
        silence_workers()
        raise KeyboardInterrupt

    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, interrupt) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler or signal.SIG_DFL)


def _asked(options: JobOptions, settings: Settings, choice: EngineChoice, manifest: pa.Table) -> record.Asked:
    """Return what the pages depend on."""
    request = options.request
    if choice.name == "vllm":
        parts = {
            "model",
            "revision",
            "load_format",
            "dtype",
            "quantization",
            "kv_cache_dtype",
            "max_model_len",
        }
        model = settings.model.vllm.model_dump(mode="json", include=parts)
    else:
        model = settings.model.embedded.model_dump(mode="json", exclude={"max_concurrent_pages"})
    return {
        "manifest": digest(manifest),
        "task": request.task.value,
        "prompt": request.prompt,
        "crop": request.crop,
        "dpi": request.dpi,
        "images": options.images,
        "engine": choice.name,
        "model": model,
        "views": settings.views.model_dump(mode="json"),
        "ladder": settings.reading.ladder.model_dump(mode="json"),
    }


def _plan(
    options: JobOptions,
    settings: Settings,
    choice: EngineChoice,
    model: ScalingSettings,
    scale: Scale,
    resources: Resources,
    store: Store,
    run: int,
    create: Callable[[], Engine],
) -> Reading:
    spare = max(resources.cpus - math.ceil(scale.actors * scale.actor_cpus), 1)
    preparing = min(PREPROCESS_REPLICAS_PER_GPU, max(spare // scale.actors, 2))
    ledger: Any = ray.remote(Ledger).options(num_cpus=0, max_restarts=-1, max_task_retries=-1).remote()
    return Reading(
        create=create,
        ledger=ledger,
        preparation=settings.preparation(choice.takes),
        ladder=settings.reading.ladder,
        store=store,
        run=run,
        images=options.images,
        group_pages=settings.bulk.group_pages,
        pages_in_flight=pages_in_flight(settings, model),
        preparing=settings.bulk.preparing or preparing,
        prepare_cpus=min(1.0, resources.cpus / 4),
        flush_s=settings.bulk.flush_s,
        page_timeout_s=settings.bulk.page_timeout_s,
        stall_timeout_s=settings.model.stall_timeout_s,
    )


def _read_all(
    options: JobOptions, settings: Settings, manifest: pa.Table, plan: Reading, scale: Scale, run: record.Run
) -> None:
    """Read until nothing is left, or what is left was lost each time."""
    for number in range(PASSES):
        left = _outstanding(
            options, settings, manifest, plan.store, redo=options.retry_failed and number == 0
        )
        if not left:
            return
        per_block = min(max(len(left) // 64, 1), DOCUMENTS_PER_BLOCK)
        before = run.pages
        try:
            _read(left, per_block, plan, scale, run, settings)
        except RayError as error:
            if run.pages == before:
                raise JobFailed(f"No page could be read: {error}") from error
            logger.warning("a pass over the documents was given up: %s", error)
    lost = _outstanding(options, settings, manifest, plan.store, redo=False)
    if lost:
        loss = StageLost("The process that read this page died each time; the log has the cause.")
        rows = [
            error_row(document.doc_id, page, document.page_count, loss)
            for document in lost
            for page in document.rest or (WHOLE_DOCUMENT,)
        ]
        journal.write_part(plan.store, journal.part_name(plan.run, "driver", "lost"), rows)


def _outstanding(
    options: JobOptions, settings: Settings, manifest: pa.Table, store: Store, *, redo: bool
) -> list[Wanted]:
    """Return what is left, in an order that is random and the same each time.

    What was read so far is then a sample of what is left, from which the time left is reckoned; manifests are
    often sorted, by size as well.
    """
    index = journal.read_index(store, manifest["doc_id"])
    left = list(journal.outstanding(manifest, index, options.request, settings.limits, redo=redo))
    random.Random(len(left)).shuffle(left)  # noqa: S311 - nothing secret
    return left


def _read(
    documents: list[Wanted], per_block: int, plan: Reading, scale: Scale, run: record.Run, settings: Settings
) -> None:
    """Read documents once, counting as pages are written."""
    results = read_documents(documents, per_block, plan, scale)
    with Progress(len(documents), settings.bulk.progress_s) as progress, closing(results):
        for step in results:
            if step.fault:
                raise JobFailed(step.fault)
            run.add(step.pages)
            progress.add(step)
