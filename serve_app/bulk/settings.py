"""How a bulk job goes about its work."""

from pydantic import BaseModel, ConfigDict, Field


class BulkSettings(BaseModel):
    """A bulk job. What is None follows from the engine and the cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    group_pages: int = Field(
        16, ge=1, le=512, description="Pages for which a file is opened once, and that one part file holds."
    )
    pages_in_flight: int | None = Field(
        None,
        ge=1,
        description="Pages that an engine has at once; None takes scaling.model.max_ongoing_requests.",
    )
    preparing: int | None = Field(None, ge=1, description="Documents that are drawn at once for an engine.")
    flush_s: float = Field(2.0, gt=0, description="Longest time that a finished page waits to be written.")
    page_timeout_s: float = Field(
        1800, gt=0, description="Longest time for one page in the engine, all attempts counted."
    )
    rows_per_file: int = Field(
        2_000, ge=1, description="Pages in one file of the output, more for a longer document."
    )
    max_lost_blocks: int = Field(
        100, ge=0, description="Blocks of work that may be lost to dying workers before a pass is given up."
    )
    progress_s: float = Field(
        30, gt=0, description="Between two lines of progress, where there is no terminal."
    )
