"""The Ray Serve graph: every deployment, how it is bound to the others, and with what options.

serve run serve_app.graph:app_builder model.engine=embedded
serve deploy serve_config.yaml
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import ray
from fastapi import FastAPI
from ray import serve
from ray.serve import Application, Deployment
from ray.serve.handle import DeploymentHandle

from deployments.model.deployment import ModelDeployment
from deployments.model.engine import Engine
from deployments.model.selection import EngineChoice, choose_engine, create_engine
from deployments.postprocess.deployment import PostprocessDeployment
from deployments.preprocess.deployment import PreprocessDeployment
from deployments.preprocess.preparation import Preparation
from serve_app.api.app import create_app
from serve_app.api.authentication import check_protection
from serve_app.api.door import Door
from serve_app.api.jobs import JobService
from serve_app.autoscaling import EngineLoad
from serve_app.cluster import cluster_resources
from serve_app.cluster_metrics import ClusterMetrics
from serve_app.graph_stages import GraphStages
from serve_app.jobs.deployment import GraphJobs, JobRunnerDeployment, webhooks
from serve_app.jobs.store import JobStore
from serve_app.logs import log_to_stderr
from serve_app.metrics import PageMetrics, RequestMetrics
from serve_app.near_inspection import NearInspection
from serve_app.page_reader import PageReader
from serve_app.serve_config import nested
from serve_app.settings import ScalingSettings, Settings, load_settings
from serve_app.sizing import Resources, engine_places, engine_threads, job_places, roomy, sized
from serve_app.status import GraphStatus
from serve_app.tracing import RequestSpans, start_tracing
from serve_app.ui.presence import wanted

APP_NAME = "dsocr"

ONE_LOOP = {
    "RAY_SERVE_RUN_USER_CODE_IN_SEPARATE_THREAD": "0",
    "RAY_SERVE_RUN_ROUTER_IN_SEPARATE_LOOP": "0",
}
"""For replicas whose code never holds up the event loop: Serve's own work, its calls of other replicas and
that code then share one loop, and no request is handed from thread to thread. An engine may take longer."""

ASK_AGAIN_S = 0.1
"""How long a router waits at most before it asks again whether a replica has a place free, where calls are
brief. With Serve's half second a Preprocess replica stood idle while 64 pages waited for it."""


@serve.ingress()
class IngressDeployment:
    """The HTTP interface, on one or several replicas; it holds no pixels."""

    def __init__(
        self,
        settings: Settings,
        choice: EngineChoice,
        preparation: Preparation,
        preprocess: DeploymentHandle[Any],
        model: DeploymentHandle[Any],
        postprocess: DeploymentHandle[Any],
        jobs: DeploymentHandle[Any],
    ) -> None:
        log_to_stderr()
        self._settings = settings
        self._choice = choice
        self._stages = GraphStages(preprocess, model, postprocess, NearInspection(preparation))
        self._jobs = GraphJobs(jobs)
        self._counts = PageMetrics("requests", engine_places(settings.model, choice.name))
        self._door = Door()

    def close_door(self) -> int:
        """Let no more work in; returns how many requests are under way. Idempotent."""
        return self._door.close()

    def check_health(self) -> None:
        """Show Serve that this process answers, and keep its gauges alive."""
        self._counts.refresh()

    def __serve_build_asgi_app__(self) -> FastAPI:
        """Build the application in the replica's own process: it holds locks and tasks."""
        reader = PageReader(self._stages, self._settings.reading, self._counts)
        status = GraphStatus(serve.get_replica_context().app_name, self._choice, self._settings)
        settings = self._settings.jobs
        jobs = JobService(self._jobs, JobStore(settings.directory), settings, webhooks(settings))
        app = create_app(
            reader,
            self._settings.api,
            status,
            jobs,
            host=self._settings.http.host,
            home="ui/" if wanted(self._settings.ui) else "docs",
            observer=RequestMetrics(),
            metrics_text=ClusterMetrics(),
            door=self._door,
            named_by_proxy=True,  # by Serve itself, with HAProxy too
        )
        if self._settings.tracing.endpoint is not None:
            start_tracing(self._settings.tracing)
            app.add_middleware(RequestSpans)
        return app


