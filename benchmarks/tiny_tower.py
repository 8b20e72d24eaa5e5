"""The dimensions of a vision tower that a CPU runs in no time."""

from deployments.model.vllm.vision_config import QueryEncoderConfig, SamConfig, VisionConfig

TINY = VisionConfig(
    sam=SamConfig(
        hidden_size=32,
        num_hidden_layers=3,
        num_attention_heads=2,
        mlp_dim=64,
        patch_size=1,
        global_attn_indexes=(1,),
        output_channels=16,
        downsample_channels=(24, 48),
    ),
    encoder=QueryEncoderConfig(
        hidden_size=48,
        num_hidden_layers=2,
        num_attention_heads=6,
        num_key_value_heads=2,
        intermediate_size=64,
    ),
    image_size=16,
    tile_size=16,
    output_size=40,
)
