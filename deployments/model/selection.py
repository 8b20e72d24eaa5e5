"""Which engine a setting means on this machine, and making it."""

import importlib.util
from dataclasses import dataclass
from pathlib import Path

from deployments.errors import ConfigurationError
from deployments.model.engine import Engine
from deployments.model.settings import EngineName, ModelSettings
from deployments.types import EngineInput


@dataclass(frozen=True, slots=True)
class EngineChoice:
    """The engine that runs, and a sentence that says why."""

    name: EngineName
    reason: str

    @property
    def takes(self) -> EngineInput:
        """What this engine reads of a prepared page."""
        return EngineInput.VIEWS if self.name == "vllm" else EngineInput.PAGE


def gpu_count() -> int:
    """Number of NVIDIA GPUs this process could see, from their device files: no library is loaded."""
    return len(list(Path("/dev").glob("nvidia[0-9]*")))


def choose_engine(settings: ModelSettings, gpus: int | None = None) -> EngineChoice:
    """Return the engine that the settings mean here.

    Args:
        settings: of the model stage.
        gpus: GPUs to count on, e.g. those of a cluster; None counts this machine's.
    """
    gpus = gpu_count() if gpus is None else gpus
    if settings.engine != "auto":
        return EngineChoice(settings.engine, "the settings name it")
    if gpus == 0:
        return EngineChoice("embedded", "no NVIDIA GPU was found, which the vllm engine needs")
    if importlib.util.find_spec("vllm") is None:
        return EngineChoice(
            "embedded", "a GPU was found, but vLLM is not installed: pip install 'dsocr[vllm]'"
        )
    return EngineChoice("vllm", f"{gpus} GPU{'s' * (gpus > 1)} and vLLM were found")


def create_engine(settings: ModelSettings, name: EngineName, threads: int) -> Engine:
    """Make an engine; for vLLM this loads the model, which takes minutes.

    Args:
        settings: of the model stage.
        name: the engine, as `choose_engine` named it.
        threads: CPU threads it may use.

    Raises:
        ConfigurationError: the engine can't run here.
    """
    if name == "embedded":
        from deployments.model.embedded.engine import EmbeddedEngine

        return EmbeddedEngine(settings.embedded, threads=threads)
    if importlib.util.find_spec("vllm") is None:
        raise ConfigurationError(
            "The vllm engine needs vLLM: pip install 'dsocr[vllm]', or set engine: embedded."
        )
    from deployments.model.vllm.engine import VllmEngine

    return VllmEngine(settings.vllm)
