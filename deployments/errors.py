"""Everything that can go wrong, as one tree.

    OcrError
    ├── InvalidRequest              400  a parameter is wrong
    │   └── AddressRefused               an address that is not fetched
    ├── Unauthenticated             401  no API key, or none that is known
    ├── ModelNotFound               404  the model asked for does not run here
    ├── InvalidDocument             422  the file can't be read
    │   ├── EmptyDocument
    │   ├── CorruptDocument
    │   ├── EncryptedDocument
    │   ├── DocumentUnavailable          not there, or its storage does not give it
    │   └── CorruptPage                  this page alone
    ├── UnsupportedMediaType        415
    ├── LimitExceeded               413
    │   ├── DocumentTooLarge             bytes
    │   ├── TooManyPixels                one page
    │   └── TooManyPages
    ├── JobNotFound                 404
    ├── NoResult                    409  the job has not ended, or was cancelled
    ├── QueueFull                   429  try later
    │   └── RateLimited                  one caller sends more than its share
    ├── EngineUnavailable           503  not started yet, died or stopping; try later
    ├── StageLost                   503  a replica died under this request; worth one more try
    ├── GenerationFailed            500  the engine failed on this page
    │   └── FatalPage                    … and died of it, each time
    ├── ProcessingTimeout           504
    └── ConfigurationError          500  settings that can't work; raised at start, not to users

A class owns its code and HTTP status; a message says what is wrong and what to do. Errors are
raised where the cause is known and turned into a reply in `serve_app.api.errors` alone. They
cross process boundaries, so every one is made from a message and at most the name of a parameter.
"""

from typing import ClassVar


class OcrError(Exception):
    """Base of the tree.

    Attributes:
        message: one or two sentences for the person who sent the request.
        param: the request's field that is wrong, where there is one.
        code: stable, snake_case, for programs.
        status: HTTP status.
        retryable: whether the same request may succeed later.
        retry_after_s: seconds after which it may, where that is known.
    """

    code: ClassVar[str] = "internal_error"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    retry_after_s: int | None = None

    def __init__(self, message: str, param: str | None = None) -> None:
        super().__init__(message, param)
        self.message = message
        self.param = param

    def __str__(self) -> str:
        return self.message


class InvalidRequest(OcrError):
    """A parameter is missing, malformed or out of range."""

    code = "invalid_parameter"
    status = 400


class AddressRefused(InvalidRequest):
    """An address that may not be fetched; nothing was sent to it."""

    code = "address_refused"


class Unauthenticated(OcrError):
    """The request has no API key, or none that is known."""

    code = "invalid_api_key"
    status = 401


class ModelNotFound(OcrError):
    """The model asked for does not run here."""

    code = "model_not_found"
    status = 404


class UnsupportedMediaType(OcrError):
    """The bytes are of no type we read."""

    code = "unsupported_media_type"
    status = 415


class InvalidDocument(OcrError):
    """The file can't be read; resending it won't help."""

    code = "invalid_document"
    status = 422


class EmptyDocument(InvalidDocument):
    """No bytes, or no pages."""

    code = "empty_document"


class CorruptDocument(InvalidDocument):
    """The type is known, but the file is damaged."""

    code = "corrupt_document"


class EncryptedDocument(InvalidDocument):
    """A PDF that needs a password."""

    code = "encrypted_document"


class DocumentUnavailable(InvalidDocument):
    """There is nothing at the document's address, or its storage does not give it."""

    code = "document_unavailable"
    retryable = True


class CorruptPage(InvalidDocument):
    """One page of a readable document can't be drawn."""

    code = "corrupt_page"


class LimitExceeded(OcrError):
    """The input is over one of the configured limits."""

    code = "limit_exceeded"
    status = 413


class DocumentTooLarge(LimitExceeded):
    """More bytes than allowed."""

    code = "document_too_large"


class TooManyPixels(LimitExceeded):
    """A page image with more pixels than allowed."""

    code = "too_many_pixels"


class TooManyPages(LimitExceeded):
    """More pages than one request may ask for."""

    code = "too_many_pages"


class JobNotFound(OcrError):
    """There is no such job, or no longer."""

    code = "job_not_found"
    status = 404


class NoResult(OcrError):
    """The job has no result: not yet, or because it was cancelled."""

    code = "no_result"
    status = 409


class QueueFull(OcrError):
    """As much work waits as the service accepts."""

    code = "queue_full"
    status = 429
    retryable = True


class RateLimited(QueueFull):
    """One caller sends more requests than it may, or has more under way."""

    code = "rate_limit_exceeded"


class EngineUnavailable(OcrError):
    """No engine is ready: it is starting, or it died and is being replaced, or the service is stopping."""

    code = "engine_unavailable"
    status = 503
    retryable = True


class StageLost(OcrError):
    """The process that worked on the request died; another one may do it."""

    code = "stage_lost"
    status = 503
    retryable = True


class GenerationFailed(OcrError):
    """The engine failed on this page and goes on with others."""

    code = "generation_failed"
    status = 500


class FatalPage(GenerationFailed):
    """The engine's process dies of this page; others are read without it."""

    code = "fatal_page"


class ProcessingTimeout(OcrError):
    """The page took longer than allowed."""

    code = "processing_timeout"
    status = 504
    retryable = True


class ConfigurationError(OcrError):
    """A setting, a model folder or an installed version that can't work."""

    code = "configuration_error"
    status = 500
