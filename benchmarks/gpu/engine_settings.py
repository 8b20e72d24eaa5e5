"""The engine's settings under measurement; importing this does not import vLLM."""

from pathlib import Path
from typing import Any

from deployments.model.vllm.settings import VllmSettings
from deployments.preprocess.settings import ViewSettings

NEVER = 1_000_000
"""More tokens than any answer has."""


def engine_settings(model: str, overrides: dict[str, Any]) -> VllmSettings:
    """Return settings without runaways, and with vLLM's dummy weights for a folder that has none.

    Args:
        model: folder.
        overrides: win over these.
    """
    tree = {
        "model": model,
        "load_format": load_format(model),
        "runaway": {"min_tokens": NEVER, "window": NEVER, "stale_share": 1.0},
        **overrides,
    }
    return VllmSettings.model_validate(tree)


def load_format(model: str) -> str:
    """Return how vLLM is to get the weights of a folder."""
    return "auto" if any(Path(model).glob("*.safetensors")) else "dummy"


def view_settings(settings: VllmSettings, options: dict[str, Any]) -> ViewSettings:
    """Return the geometry of the model's views; `patch_size` is an option for small test models."""
    return ViewSettings(
        base_size=settings.base_size,
        image_size=settings.image_size,
        patch_size=options.get("patch_size", 16),
    )
