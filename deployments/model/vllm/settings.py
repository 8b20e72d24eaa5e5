"""What can be set about the vLLM engine, under vLLM's own names where it has one.

The no-repeat rule is set per task and attempt, in `deployments.model.ladder`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from deployments.model.runaway import RunawaySettings

CONTEXT = 8_192
"""Tokens of prompt and answer together (`max_position_embeddings` of the published configuration)."""


class VllmSettings(BaseModel):
    """The vLLM engine's settings.

    Attributes:
        model: a folder with the model, or its name on the Hugging Face hub.
        revision: branch, tag or commit of a hub model.
        load_format: how weights are read; `dummy` makes random ones.
        dtype: of weights and arithmetic.
        quantization: `fp8` quantises the weights while loading.
        kv_cache_dtype: `auto` is `dtype`; `fp8` halves the cache.
        gpu_memory_utilization: share of the GPU's memory that weights, work space and KV cache may take.
        kv_cache_memory_bytes: size of the KV cache, instead of what `gpu_memory_utilization` leaves.
        max_model_len: most tokens of prompt and answer together.
        max_num_seqs: pages written at a time.
        max_num_batched_tokens: most tokens in one step; bounds how many pages are read (prefilled) at once.
        pages_read_together: while the batch is nearly full, waiting pages begin in groups of so many.
        tensor_parallel_size: GPUs that share one engine.
        enforce_eager: no compilation and no CUDA graphs: a quicker start, slower pages.
        async_scheduling: prepare a step while the one before it runs; None leaves it to vLLM.
        model_runner: vLLM's runner; `v2` keeps the no-repeat rule on the GPU, `auto` takes it on a GPU.
        base_size: side of the global view, in pixels.
        image_size: side of a tile, in pixels.
        moe_config_folder: tuned kernel configurations; None means those shipped with this package.
        runaway: when a page counts as looping.
        delta_interval_ms: a stream's pieces come no more often than this.
        stream_interval: tokens vLLM gathers for a request before it hands them over.
        additional_config: passed to the model class as it is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: str = "deepseek-ai/DeepSeek-OCR-2"
    revision: str | None = None
    load_format: Literal["auto", "safetensors", "fastsafetensors", "runai_streamer", "dummy"] = "auto"
    dtype: Literal["bfloat16", "float16", "float32"] = "bfloat16"
    quantization: Literal["fp8"] | None = None
    kv_cache_dtype: Literal["auto", "fp8", "fp8_e4m3", "fp8_e5m2"] = "auto"
    gpu_memory_utilization: Annotated[float, Field(gt=0, le=1)] = 0.9
    kv_cache_memory_bytes: Annotated[int, Field(gt=0)] | None = None
    max_model_len: Annotated[int, Field(ge=1_024, le=CONTEXT)] = CONTEXT
    max_num_seqs: Annotated[int, Field(ge=1, le=4_096)] = 1_024
    max_num_batched_tokens: Annotated[int, Field(ge=1_024)] = 16_384
    pages_read_together: Annotated[int, Field(ge=1, le=64)] = 8
    tensor_parallel_size: Annotated[int, Field(ge=1)] = 1
    enforce_eager: bool = False
    async_scheduling: bool | None = None
    model_runner: Literal["auto", "v1", "v2"] = "auto"
    base_size: Annotated[int, Field(ge=64, multiple_of=64)] = 1_024
    image_size: Annotated[int, Field(ge=64, multiple_of=64)] = 768
    moe_config_folder: Path | None = None
    runaway: RunawaySettings = RunawaySettings()
    delta_interval_ms: Annotated[int, Field(ge=0, le=5_000)] = 80
    stream_interval: Annotated[int, Field(ge=1, le=256)] = 8
    additional_config: Mapping[str, object] = Field(default_factory=dict)
