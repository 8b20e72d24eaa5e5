"""A tower small enough for a test, beside Transformers' own of the same dimensions."""

from dataclasses import asdict, replace

import torch
from transformers.models.deepseek_ocr2 import modeling_deepseek_ocr2 as reference
from transformers.models.deepseek_ocr2.configuration_deepseek_ocr2 import DeepseekOcr2Config

from benchmarks.tiny_tower import TINY
from deployments.model.vllm.vision import VisionOptions, VisionTower
from deployments.model.vllm.vision_config import VisionConfig
from deployments.model.vllm.weights import load_tower

# Patches of 4 pixels keep the real grids, 64 and 48, on views of 256 and 192 pixels.
CONFIG = replace(TINY, sam=replace(TINY.sam, patch_size=4), image_size=256, tile_size=192)


def reference_config(config: VisionConfig = CONFIG) -> DeepseekOcr2Config:
    sam = asdict(config.sam)
    sam["global_attn_indexes"] = list(sam["global_attn_indexes"])
    sam["downsample_channels"] = list(sam["downsample_channels"])
    encoder = asdict(config.encoder)
    theta = encoder.pop("rope_theta")
    return DeepseekOcr2Config(
        vision_config={
            "sam_config": {**sam, "image_size": config.image_size},
            "encoder_config": {
                **encoder,
                "vocab_size": 8,
                "rope_parameters": {"rope_type": "default", "rope_theta": theta},
            },
        },
        text_config={
            "hidden_size": config.output_size,
            "num_hidden_layers": 1,
            "num_attention_heads": 2,
            "intermediate_size": 16,
            "moe_intermediate_size": 8,
            "n_routed_experts": 2,
            "mlp_layer_types": ["dense"],
            "num_experts_per_tok": 1,
            "vocab_size": 8,
        },
    )


def reference_model(config: VisionConfig = CONFIG, seed: int = 0) -> torch.nn.Module:
    """Transformers' model with weights that make every term of the arithmetic count."""
    torch.manual_seed(seed)
    model = reference.DeepseekOcr2Model(reference_config(config)).eval()
    for name, parameter in model.named_parameters():
        norm = "norm" in name and name.endswith("weight")
        parameter.data = torch.randn_like(parameter) * (0.1 if norm else parameter.shape[-1] ** -0.5) + norm
    return model


RENAMES = (
    ("vision_tower.sam_encoder.layers.", "model.sam_model.blocks."),
    ("vision_tower.sam_encoder.patch_embed.projection.", "model.sam_model.patch_embed.proj."),
    ("vision_tower.sam_encoder.pos_embed", "model.sam_model.pos_embed"),
    ("vision_tower.sam_encoder.neck.conv1.", "model.sam_model.neck.0."),
    ("vision_tower.sam_encoder.neck.layer_norm1.", "model.sam_model.neck.1."),
    ("vision_tower.sam_encoder.neck.conv2.", "model.sam_model.neck.2."),
    ("vision_tower.sam_encoder.neck.layer_norm2.", "model.sam_model.neck.3."),
    ("vision_tower.sam_encoder.proj.conv1.", "model.sam_model.net_2."),
    ("vision_tower.sam_encoder.proj.conv2.", "model.sam_model.net_3."),
    ("vision_tower.vision_encoder.", "model.qwen2_model.model.model."),
    ("vision_tower.query_768_resolution.", "model.qwen2_model.query_768."),
    ("vision_tower.query_1024_resolution.", "model.qwen2_model.query_1024."),
    ("multi_modal_projector.", "model.projector.layers."),
    ("view_separator", "model.view_seperator"),
    (".layer_norm1.", ".norm1."),
    (".layer_norm2.", ".norm2."),
)


def official_weights(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    """The reference's vision weights under the checkpoint's names."""
    weights = {}
    for name, tensor in model.state_dict().items():
        if name.startswith("language_model."):
            continue
        official = name
        for ours, theirs in RENAMES:
            official = official.replace(ours, theirs)
        weights[official] = tensor
    return weights


def tower(
    model: torch.nn.Module, options: VisionOptions | None = None, config: VisionConfig = CONFIG
) -> VisionTower:
    """Our tower with the reference's weights."""
    ours = VisionTower(config, options or VisionOptions.plain()).eval().to(next(model.parameters()).dtype)
    rest = list(load_tower(ours, official_weights(model).items()))
    assert not rest
    return ours


def reference_pages(
    model: torch.nn.Module, views: torch.Tensor, tiles: torch.Tensor, counts: list[int]
) -> list[torch.Tensor]:
    """The reference's embeddings of pages, from the same bytes."""
    dtype = next(model.parameters()).dtype

    def normalise(pixels: torch.Tensor) -> torch.Tensor:
        return ((pixels.permute(0, 3, 1, 2).float() / 255 - 0.5) / 0.5).to(dtype)

    with torch.inference_mode():
        out = model.get_image_features(
            normalise(views), normalise(tiles) if len(tiles) else None, counts if len(tiles) else None
        )
    return list(out.pooler_output)
