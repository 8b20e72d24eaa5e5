"""Whether there is a page for people."""

from pydantic import BaseModel, ConfigDict, Field


class UiSettings(BaseModel):
    """The page at `/ui`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool | None = Field(
        None, description="Whether the page is served; None serves it where gradio is installed (dsocr[ui])."
    )
