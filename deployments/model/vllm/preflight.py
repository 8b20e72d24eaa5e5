"""What can be known to be wrong before minutes of loading: versions, the model's folder, the GPU.

Every finding is a `ConfigurationError` of one or two sentences that says what to do.
"""

import re
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

from huggingface_hub import snapshot_download
from huggingface_hub.errors import HFValidationError
from packaging.requirements import Requirement
from packaging.version import Version
from tokenizers import Tokenizer

from deployments.errors import ConfigurationError
from deployments.model.vllm import compat
from deployments.model.vllm.settings import VllmSettings
from deployments.model.vllm.shards import read_json, read_shards
from deployments.model.vllm.vision_config import TOWER_NAME
from deployments.tokenizer import load_tokenizer

ARCHITECTURE = "DeepseekOCR2ForCausalLM"
OLDEST_CAPABILITY = (8, 0)
"""Ampere: the first with bfloat16, in which the weights are published."""

DUMMY_WEIGHT_BYTES = 6_800_000_000
"""Of the published weights, 3.4 billion bfloat16 parameters, where there are no files to add up."""

WORK_BYTES = 3 * 2**30
"""Room for activations and CUDA graphs beside the weights: a rough lower bound, not a measurement."""

KV_BYTES_PER_TOKEN = 2 * 12 * 10 * 128 * 2
"""Keys and values of 12 layers with 10 heads of 128 numbers, in bfloat16."""


class Model(NamedTuple):
    """A model's files on this machine, and the commit they are of where it came from the hub."""

    folder: Path
    commit: str | None


def locate(settings: VllmSettings) -> Model:
    """Find the model's folder; a hub model is fetched if it is not in the cache.

    Raises:
        ConfigurationError: there is no such folder, or the hub model can't be had.
    """
    folder = Path(settings.model).expanduser()
    if folder.is_dir():
        return Model(folder, None)
    if not re.fullmatch(r"[\w.-]+/[\w.-]+", settings.model) or settings.model.startswith("."):
        raise ConfigurationError(
            f"The model folder {settings.model} does not exist. Set model to a folder or to a name on the "
            "Hugging Face hub, such as deepseek-ai/DeepSeek-OCR-2."
        )
    try:
        snapshot = Path(
            snapshot_download(
                settings.model, revision=settings.revision, allow_patterns=["*.json", "*.safetensors"]
            )
        )
    except (OSError, HFValidationError) as error:
        raise ConfigurationError(
            f"The model {settings.model} (revision {settings.revision or 'main'}) is no folder, not in the "
            "Hugging Face cache, and could not be fetched. Check name, revision and network, or set model to "
            "a folder."
        ) from error
    return Model(snapshot, snapshot.name)


def check(settings: VllmSettings, folder: Path) -> Tokenizer:
    """Look at everything that can be looked at quickly, and return the model's tokenizer.

    Raises:
        ConfigurationError: something can't work.
    """
    compat.installed()
    check_torchvision()
    check_config(folder, settings)
    tokenizer = load_tokenizer(folder)
    weight_bytes = DUMMY_WEIGHT_BYTES
    if settings.load_format != "dummy":
        weight_bytes, tensors = read_shards(folder)
        check_tensors(folder, tensors)
    if not compat.on_cpu():
        check_gpus(settings, weight_bytes)
    return tokenizer


def check_torchvision() -> None:
    """A torchvision made for another PyTorch breaks imports inside Transformers; none at all is fine.

    Raises:
        ConfigurationError: they don't match.
    """
    try:
        needs = [Requirement(line) for line in metadata.requires("torchvision") or []]
        torch, vision = Version(metadata.version("torch")), metadata.version("torchvision")
    except metadata.PackageNotFoundError:
        return
    for need in needs:
        if need.name == "torch" and not need.specifier.contains(torch.public, prereleases=True):
            raise ConfigurationError(
                f"torchvision {vision} was made for torch{need.specifier}, but torch {torch} is installed. "
                "Install the matching torchvision, or uninstall it: nothing here needs it."
            )