def build_app(
    settings: Settings, resources: Resources | None = None, create: Callable[[], Engine] | None = None
) -> Application:
    """Bind the graph: ingress → Preprocess → Model → Postprocess, and the runner of jobs beside the ingress.

    Args:
        settings: the whole tree.
        resources: CPUs and GPUs to size replicas for; None takes those of the cluster Ray is connected to.
        create: makes each Model replica's engine; None makes the one that the settings mean.

    Raises:
        ConfigurationError: the engine that the settings name can't run, or the service would be open to all.
    """
    check_protection(settings.api, settings.http.host)
    resources = resources or cluster_resources()
    choice = choose_engine(settings.model, resources.gpus)
    settings = roomy(settings, choice.name)
    scaling = sized(
        settings.scaling, settings.model, choice.name, resources, settings.api.max_concurrent_requests
    )
    preparation = settings.preparation(choice.takes)
    preprocess = _deployment(PreprocessDeployment, "Preprocess", scaling.preprocess).bind(preparation)
    if create is None:
        create = partial(create_engine, settings.model, choice.name, engine_threads(scaling.model))
    policy = None
    if choice.name == "vllm" and settings.scaling.model.target_ongoing_requests is None:
        policy = {
            "policy_function": EngineLoad,
            "policy_kwargs": {"slots": settings.model.vllm.max_num_seqs, "busy": settings.scaling.busy},
        }
    model = _deployment(ModelDeployment, "Model", scaling.model, policy).bind(
        create, settings.model.stall_timeout_s
    )
    postprocess = _deployment(PostprocessDeployment, "Postprocess", scaling.postprocess).bind()
    ingress = _deployment(IngressDeployment, "Ingress", scaling.ingress)
    places = settings.jobs.pages_in_flight or job_places(scaling.model)
    at_a_time = engine_places(settings.model, choice.name)
    jobs = _job_runner(settings.jobs.num_cpus).bind(
        settings.jobs, settings.reading, places, at_a_time, preprocess, model, postprocess
    )
    return ingress.bind(settings, choice, preparation, preprocess, model, postprocess, jobs)


def app_builder(args: dict[str, Any]) -> Application:
    """Build the graph for `serve run` and `serve deploy`.

    Args:
        args: a tree of settings, or `path.to.key: value` pairs as `serve run` passes them.

    Raises:
        ConfigurationError: a key is unknown or a value can't be.
    """
    settings = load_settings(nested(args))
    if not ray.is_initialized():
        ray.init()  # `serve run` connects only after it has the application, whose size follows the cluster's
    return build_app(settings)


def _deployment(
    stage: type[object], name: str, scaling: ScalingSettings, policy: dict[str, Any] | None = None
) -> Deployment:
    """Return a stage with its replicas, resources and limits; without a policy it scales by Serve's own."""
    brief = stage is not ModelDeployment
    options: dict[str, Any] = {
        "name": name,
        "max_ongoing_requests": scaling.max_ongoing_requests,
        "max_queued_requests": scaling.max_queued_requests,
        "graceful_shutdown_timeout_s": scaling.graceful_shutdown_timeout_s,
        "graceful_shutdown_wait_loop_s": 0.5,
        "health_check_period_s": 2,
        "health_check_timeout_s": 30,
        "logging_config": {"log_level": "WARNING"},
        **({"request_router_config": {"max_backoff_s": ASK_AGAIN_S}} if brief else {}),
        "ray_actor_options": {
            "num_cpus": scaling.num_cpus,
            "num_gpus": scaling.num_gpus,
            **({"runtime_env": {"env_vars": ONE_LOOP}} if brief else {}),
        },
        "autoscaling_config": {
            "min_replicas": scaling.min_replicas,
            "max_replicas": scaling.max_replicas,
            "target_ongoing_requests": scaling.target_ongoing_requests,
            "upscale_delay_s": scaling.upscale_delay_s,
            "downscale_delay_s": scaling.downscale_delay_s,
            "downscale_to_zero_delay_s": scaling.downscale_to_zero_delay_s,
            **({} if policy is None else {"policy": policy}),
        },
    }
    return serve.deployment(**options)(stage)


def _job_runner(num_cpus: float) -> Deployment:
    """Return the one replica that owns all jobs; its requests are short, or wait for progress."""
    options: dict[str, Any] = {
        "name": "JobRunner",
        "autoscaling_config": {"min_replicas": 1, "max_replicas": 1},
        "max_ongoing_requests": 2_000,
        "max_queued_requests": 2_000,
        "graceful_shutdown_timeout_s": 10,
        "graceful_shutdown_wait_loop_s": 0.5,
        "health_check_period_s": 5,
        "health_check_timeout_s": 30,
        "logging_config": {"log_level": "WARNING"},
        "ray_actor_options": {"num_cpus": num_cpus},
    }
    return serve.deployment(**options)(JobRunnerDeployment)
