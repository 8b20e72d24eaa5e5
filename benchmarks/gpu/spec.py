"""What one run measures, how it travels to the run's process, and what comes back."""

import dataclasses
import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self


@dataclass(frozen=True)
class Phase:
    """One load on a running engine.

    Attributes:
        label: its name in the results.
        mean_tokens: mean length of an answer.
        settle_s: from the first page sent to the beginning of the steady window.
        window_s: length of the steady window; no page is sent after its end.
        drain: whether what is under way then is finished, for the whole run's figures, or dropped.
        ngram_size: of the no-repeat rule; 0 switches it off.
        repeat: which of several like it this is; added to the run's seed.
    """

    label: str
    mean_tokens: float = 1_000
    settle_s: float = 15
    window_s: float = 60
    drain: bool = True
    ngram_size: int = 20
    repeat: int = 0


@dataclass(frozen=True)
class Spec:
    """One run: a mode, its engine's settings, and the phases of load.

    Attributes:
        name: of the run; its files are named by it.
        mode: which module of this package runs it.
        model: folder of the model.
        out: where its files go.
        pages_pdf: the document whose pages are read.
        distinct_pages: how many pages are prepared; they are read again and again.
        in_flight: pages under way, as a share of `max_num_seqs`.
        primed: whether the engine begins with half-written pages, as in its steady state.
        breakdown: whether the parts of a page's time are measured after the phases.
        seed: of lengths and pixels.
        phases: one after the other on one engine.
        vllm: settings of the engine: `VllmSettings` in our modes, `AsyncEngineArgs` in the stock modes.
        options: what only one mode knows.
    """

    name: str
    mode: str
    model: str
    out: str
    pages_pdf: str
    distinct_pages: int = 32
    in_flight: float = 1.25
    primed: bool = True
    breakdown: bool = False
    seed: int = 1
    phases: tuple[Phase, ...] = (Phase("main"),)
    vllm: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def path(self) -> Path:
        """Where the spec is written."""
        return Path(self.out) / f"{self.name}.spec.json"

    @property
    def result_path(self) -> Path:
        """Where the run's process writes what it measured."""
        return Path(self.out) / f"{self.name}.json"

    @property
    def complete_path(self) -> Path:
        """A file that appears once nothing more will be measured."""
        return Path(self.out) / f"{self.name}.complete"

    def write(self) -> None:
        """Write the spec to its place."""
        self.path.write_text(json.dumps(dataclasses.asdict(self), indent=1))

    @classmethod
    def from_command_line(cls) -> Self:
        """Read the spec that the command line names."""
        tree = json.loads(Path(sys.argv[1]).read_text())
        return cls(**{**tree, "phases": tuple(Phase(**phase) for phase in tree["phases"])})

    def write_result(self, result: dict[str, Any]) -> None:
        """Write what was measured so far; a later call replaces it."""
        self.result_path.write_text(json.dumps(result, indent=1))
