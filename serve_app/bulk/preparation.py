"""How the workers of a job open documents and prepare their pages.

PDFs and TIFFs are opened in a process that may die of them; see `deployments.preprocess.sandbox`. Each
worker has one, for as long as it lives.
"""

import functools
from dataclasses import dataclass, field

from deployments.preprocess.documents import inspect
from deployments.preprocess.orientation import find_orientation
from deployments.preprocess.preprocessor import Preprocessor
from deployments.preprocess.sandbox import Sandbox
from deployments.preprocess.settings import DocumentLimits, OrientationSettings, SandboxSettings, ViewSettings
from deployments.tokenizer import find_tokenizer, load_tokenizer
from deployments.types import DocumentInfo, EngineInput


@dataclass(frozen=True, slots=True)
class Preparation:
    """What a worker needs to know to open documents and to make its `Preprocessor`."""

    limits: DocumentLimits
    sandbox: SandboxSettings
    views: ViewSettings
    takes: EngineInput
    model: str
    revision: str | None
    orientation: OrientationSettings = field(default_factory=OrientationSettings)

    def preprocessor(self) -> Preprocessor:
        """Return this process's own, made once: reading the tokenizer takes a while."""
        return _preprocessor(self)

    def inspect(self, data: bytes) -> DocumentInfo:
        """Say what a file is and how many pages it has.

        Raises:
            OcrError: as `Sandbox.open`.
        """
        sandbox = _sandbox(self)
        if sandbox is None:
            return inspect(data, self.limits)
        with sandbox.open(data) as document:
            return document.info

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
