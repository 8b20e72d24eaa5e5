"""How jobs are kept and worked on."""

from pydantic import BaseModel, ConfigDict, Field, SecretStr


class JobSettings(BaseModel):
    """Jobs. What is None follows from the engine and the cluster."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    directory: str = Field(
        "~/.local/state/dsocr/jobs",
        description="Where jobs are kept: a folder, s3://bucket/prefix or gs://bucket/prefix. On several "
        "machines it must be one that all of them reach.",
    )
    num_cpus: float = Field(
        0, ge=0, description="CPUs that the runner reserves; with 0 it may be placed on a head without any."
    )
    max_pages: int = Field(5_000, ge=1, description="Pages that one job may ask for.")
    max_unfinished: int = Field(100, ge=1, description="Jobs that wait or run; more get 429.")
    max_running: int = Field(4, ge=1, description="Jobs that are read side by side.")
    pages_in_flight: int | None = Field(
        None,
        ge=1,
        description="Pages of all jobs under way at once; None takes a quarter of the model's places.",
    )
    page_attempts: int = Field(8, ge=1, description="How often a page is tried that fails for now.")
    unavailable_s: float = Field(
        3600, ge=0, description="How long a page waits for a service that has no engine or is full."
    )
    storage_retry_s: float = Field(
        30, gt=0, description="Pause of a job whose directory is full or can't be written."
    )
    max_wait_s: float = Field(60, gt=0, description="Longest pause between two such attempts.")
    keep_s: float = Field(7 * 86400, gt=0, description="How long a job is kept after its end.")
    max_kept: int = Field(
        10_000, ge=1, description="Ended jobs that are kept; older ones go before their time."
    )
    sweep_s: float = Field(60, gt=0, description="How often jobs are looked through for those to be deleted.")
    beat_s: float = Field(2, gt=0, description="How often the runner renews its claim on the directory.")
    stale_s: float = Field(10, gt=0, description="A claim that is not renewed for so long is void.")
    patience_s: float = Field(20, gt=0, description="How long a request waits while the claim changes hands.")
    max_event_streams: int = Field(200, ge=1, description="Progress streams of one ingress replica at once.")
    webhook_secret: SecretStr | None = Field(
        None, min_length=16, description="Key of the webhooks' signatures; without it webhooks are refused."
    )
    webhook_attempts: int = Field(8, ge=1, description="How often a webhook is tried, with growing pauses.")
    webhook_timeout_s: float = Field(10, gt=0, description="Longest time for one try.")
    webhook_to_private_networks: bool = Field(
        False,
        description="Whether webhooks may go to loopback and private networks, also over plain http.",
    )
