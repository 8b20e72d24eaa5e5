"""Every setting of the application, as one typed tree.

Settings come from, strongest first: what a command or a Serve YAML's `args` say, environment
variables (`DSOCR_MODEL__ENGINE=vllm`: the prefix, then the path through the tree with two
underscores), and a YAML file (`--settings FILE` or `DSOCR_SETTINGS`). An unknown key is refused,
wherever it stands. The tree is read at entry points only and handed on from there.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
    YamlConfigSettingsSource,
)

from deployments.errors import ConfigurationError
from deployments.model.settings import ModelSettings
from deployments.preprocess.preparation import Preparation
from deployments.preprocess.settings import DocumentLimits, OrientationSettings, SandboxSettings, ViewSettings
from deployments.types import EngineInput
from serve_app.api.settings import ApiSettings
from serve_app.bulk.settings import BulkSettings
from serve_app.jobs.settings import JobSettings
from serve_app.page_reader import ReadingSettings
from serve_app.tracing import TracingSettings
from serve_app.ui.settings import UiSettings

ENVIRONMENT_PREFIX = "DSOCR_"
FILE_VARIABLE = "DSOCR_SETTINGS"
KEY_VARIABLE = "DSOCR_API_KEY"
"""Holds a client's API key; it is no setting."""


class HttpSettings(BaseModel):
    """Where the service listens."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    host: str = "127.0.0.1"
    port: int = Field(8000, ge=1, le=65535)
    drain_s: float = Field(
        120, ge=0, description="Longest wait of `dsocr serve` for requests under way, once it is to stop."
    )


class ScalingSettings(BaseModel):
    """Replicas of a stage; `serve_app.sizing` fills in what is None, from the engine and the machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    min_replicas: int | None = Field(None, ge=0)
    max_replicas: int | None = Field(None, ge=1)
    num_cpus: float | None = Field(
        None, ge=0, description="CPUs of a replica; the embedded engine's threads."
    )
    num_gpus: float | None = Field(None, ge=0)
    max_ongoing_requests: int | None = Field(None, ge=1, description="Pages a replica takes at once.")
    max_queued_requests: int = Field(
        2000, ge=1, description="Requests that wait at each caller before more are refused."
    )
    target_ongoing_requests: float | None = Field(
        None,
        gt=0,
        description="Requests a replica should have at once. Left open, Model with the vllm engine scales by "
        "`busy` instead.",
    )
    upscale_delay_s: float = Field(5, ge=0)
    downscale_delay_s: float = Field(300, ge=0)
    downscale_to_zero_delay_s: float = Field(
        1800, ge=0, description="Idle time before the last replica stops, where `min_replicas` is 0."
    )
    graceful_shutdown_timeout_s: float = Field(
        120, ge=0, description="Longest drain of a replica that stops."
    )


class StageScaling(BaseModel):
    """Replicas of each stage."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    busy: float = Field(
        0.8, gt=0, le=1, description="Load that each vllm engine should have; see `serve_app.autoscaling`."
    )
    ingress: ScalingSettings = Field(default_factory=ScalingSettings)
    preprocess: ScalingSettings = Field(default_factory=ScalingSettings)
    model: ScalingSettings = Field(default_factory=ScalingSettings)
    postprocess: ScalingSettings = Field(default_factory=ScalingSettings)


class Settings(BaseSettings):
    """The whole tree."""

    model_config = SettingsConfigDict(
        frozen=True, extra="forbid", env_prefix=ENVIRONMENT_PREFIX, env_nested_delimiter="__"
    )

    http: HttpSettings = Field(default_factory=HttpSettings)
    api: ApiSettings = Field(default_factory=ApiSettings)
    reading: ReadingSettings = Field(default_factory=ReadingSettings)
    limits: DocumentLimits = Field(default_factory=DocumentLimits)
    sandbox: SandboxSettings = Field(default_factory=SandboxSettings)
    orientation: OrientationSettings = Field(default_factory=OrientationSettings)
    views: ViewSettings = Field(default_factory=ViewSettings)
    model: ModelSettings = Field(default_factory=ModelSettings)
    scaling: StageScaling = Field(default_factory=StageScaling)
    bulk: BulkSettings = Field(default_factory=BulkSettings)
    jobs: JobSettings = Field(default_factory=JobSettings)
    ui: UiSettings = Field(default_factory=UiSettings)
    tracing: TracingSettings = Field(default_factory=TracingSettings)

    @model_validator(mode="after")
    def _views_are_the_engines(self) -> "Settings":
        views, engine = self.views, self.model.vllm
        if (views.base_size, views.image_size) != (engine.base_size, engine.image_size):
            raise ValueError(
                "views.base_size and views.image_size must equal model.vllm.base_size and "
                "model.vllm.image_size: the engine takes what Preprocess makes"
            )
        return self

    def preparation(self, takes: EngineInput) -> Preparation:
        """Return what the tree says about the preparing of pages for an engine that takes such input."""
        return Preparation(
            self.limits,
            self.sandbox,
            self.views,
            takes,
            self.model.vllm.model,
            self.model.vllm.revision,
            self.orientation,
        )

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Take what the caller gives, then the environment, then the file, merged key by key."""
        file = os.environ.get(FILE_VARIABLE)
        return init_settings, env_settings, YamlConfigSettingsSource(settings_cls, yaml_file=file)


def load_settings(overrides: dict[str, Any] | None = None) -> Settings:
    """Return the settings of this process's environment.

    Args:
        overrides: a tree of settings that win over all others.

    Raises:
        ConfigurationError: the file is missing, a key is unknown or a value can't be; the message names each.
    """
    file = os.environ.get(FILE_VARIABLE)
    if file and not Path(file).is_file():
        raise ConfigurationError(f"There is no settings file {file}.")
    unknown = sorted(_unknown_variables())
    if unknown:
        raise ConfigurationError(f"These environment variables name no setting: {', '.join(unknown)}.")
    try:
        # The source of pydantic-settings takes what the file has for a mapping.
        if file and not isinstance(yaml.safe_load(Path(file).read_bytes()) or {}, dict):
            raise ConfigurationError(f"{file} has no settings: it must be a YAML mapping, such as `api: …`.")
        return Settings(**(overrides or {}))
    except ValidationError as error:
        faults = "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
        raise ConfigurationError(f"These settings can't be used: {faults}.") from error
    except (yaml.YAMLError, UnicodeDecodeError, SettingsError) as error:
        raise ConfigurationError(f"The settings can't be read: {error}") from error


_SERVICE_LINK = re.compile(
    r"\w+_SERVICE_HOST=|\w+_SERVICE_PORT(_\w+)?=|\w+_PORT_\d+_(TCP|UDP|SCTP)(_\w+)?=|\w+_PORT=\w+://"
)
"""Variables that Kubernetes gives each pod for each service of its namespace, one named dsocr-… among them
(https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables)."""


def _unknown_variables() -> Iterator[str]:
    """Yield variables with our prefix that no setting stands behind; pydantic-settings passes over these."""
    for name, value in os.environ.items():
        head = name.removeprefix(ENVIRONMENT_PREFIX).split("__")[0].lower()
        if (
            name.startswith(ENVIRONMENT_PREFIX)
            and name not in (FILE_VARIABLE, KEY_VARIABLE)
            and head not in Settings.model_fields
            and not _SERVICE_LINK.match(f"{name}={value}")
        ):
            yield name
