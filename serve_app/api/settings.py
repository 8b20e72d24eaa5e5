"""Limits and timings of the HTTP interface."""

import contextlib
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from serve_app.fetching import FetchSettings

_FORM_BYTES = 64 * 1024
"""Room in a body for what is not the document: the other fields, part headers, boundaries."""


def _as_word(value: Any) -> Any:
    """Give back the words that YAML takes for booleans."""
    return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


Authentication = Annotated[Literal["auto", "on", "off"], BeforeValidator(_as_word)]


class ApiSettings(BaseModel):
    """What a request may ask for, and how replies behave."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    model_name: str | None = Field(None, description="Name that replies carry; by default the engine's own.")
    max_document_bytes: int = Field(100 * 2**20, ge=1, description="Largest document; as Preprocess has it.")
    max_pages_per_request: int = Field(100, ge=1, description="Pages that one request may ask for.")
    max_concurrent_requests: int = Field(
        64,
        ge=1,
        description="Documents under way at once in an ingress replica; more get 429. Where it is not set, "
        "it grows with a GPU's engine, to 320 for 1,024 sequences.",
    )
    max_concurrent_requests_per_key: int | None = Field(
        None, ge=1, description="Of these, with one API key; by default three quarters."
    )
    requests_per_minute: float | None = Field(
        None,
        gt=0,
        description="Documents that one key may send, at each ingress replica; no limit by default.",
    )
    request_burst: int = Field(10, ge=1, description="Documents that one key may send at once after a pause.")
    authentication: Authentication = Field(
        "auto",
        description="Whether requests need an API key: always (`on`), never (`off`), or, with `auto`, "
        "unless the service listens on loopback and the request comes from this machine.",
    )
    keys_file: Path = Field(
        Path("~/.config/dsocr/keys"), description="Hashes of API keys; `dsocr keys new` adds to it."
    )
    request_timeout_s: float = Field(600, gt=0, description="Longest time for one request, upload included.")
    heartbeat_s: float = Field(15, gt=0, description="A silent stream gets a comment line that often.")
    delta_interval_s: float = Field(0.1, ge=0, description="Text of a stream is gathered for that long.")
    max_pdf_processes: int = Field(2, ge=1, description="PDFs and pictures of pages in the making at once.")
    fetch: FetchSettings = Field(default_factory=FetchSettings)
    unavailable_retry_s: int = Field(5, ge=1, description="`Retry-After` while no engine is ready.")

    @property
    def keys_path(self) -> Path:
        """Where the file of keys is; `~` stays as it is for a user without a home."""
        with contextlib.suppress(RuntimeError):
            return self.keys_file.expanduser()
        return self.keys_file

    @property
    def max_form_bytes(self) -> int:
        """Largest multipart body."""
        return self.max_document_bytes + _FORM_BYTES

    @property
    def max_json_bytes(self) -> int:
        """Largest JSON body: base64 writes three bytes as four characters (RFC 4648, section 4)."""
        return (self.max_document_bytes + 2) // 3 * 4 + _FORM_BYTES
