"""What can be set on the embedded engine."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class EmbeddedSettings(BaseModel):
    """The embedded engine.

    Attributes:
        weights: PP-OCRv6 `tiny` is three times as fast as `small` and nearly as exact.
        layout: whether a layout model labels titles, figures, tables and captions; without it
            structure comes from geometry alone.
        layout_confidence: least score of a layout region.
        text_confidence: lines read with a lower mean score are left out, as in a picture's texture.
        detection_side: longest side, in pixels, of the page in which lines are looked for; larger
            pages are scaled down for that step alone.
        max_concurrent_pages: most pages worked on at the same time, and never more than the engine has
            threads. One thread a page is faster than several: a line is too little work to share.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    weights: Literal["tiny", "small"] = "tiny"
    layout: bool = True
    layout_confidence: float = Field(default=0.4, gt=0, lt=1)
    text_confidence: float = Field(default=0.5, ge=0, lt=1)
    detection_side: int = Field(default=1696, ge=320, le=4096)
    max_concurrent_pages: int = Field(default=4, ge=1, le=256)

    @property
    def model(self) -> str:
        """What this engine runs, as replies name it."""
        return f"embedded-ppocrv6-{self.weights}"
