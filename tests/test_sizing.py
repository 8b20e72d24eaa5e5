"""Replicas that the settings leave open follow the machine; those they name stay."""

import pytest

from deployments.errors import ConfigurationError
from deployments.model.settings import ModelSettings
from deployments.preprocess.deployment import THREADS
from serve_app.settings import ScalingSettings, StageScaling, load_settings
from serve_app.sizing import Resources, check_fits, roomy, sized


def test_one_engine_a_gpu_and_more_pages_than_it_runs_at_once() -> None:
    scaling = sized(StageScaling(), ModelSettings(), "vllm", Resources(cpus=64, gpus=4))
    assert (scaling.model.max_replicas, scaling.model.num_gpus) == (4, 1)
    assert scaling.model.max_ongoing_requests is not None
    assert scaling.model.max_ongoing_requests > ModelSettings().vllm.max_num_seqs
    assert scaling.preprocess.max_replicas == 24


def test_a_machine_without_the_gpus_of_an_engine_is_told_so() -> None:
    """Ray would wait for them for ever."""
    scaling, model = StageScaling(), ModelSettings.model_validate({"vllm": {"tensor_parallel_size": 2}})
    check_fits(scaling, model, "vllm", Resources(cpus=8, gpus=2))
    check_fits(scaling, model, "embedded", Resources(cpus=8, gpus=0))
    for gpus in (0, 1):
        with pytest.raises(ConfigurationError, match="wants 2 NVIDIA GPUs"):
            check_fits(scaling, model, "vllm", Resources(cpus=8, gpus=gpus))


def test_the_embedded_engine_fits_the_machine() -> None:
    for cpus in (1, 2, 3, 8, 64):
        model = sized(StageScaling(), ModelSettings(), "embedded", Resources(cpus=cpus, gpus=0)).model
        assert model.max_replicas is not None
        assert model.num_cpus is not None
        assert 1 <= model.max_replicas * model.num_cpus <= cpus


def test_another_ingress_replica_comes_before_one_refuses_documents() -> None:
    for documents in (1, 64, 512):
        for engine in ("vllm", "embedded"):
            sizes = sized(StageScaling(), ModelSettings(), engine, Resources(cpus=64, gpus=4), documents)
            assert sizes.ingress.target_ongoing_requests is not None
            assert sizes.ingress.target_ongoing_requests <= max(documents, 1)


def test_the_ingress_of_a_gpu_holds_as_many_single_pages_as_fill_it() -> None:
    settings = roomy(load_settings(), "vllm")
    replicas = sized(
        settings.scaling, settings.model, "vllm", Resources(cpus=16, gpus=1)
    ).ingress.max_replicas
    assert replicas is not None
    places = replicas * min(settings.api.max_concurrent_requests, settings.reading.max_pages_in_flight)
    assert places >= 1.25 * settings.model.vllm.max_num_seqs


def test_bounds_that_were_set_stay() -> None:
    given = {"api": {"max_concurrent_requests": 3}, "reading": {"max_pages_in_flight": 5}}
    settings = roomy(load_settings(given), "vllm")
    assert (settings.api.max_concurrent_requests, settings.reading.max_pages_in_flight) == (3, 5)
    assert roomy(load_settings(), "embedded") == load_settings()


def test_all_stages_follow_the_gpus_that_a_cluster_may_grow_to() -> None:
    given = StageScaling(model=ScalingSettings(max_replicas=64))
    sizes = sized(given, ModelSettings(), "vllm", Resources(cpus=8, gpus=1))
    assert sizes.model.max_replicas == 64
    assert sizes.preprocess.max_replicas == 64 * 6
    assert sizes.ingress.max_replicas == 64 * 4


def test_what_the_settings_name_stays() -> None:
    given = StageScaling(model=ScalingSettings(min_replicas=3, num_cpus=2, max_ongoing_requests=7))
    model = sized(given, ModelSettings(), "embedded", Resources(cpus=2, gpus=0)).model
    assert (model.min_replicas, model.num_cpus, model.max_ongoing_requests) == (3, 2, 7)
    assert model.max_replicas == 3


def test_preprocess_takes_calls_ahead_of_its_threads() -> None:
    scaling = sized(StageScaling(), ModelSettings(), "vllm", Resources(cpus=64, gpus=1))
    assert scaling.preprocess.max_ongoing_requests is not None
    assert scaling.preprocess.max_ongoing_requests > THREADS