def check_config(folder: Path, settings: VllmSettings) -> None:
    """Check that the folder holds this model's configuration, and that the settings go with it.

    Raises:
        ConfigurationError: there is none, it can't be read, it is of another model, or of other sizes.
    """
    config = read_json(folder / "config.json")
    found = config.get("architectures") or ["none"]
    tower = (config.get("vision_config") or {}).get("model_name")
    if ARCHITECTURE not in found or tower != TOWER_NAME:
        raise ConfigurationError(
            f"{folder} holds another model ({', '.join(found)}, vision tower {tower}); this engine runs "
            f"{ARCHITECTURE} with {TOWER_NAME}. Set model to a copy of deepseek-ai/DeepSeek-OCR-2."
        )
    vision = config["vision_config"]
    sizes = vision.get("image_size", 1_024), vision.get("tile_size", 768)
    if sizes != (settings.base_size, settings.image_size):
        raise ConfigurationError(
            f"This model takes global views of {sizes[0]} pixels and tiles of {sizes[1]}: set base_size and "
            "image_size to these."
        )


def check_tensors(folder: Path, tensors: Mapping[str, tuple[int, ...]]) -> None:
    """Hold names and shapes of the stored tensors against the configuration, with the loader's own checks.

    Raises:
        ConfigurationError: a tensor is missing, misshaped, or of no known name.
    """
    # The other checks, and `dsocr doctor`, work where PyTorch and vLLM are not.
    import torch
    from vllm.transformers_utils.configs.deepseek_vl2 import DeepseekVLV2Config

    from deployments.model.vllm.vision import VisionOptions, VisionTower
    from deployments.model.vllm.vision_config import VisionConfig
    from deployments.model.vllm.weights import check_language, load_tower

    config = DeepseekVLV2Config(**read_json(folder / "config.json"))
    with torch.device("meta"):
        tower = VisionTower(VisionConfig.from_hf(config), VisionOptions.plain())
        stored = ((name, torch.empty(shape)) for name, shape in tensors.items())
        for _ in check_language(config.text_config, load_tower(tower, stored)):
            pass


def check_gpus(settings: VllmSettings, weight_bytes: int) -> None:
    """Check that the GPUs are there, new enough and large enough.

    Raises:
        ConfigurationError: they are not.
    """
    gpus, wanted = compat.gpus(), settings.tensor_parallel_size
    if len(gpus) < wanted:
        raise ConfigurationError(
            f"The vllm engine needs {wanted} NVIDIA GPU{'s' if wanted > 1 else ''} and finds {len(gpus)}. "
            "Check the driver and CUDA_VISIBLE_DEVICES, or choose the embedded engine."
        )
    cache_bytes = settings.kv_cache_memory_bytes or KV_BYTES_PER_TOKEN * settings.max_model_len
    needed = (weight_bytes + cache_bytes) / wanted + WORK_BYTES
    for gpu in gpus[:wanted]:
        if gpu.capability < OLDEST_CAPABILITY:
            raise ConfigurationError(
                f"{gpu.name} has compute capability {gpu.capability[0]}.{gpu.capability[1]}; the model needs "
                "8.0 (Ampere) or newer. Use another GPU, or choose the embedded engine."
            )
        allowed = gpu.total_bytes * settings.gpu_memory_utilization
        if allowed < needed:
            raise ConfigurationError(
                f"{gpu.name} has {_gib(gpu.total_bytes)} GiB, of which gpu_memory_utilization allows "
                f"{_gib(allowed)}; the model needs about {_gib(needed)}. Raise it, or use a larger GPU."
            )
        if gpu.free_bytes is not None and gpu.free_bytes < allowed:
            raise ConfigurationError(
                f"{gpu.name} has {_gib(gpu.free_bytes)} GiB free, and gpu_memory_utilization asks for "
                f"{_gib(allowed)}. End what else runs there, or lower it."
            )


def _gib(count: float) -> str:
    return f"{count / 2**30:.1f}"
