"""All scores of pages, and what they come to for each kind of document."""

from collections.abc import Sequence
from dataclasses import dataclass

from benchmarks.reading.answer import Answer
from benchmarks.reading.confidence import Estimate, ratio_of_sums
from benchmarks.reading.distances import best_fit, edits, lost_and_invented, order_distance
from benchmarks.reading.normal_text import folded, truth_text, unmarked, words
from benchmarks.reading.structure_scores import best_overlaps, count_headings, headings_in
from benchmarks.reading.table_scores import score_tables, tables_in
from benchmarks.reading.truth import HEADS_AND_FEET, TruthBlock, TruthPage
from deployments.types import BlockType, Box

_PROSE = (BlockType.TEXT, BlockType.LIST, BlockType.CAPTION, BlockType.REFERENCES, BlockType.TITLE)

METRICS: dict[str, tuple[str, bool]] = {
    "cer": ("characters wrong, whole page in order", False),
    "block_cer": ("characters wrong, each block where it is found", False),
    "edit_distance": ("edit distance over the longer text", False),
    "lost": ("words of the page that are missing", False),
    "invented": ("words that are not on the page", False),
    "order": ("distance from reading order", False),
    "cell_f1": ("cells right in place, span and text", True),
    "teds": ("likeness of tables as trees", True),
    "heading_f1": ("headings known for headings", True),
    "box_iou": ("overlap of boxes", True),
    "runaway": ("pages that ran away", False),
    "failed": ("pages that failed", False),
    "seconds": ("seconds a page", False),
    "cpu_seconds": ("processor seconds a page", False),
}
"""Each score's meaning, and whether more of it is better."""


@dataclass(frozen=True, slots=True)
class PageScore:
    """A page's scores, each as the two numbers whose sums over pages are divided.

    Attributes:
        page: that was read.
        answer: how it was read.
        parts: numerator and denominator by metric; a metric that does not apply is left out.
    """

    page: TruthPage
    answer: Answer
    parts: dict[str, tuple[float, float]]

    def value(self, metric: str) -> float | None:
        """Return one score, or None where it does not apply."""
        top, bottom = self.parts.get(metric, (0.0, 0.0))
        return top / bottom if bottom else None


def score_page(page: TruthPage, answer: Answer) -> PageScore:
    """Compare what was read with what stands on a page."""
    text = unmarked(answer.markdown)
    truth = truth_text(page.blocks)
    parts: dict[str, tuple[float, float]] = {
        "runaway": (answer.ran_away, 1),
        "failed": (answer.error is not None, 1),
        "seconds": (answer.seconds, 1),
    }
    if answer.cpu_seconds is not None:
        parts["cpu_seconds"] = (answer.cpu_seconds, 1)
    has_equations = any(block.type is BlockType.EQUATION for block in page.blocks)
    if not has_equations:
        lost, invented, wanted = lost_and_invented(truth, text)
        parts["lost"], parts["invented"] = (lost, wanted), (invented, wanted)
        if page.whole:
            distance = edits(truth, text)
            parts["cer"] = (distance, len(truth))
            parts["edit_distance"] = (distance / max(len(truth), len(text), 1), 1)
    parts["block_cer"] = _block_errors(page, text)
    if page.whole:
        parts |= _structure(page, answer, text)
    return PageScore(page, answer, {name: part for name, part in parts.items() if part[1]})


def summarise(scores: Sequence[PageScore]) -> dict[str, dict[str, Estimate]]:
    """Return the estimates of each metric for each kind of document, and for all of them under `all`."""
    kinds = {"all": list(scores)}
    for score in scores:
        kinds.setdefault(score.page.kind, []).append(score)
    summary: dict[str, dict[str, Estimate]] = {}
    for kind, members in kinds.items():
        found = {
            metric: ratio_of_sums([score.parts[metric] for score in members if metric in score.parts])
            for metric in METRICS
        }
        summary[kind] = {metric: estimate for metric, estimate in found.items() if estimate is not None}
    return summary


def _structure(page: TruthPage, answer: Answer, text: str) -> dict[str, tuple[float, float]]:
    parts: dict[str, tuple[float, float]] = {}
    running = [block for block in page.blocks if block.type not in HEADS_AND_FEET]
    order = order_distance([unmarked(block.text) for block in running if block.type in _PROSE], text)
    if order is not None:
        parts["order"] = (order, 1)
    grids = tables_in("\n".join(block.text for block in page.blocks if block.type is BlockType.TABLE))
    if grids:
        cells, likeness = score_tables(grids, tables_in(answer.markdown))
        parts["cell_f1"] = (2 * cells.right, cells.wanted + cells.written)
        parts["teds"] = (sum(likeness), len(likeness))
    headings = [folded(block.text) for block in page.blocks if block.type is BlockType.TITLE]
    right, wanted, written = count_headings(headings, headings_in(answer.markdown))
    if wanted + written and answer.blocks is not None:
        parts["heading_f1"] = (2 * right, wanted + written)
    boxes = [block.box for block in page.blocks if block.box is not None]
    if boxes and answer.blocks is not None:
        overlaps = best_overlaps(boxes, [block.box for block in answer.blocks if block.box is not None])
        parts["box_iou"] = (sum(overlaps), len(overlaps))
    return parts


def _block_errors(page: TruthPage, text: str) -> tuple[float, float]:
    """Return edits and characters of the page's prose, each block where the text has it best."""
    distance = length = 0
    for block in page.blocks:
        if block.type not in _PROSE:
            continue
        wanted = unmarked(block.text)
        if page.whole or _is_prose(block, wanted):
            if not page.whole:
                # A text layer can't tell a hyphen at a line's end from a word's own.
                wanted = wanted.replace("- ", "").replace("-", "")
            given = text if page.whole else text.replace("-", "")
            distance += best_fit(wanted, given).distance
            length += len(wanted)
    return distance, length


def _is_prose(block: TruthBlock, text: str) -> bool:
    """Tell running text from a figure's labels and a formula's pieces in a text layer."""
    letters = sum(character.isalpha() or character == " " for character in text)
    plain = sum(word.isascii() for word in words(text))
    cjk = any("\u3400" <= character <= "\u9fff" for character in text)
    return len(text) >= 100 and letters > 0.85 * len(text) and (cjk or plain > 0.97 * len(words(text)))


def boxes_of(blocks: Sequence[TruthBlock]) -> list[Box]:
    """Return the boxes that are known."""
    return [block.box for block in blocks if block.box is not None]
