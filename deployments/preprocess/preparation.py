"""What decides how documents are opened and their pages prepared, and what a process makes of it.

PDFs and TIFFs are opened in a process that may die of them; see `deployments.preprocess.sandbox`. Each
process that prepares pages has one such, for as long as it lives.
"""

import functools
from dataclasses import dataclass, field

from deployments.preprocess import documents
from deployments.preprocess.orientation import find_orientation
from deployments.preprocess.preprocessor import Preprocessor
from deployments.preprocess.sandbox import Sandbox
from deployments.preprocess.settings import DocumentLimits, OrientationSettings, SandboxSettings, ViewSettings
from deployments.tokenizer import find_tokenizer, load_tokenizer
from deployments.types import DocumentInfo, EngineInput


@dataclass(frozen=True, slots=True)
class Preparation:
    """Travels to the processes that prepare pages, where a `Preprocessor` can't.

    Attributes:
        limits: what is read at all.
        sandbox: of the process that opens PDFs and TIFFs.
        views: geometry of the model's views.
        takes: which part of a prepared page the engine reads.
        model: whose tokenizer writes prompts, where the engine takes views.
        revision: of the model.
        orientation: whether turned pages are turned back.
    """

    limits: DocumentLimits
    sandbox: SandboxSettings
    views: ViewSettings
    takes: EngineInput
    model: str
    revision: str | None
    orientation: OrientationSettings = field(default_factory=OrientationSettings)

    def preprocessor(self) -> Preprocessor:
        """Return this process's own, made once: reading the tokenizer takes a while.

        Raises:
            ConfigurationError: the tokenizer, or the weights that find turned pages, can't be had.
        """
        return _preprocessor(self)

    def inspect(self, data: bytes) -> DocumentInfo:
        """Say what a file is; needs nothing that only drawing needs.

        Raises:
            OcrError: as `Sandbox.open`.
        """
        sandbox = _sandbox(self)
        if sandbox is None:
            return documents.inspect(data, self.limits)
        with sandbox.open(data) as document:
            return document.info

    def start(self) -> None:
        """Start this process's sandbox, where there is to be one, before the first document needs it."""
        sandbox = _sandbox(self)
        if sandbox is not None:
            sandbox.start()

    def close(self) -> None:
        """End this process's sandbox, if there is one. Idempotent; later work starts another."""
        sandbox = _sandbox(self)
        if sandbox is not None:
            sandbox.close()

    def new_sandbox(self) -> Sandbox | None:
        """Return a new sandbox, or None where the settings want none."""
        return Sandbox(self.limits, self.sandbox) if self.sandbox.enabled else None


@functools.lru_cache(maxsize=1)
def _sandbox(spec: Preparation) -> Sandbox | None:
    return spec.new_sandbox()


@functools.lru_cache(maxsize=1)
def _preprocessor(spec: Preparation) -> Preprocessor:
    takes_views = spec.takes is EngineInput.VIEWS
    tokenizer = load_tokenizer(find_tokenizer(spec.model, spec.revision)) if takes_views else None
    return Preprocessor(
        spec.limits, spec.views, spec.takes, tokenizer, _sandbox(spec), find_orientation(spec.orientation)
    )
