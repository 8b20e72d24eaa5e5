"""A model folder's files: is everything there, and whole, without reading the weights themselves."""

import json
from pathlib import Path
from typing import Any

from deployments.errors import ConfigurationError

LFS_POINTER = b"version https://git-lfs"
HEADER_LIMIT = 100_000_000
"""Bytes; the safetensors format's own limit on a header."""


def read_shards(folder: Path) -> tuple[int, dict[str, tuple[int, ...]]]:
    """Check that every shard is there and as long as its header says, and hold the index against them.

    Returns:
        Bytes of weights, and each tensor's shape.

    Raises:
        ConfigurationError: a shard or a tensor is missing, or a file is cut off or a Git LFS pointer.
    """
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        weight_map: dict[str, str] = read_json(index).get("weight_map") or {}
        shards = sorted(set(weight_map.values()))
    else:
        weight_map, shards = {}, sorted(path.name for path in folder.glob("*.safetensors"))
    if not shards:
        raise ConfigurationError(f"{folder} holds no safetensors weights. Fetch the whole model.")
    total = 0
    shapes: dict[str, tuple[int, ...]] = {}
    stored: dict[str, str] = {}
    for shard in shards:
        size, tensors = _read_header(folder / shard)
        total += size
        shapes |= tensors
        stored |= dict.fromkeys(tensors, shard)
    if missing := [name for name, shard in weight_map.items() if stored.get(name) != shard]:
        raise ConfigurationError(
            f"{folder} lacks {len(missing)} tensors that its index names, {missing[0]} first. "
            "Fetch the model again."
        )
    return total, shapes


def _read_header(path: Path) -> tuple[int, dict[str, tuple[int, ...]]]:
    """Bytes of data and shapes of tensors of a safetensors file: eight bytes of length, JSON, data."""
    if not path.is_file():
        raise incomplete(path)
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(len(LFS_POINTER))
        if start == LFS_POINTER:
            raise ConfigurationError(f"{path} is a Git LFS pointer, not the weights. Run git lfs pull there.")
        length = int.from_bytes(start[:8], "little")
        file.seek(8)
        try:
            header = json.loads(file.read(length)) if 2 <= length <= min(size - 8, HEADER_LIMIT) else None
        except ValueError:
            header = None
    if not isinstance(header, dict):
        raise ConfigurationError(
            f"{path} is damaged or incomplete: its header can't be read. Fetch it again."
        )
    tensors = {name: entry for name, entry in header.items() if name != "__metadata__"}
    data = max((entry["data_offsets"][1] for entry in tensors.values()), default=0)
    if size != 8 + length + data:
        raise ConfigurationError(
            f"{path} is incomplete: {size} of {8 + length + data} bytes are there. Fetch it again."
        )
    return data, {name: tuple(entry["shape"]) for name, entry in tensors.items()}


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ConfigurationError: the file is missing, or is none.
    """
    if not path.is_file():
        raise incomplete(path)
    try:
        content = json.loads(path.read_bytes())
    except ValueError as error:
        raise ConfigurationError(f"{path} is damaged: it is not JSON. Fetch the model again.") from error
    if not isinstance(content, dict):
        raise ConfigurationError(f"{path} is damaged: it is not a JSON object. Fetch the model again.")
    return content


def incomplete(path: Path) -> ConfigurationError:
    """The error for a file that a model folder must have."""
    return ConfigurationError(
        f"The model folder {path.parent} is incomplete: {path.name} is missing. Fetch the model again."
    )
