"""Mode `bulk`: the Ray Data job over a manifest, as `dsocr bulk` runs it.

The manifest names the same document again and again. The job has as many pages as the load of the steady
window and its two ends need; what the engine notes gives the window, the job's own report the whole.
"""

import shutil
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.gpu import pages
from benchmarks.gpu.engine_settings import engine_settings
from benchmarks.gpu.journal import EnginePlan, read_journal
from benchmarks.gpu.load import Load, figures
from benchmarks.gpu.ray_machine import ray_of_our_own, transport_ms
from benchmarks.gpu.settings import application_settings
from benchmarks.gpu.spec import Spec
from deployments.types import PageRequest
from serve_app.bulk.job import JobOptions, run_job

PAGES_PER_S = 24
"""What the job is made large enough for; a slower engine takes longer over it."""

ENDS_S = 10
"""Beyond the window, so that it closes before the last page is sent."""


def main() -> None:
    """Measure what the command line's spec says."""
    spec = Spec.from_command_line()
    phase = spec.phases[0]
    folder = Path(spec.out) / f"{spec.name}-job"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    under_way = spec.in_flight * engine_settings(spec.model, spec.vllm).max_num_seqs
    wanted = under_way + PAGES_PER_S * (phase.settle_s + phase.window_s + ENDS_S)
    documents = max(round(spec.options.get("bulk_pages", wanted) / spec.distinct_pages), 1)
    names = [f"document-{number:05}" for number in range(documents)]
    manifest = pa.table({"doc_id": names, "uri": [spec.pages_pdf] * documents})
    pq.write_table(manifest, folder / "manifest.parquet")
    journal = Path(spec.out) / f"{spec.name}.journal"
    journal.unlink(missing_ok=True)
    began = time.time()
    with ray_of_our_own(spec) as machine:
        settings = application_settings(spec)
        seed = spec.seed + phase.repeat
        create = EnginePlan(settings.model.vllm, str(journal), phase.mean_tokens, seed, spec.primed)
        sample = pages.prepared_pages(Path(spec.pages_pdf), 2, spec.model, settings.views)[0]
        result: dict[str, Any] = {
            "machine": machine,
            "breakdown": {"transport_ray_ms_per_page": transport_ms(sample)},
            "phases": {},
        }
        options = JobOptions(
            str(folder / "manifest.parquet"), str(folder / "out"), PageRequest(dpi=pages.DPI), overwrite=True
        )
        job_began = time.time()
        report = run_job(options, settings, create)
        result["report"] = {"seconds": round(time.time() - job_began, 1), "pages": report["pages"]}
        visits, steps = read_journal(journal)
        first, last = min(visit.sent for visit in visits), max(visit.sent for visit in visits)
        result["start_s"] = round(first - began, 1)
        opens = first + phase.settle_s
        load = Load(first, (opens, max(min(opens + phase.window_s, last), opens + 1)), visits, Counter())
        result["phases"][phase.label] = figures(load, phase, create.lengths(), steps)
        spec.write_result(result)
        spec.complete_path.touch()


if __name__ == "__main__":
    main()
