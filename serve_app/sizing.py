"""How many replicas of each stage, and how large, where the settings leave it open.

The rules, for the stages of one machine or of a cluster:

- Model on a GPU: one replica a GPU, as many as there are. It takes more pages than it runs at
  once, so that the engine always has the next ones at hand.
- Model on CPUs: replicas of at most four threads each; more threads help the embedded engine little.
- Preprocess: a page of 1191x1684 pixels takes about 0.11 s of one core, so a GPU that reads 20
  pages a second keeps two to three cores busy; twice that is allowed for bursts.
- Postprocess and the ingress take little and reserve nothing. An ingress replica admits a bounded number
  of documents, and is to be joined by others well before that; four of them fill a GPU with pages, even
  where every document has one page (`roomy`).
- Where the settings allow more GPUs than there are, as on a cluster that grows, all stages follow those.
"""

import math
from dataclasses import dataclass

from deployments.errors import ConfigurationError
from deployments.model.settings import EngineName, ModelSettings
from serve_app.settings import ScalingSettings, Settings, StageScaling

PREPROCESS_REPLICAS_PER_GPU = 6
"""Twice the cores that 20 pages a second need."""

PREPROCESS_CALLS = 256
"""That a replica takes at once, four of which it works on. The others cost it little (see `StoredDocument`);
in Serve's router, which asks for a place again and again, they would wait in vain beside an idle replica."""

INGRESS_REPLICAS_PER_GPU = 4
"""One process answers a few dozen small documents a second; a GPU reads two dozen pages."""

FULL = 1.25
"""Pages under way, of those that an engine writes at once, that keep it full: the benchmarks' figure."""

INGRESS_SHARE = 0.6
"""Of the documents that an ingress replica admits, above which another is started."""

EMBEDDED_THREADS = 4
"""Most threads of one embedded engine."""


@dataclass(frozen=True, slots=True)
class Resources:
    """What the machine or cluster has."""

    cpus: int
    gpus: int


def sized(
    scaling: StageScaling,
    model: ModelSettings,
    engine: EngineName,
    resources: Resources,
    documents: int = 64,
) -> StageScaling:
    """Return the scaling with every open value filled in.

    Args:
        scaling: what the settings say.
        model: settings of the model stage.
        engine: that runs.
        resources: of the machine or cluster as it is now.
        documents: that an ingress replica admits at once.
    """
    cpus, gpus = max(resources.cpus, 1), max(resources.gpus, 1)
    ingress_replicas = max(cpus // 4, 1)
    if engine == "vllm":
        tensor_parallel = model.vllm.tensor_parallel_size
        gpus = max(gpus, (scaling.model.max_replicas or 0) * tensor_parallel)
        ingress_replicas = max(ingress_replicas, INGRESS_REPLICAS_PER_GPU * gpus)
        sequences = engine_places(model, engine)
        model_defaults = _open(
            max_replicas=max(gpus // tensor_parallel, 1),
            num_cpus=1,
            num_gpus=tensor_parallel,
            max_ongoing_requests=round(FULL * sequences),
            target_ongoing_requests=sequences * 0.75,
        )
        preprocess_replicas = PREPROCESS_REPLICAS_PER_GPU * gpus
    else:
        threads = min(cpus, EMBEDDED_THREADS)
        concurrent = engine_places(model, engine)
        model_defaults = _open(
            max_replicas=max(cpus // threads, 1),
            num_cpus=threads,
            num_gpus=0,
            max_ongoing_requests=2 * concurrent,
            target_ongoing_requests=concurrent,
        )
        preprocess_replicas = max(cpus // 2, 1)
    light = _open(max_replicas=max(cpus // 4, 1), num_cpus=0, num_gpus=0)
    return StageScaling(
        ingress=_filled(
            scaling.ingress,
            light
            | _open(
                max_replicas=ingress_replicas,
                max_ongoing_requests=1000,
                target_ongoing_requests=max(documents * INGRESS_SHARE, 1),
            ),
        ),
        preprocess=_filled(
            scaling.preprocess,
            _open(
                max_replicas=preprocess_replicas,
                num_cpus=1 if engine == "vllm" else 0,
                num_gpus=0,
                max_ongoing_requests=PREPROCESS_CALLS,
                target_ongoing_requests=2,
            ),
        ),
        model=_filled(scaling.model, model_defaults),
        postprocess=_filled(
            scaling.postprocess, light | _open(max_ongoing_requests=32, target_ongoing_requests=8)
        ),
    )


def check_fits(scaling: StageScaling, model: ModelSettings, engine: EngineName, resources: Resources) -> None:
    """See that a machine, to which nothing is added, can hold an engine: Ray would wait for it for ever.

    Args:
        scaling: what the settings say.
        model: settings of the model stage.
        engine: that is to run.
        resources: of the machine.

    Raises:
        ConfigurationError: it has too few GPUs.
    """
    wanted = sized(scaling, model, engine, resources).model.num_gpus or 0
    if wanted > resources.gpus:
        raise ConfigurationError(
            f"The {engine} engine wants {wanted:g} NVIDIA GPU{'s' * (wanted > 1)}, and this machine has "
            f"{resources.gpus or 'none'}. Leave the engine to `auto` or `embedded`, or name a cluster with "
            "GPUs in RAY_ADDRESS."
        )


def roomy(settings: Settings, engine: EngineName) -> Settings:
    """Return settings whose ingress replicas together hold as many documents and pages as fill their GPU.

    Bounds that were set, wherever, stay as they are.
    """
    if engine != "vllm":
        return settings
    share = math.ceil(engine_places(settings.model, engine) * FULL / INGRESS_REPLICAS_PER_GPU)
    api, reading = settings.api, settings.reading
    if "max_concurrent_requests" not in api.model_fields_set:
        places = max(api.max_concurrent_requests, share)
        api = api.model_copy(update={"max_concurrent_requests": places})
    if "max_pages_in_flight" not in reading.model_fields_set:
        pages = max(reading.max_pages_in_flight, share)
        reading = reading.model_copy(update={"max_pages_in_flight": pages})
    return settings.model_copy(update={"api": api, "reading": reading})


def engine_places(model: ModelSettings, engine: EngineName) -> int:
    """Return how many pages one engine writes at a time; what a replica takes beyond that waits in it."""
    return model.vllm.max_num_seqs if engine == "vllm" else model.embedded.max_concurrent_pages


def engine_threads(model: ScalingSettings) -> int:
    """Return how many CPU threads an engine may use, of a stage that was `sized`."""
    return max(round(model.num_cpus or 1), 1)


def job_places(model: ScalingSettings) -> int:
    """Return how many pages of jobs are under way at once.

    It is a quarter of what those replicas take that are always there, so that single pages find a place
    beside a job of thousands.
    """
    replicas = max(model.min_replicas or 1, 1)
    return max(replicas * (model.max_ongoing_requests or 1) // 4, 1)


def _open(**values: float) -> dict[str, float]:
    """Return defaults for one stage."""
    return {"min_replicas": 1, **values}


def _filled(stage: ScalingSettings, defaults: dict[str, float]) -> ScalingSettings:
    """Fill what a stage leaves open; a larger `min_replicas` than the default maximum raises that."""
    given = {name: value for name, value in stage.model_dump().items() if value is not None}
    values = defaults | given
    values["max_replicas"] = max(values["max_replicas"], math.ceil(values["min_replicas"]))
    return ScalingSettings(**values)
