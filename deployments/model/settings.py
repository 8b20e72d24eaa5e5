"""Which engine runs, and how."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from deployments.model.embedded.settings import EmbeddedSettings
from deployments.model.vllm.settings import VllmSettings

EngineName = Literal["embedded", "vllm"]


class ModelSettings(BaseModel):
    """The model stage; `auto` takes vLLM where a GPU and vLLM are found, else the embedded engine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    engine: Literal["auto", "embedded", "vllm"] = "auto"
    stall_timeout_s: float = Field(
        120,
        gt=0,
        description="An engine with pages under way of which none gets on for so long counts as dead.",
    )
    embedded: EmbeddedSettings = Field(default_factory=EmbeddedSettings)
    vllm: VllmSettings = Field(default_factory=VllmSettings)
