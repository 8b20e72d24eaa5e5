"""The vision tower's dimensions.

The published configuration names the tower (`vision_config.model_name`: `deepencoderv2`) and leaves
its dimensions to the code beside it. The defaults here are those of the published module definitions
(`build_sam_vit_b` and `build_qwen2_decoder_as_encoder` of DeepSeek-OCR-2), and agree with the shapes
of the checkpoint's tensors. A configuration may give others in `vision_config.sam_config` and
`vision_config.encoder_config`, under the names Transformers' `deepseek_ocr2` uses for them.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Self, TypeVar

TOWER_NAME = "deepencoderv2"
"""The only tower that DeepSeek-OCR-2 has; another name means another model."""


@dataclass(frozen=True, slots=True)
class SamConfig:
    """SAM's ViT-B with a neck that halves the grid twice.

    Attributes:
        hidden_size: width of a token.
        num_hidden_layers: blocks.
        num_attention_heads: heads of each block.
        mlp_dim: width of the hidden layer of each block's perceptron.
        patch_size: side of a patch, in pixels.
        window_size: side of an attention window, in patches.
        global_attn_indexes: blocks that attend to the whole view instead.
        output_channels: channels of the neck.
        downsample_channels: channels after each of the two convolutions of stride 2.
        layer_norm_eps: of every LayerNorm, the neck's included.
    """

    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    mlp_dim: int = 3072
    patch_size: int = 16
    window_size: int = 14
    global_attn_indexes: tuple[int, ...] = (2, 5, 8, 11)
    output_channels: int = 256
    downsample_channels: tuple[int, int] = (512, 896)
    layer_norm_eps: float = 1e-6

    @property
    def head_dim(self) -> int:
        """Width of a head."""
        return self.hidden_size // self.num_attention_heads


@dataclass(frozen=True, slots=True)
class QueryEncoderConfig:
    """Qwen2-0.5B's layers, run over the image tokens followed by as many learned queries."""

    hidden_size: int = 896
    num_hidden_layers: int = 24
    num_attention_heads: int = 14
    num_key_value_heads: int = 2
    intermediate_size: int = 4864
    rms_norm_eps: float = 1e-6
    rope_theta: float = 1_000_000.0

    @property
    def head_dim(self) -> int:
        """Width of a head."""
        return self.hidden_size // self.num_attention_heads


T = TypeVar("T", SamConfig, QueryEncoderConfig)


@dataclass(frozen=True, slots=True)
class VisionConfig:
    """The whole tower.

    Attributes:
        sam: its first half.
        encoder: its second half.
        image_size: side of the global view, in pixels.
        tile_size: side of a tile, in pixels.
        output_size: width of the language model's tokens, onto which the projector maps.
    """

    sam: SamConfig = field(default_factory=SamConfig)
    encoder: QueryEncoderConfig = field(default_factory=QueryEncoderConfig)
    image_size: int = 1024
    tile_size: int = 768
    output_size: int = 1280

    def grid(self, side: int) -> int:
        """Patches along one side of a view of `side` pixels."""
        return side // self.sam.patch_size

    def tokens(self, side: int) -> int:
        """Tokens of a view of `side` pixels: the neck halves the grid twice."""
        return (self.grid(side) // 4) ** 2

    @property
    def view_tokens(self) -> int:
        """Tokens of the global view (256)."""
        return self.tokens(self.image_size)

    @property
    def tile_tokens(self) -> int:
        """Tokens of a tile (144)."""
        return self.tokens(self.tile_size)

    @classmethod
    def from_hf(cls, config: Any) -> Self:
        """Read a model's configuration (`DeepseekVLV2Config`).

        Raises:
            ValueError: it is of another tower, or its parts don't fit together.
        """
        vision, projector = config.vision_config, config.projector_config
        name = getattr(vision, "model_name", None)
        if name != TOWER_NAME:
            raise ValueError(
                f"vision_config.model_name is {name!r}, and this tower is {TOWER_NAME!r}: "
                "the folder holds another model."
            )
        sam = _read(SamConfig, getattr(vision, "sam_config", None))
        encoder = _read(QueryEncoderConfig, getattr(vision, "encoder_config", None))
        if projector.projector_type != "linear" or projector.input_dim != encoder.hidden_size:
            raise ValueError(
                "projector_config must be linear from the query encoder's "
                f"{encoder.hidden_size} numbers, not {projector.projector_type!r} from {projector.input_dim}."
            )
        if sam.downsample_channels[-1] != encoder.hidden_size:
            raise ValueError(
                f"sam_config ends in {sam.downsample_channels[-1]} channels and encoder_config takes "
                f"{encoder.hidden_size}: they must be the same."
            )
        return cls(
            sam=sam,
            encoder=encoder,
            image_size=vision.image_size,
            tile_size=getattr(vision, "tile_size", 768),
            output_size=projector.n_embed,
        )


def _read(kind: type[T], given: Mapping[str, Any] | None) -> T:
    known = {f.name for f in fields(kind)}
    values: dict[str, Any] = {name: value for name, value in (given or {}).items() if name in known}
    values = {name: tuple(v) if isinstance(v, list) else v for name, v in values.items()}
    return kind(**values)
