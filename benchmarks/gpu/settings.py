"""The application's settings for the modes that run it whole."""

from typing import Any

from benchmarks.gpu.engine_settings import engine_settings, view_settings
from benchmarks.gpu.spec import Spec
from serve_app.settings import Settings, load_settings


def application_settings(spec: Spec) -> Settings:
    """Return the shipped defaults, but for what a load of this size needs and the spec says.

    `options` may hold `settings`, a tree that wins over all others.
    """
    vllm = engine_settings(spec.model, spec.vllm)
    many = 4 * vllm.max_num_seqs
    tree: dict[str, Any] = {
        "model": {"engine": "vllm", "vllm": vllm.model_dump()},
        "views": view_settings(vllm, spec.options).model_dump(),
        "api": {"max_concurrent_requests": many},
        "reading": {"max_pages_in_flight": many},
    }
    return load_settings(_merged(tree, spec.options.get("settings", {})))


def _merged(tree: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Return a tree with another's leaves on top."""
    merged = dict(tree)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merged(merged[key], value) if both else value
    return merged
