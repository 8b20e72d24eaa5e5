"""How large a job's pipeline is on a cluster."""

import math

from deployments.model.selection import EngineChoice
from serve_app.bulk.pipeline import Scale
from serve_app.settings import ScalingSettings, Settings
from serve_app.sizing import Resources


def scale_for(
    settings: Settings, choice: EngineChoice, model: ScalingSettings, resources: Resources
) -> Scale:
    """Size the pipeline for the cluster.

    An embedded engine uses its CPUs by the thread, whatever it reserves; half of them are left to be
    reserved by the tasks that prepare its pages, or there could be none.
    """
    actors, cpus = model.max_replicas or 1, max(resources.cpus, 1)
    in_flight = pages_in_flight(settings, model)
    return Scale(
        actors=actors,
        actor_cpus=(model.num_cpus or 0) if choice.name == "vllm" else cpus / (2 * actors),
        actor_gpus=model.num_gpus or 0,
        # A group waits for its slowest page, which takes a few times as long as others.
        groups_per_actor=4 * math.ceil(in_flight / settings.bulk.group_pages) + 2,
        expand_cpus=min(0.5, cpus / 8),
        max_lost_blocks=settings.bulk.max_lost_blocks,
    )


def pages_in_flight(settings: Settings, model: ScalingSettings) -> int:
    """Return how many pages each engine has at once."""
    return settings.bulk.pages_in_flight or model.max_ongoing_requests or 1
