"""The metrics of the quality benchmark, on texts small enough to count by hand."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rapidfuzz.distance import Levenshtein

from benchmarks.reading.answer import Answer
from benchmarks.reading.confidence import ratio_of_sums
from benchmarks.reading.distances import best_fit, lost_and_invented, order_distance
from benchmarks.reading.drawn_pages import KINDS, generated
from benchmarks.reading.normal_text import truth_text, unmarked
from benchmarks.reading.olmocr_bench import check
from benchmarks.reading.scores import score_page, summarise
from benchmarks.reading.structure_scores import count_headings, overlap
from benchmarks.reading.table_scores import score_tables, tables_in, teds
from benchmarks.reading.truth import TruthBlock, TruthPage
from deployments.types import Block, BlockType, Box

TABLE = "<table><tr><td>a</td><td>b</td></tr><tr><td>1</td><td>2</td></tr></table>"
TEXTS = st.text(alphabet="abc ", max_size=12)


def test_markdown_says_the_same_as_plain_text() -> None:
    markdown = "# The *Harbour*\n\n- one\n- two\n\n![img-0.png](img-0.png)\n\n“It’s ﬁne” — done" + TABLE
    assert unmarked(markdown.replace("*", "")) == 'The Harbour one two "It\'s fine" - done a b 1 2'


def test_spaces_beside_chinese_say_nothing() -> None:
    assert unmarked("文档 识别 2024 年") == "文档识别2024年"


@given(TEXTS, TEXTS)
def test_the_best_fit_is_that_of_the_nearest_part(pattern: str, text: str) -> None:
    parts = (text[i:j] for i in range(len(text) + 1) for j in range(i, len(text) + 1))
    assert best_fit(pattern, text).distance == min(Levenshtein.distance(pattern, part) for part in parts)


def test_words_lost_and_invented_do_not_depend_on_order() -> None:
    assert lost_and_invented("the ship left the quay", "quay left the ship ship") == (1, 1, 5)


def test_order_is_right_wrong_or_unknown() -> None:
    blocks = ["the first paragraph", "a second paragraph", "and then the third"]
    assert order_distance(blocks, " ".join(blocks)) == 0
    assert order_distance(blocks, " ".join(blocks[::-1])) == pytest.approx(2 / 3)
    assert order_distance(blocks, "nothing of the kind stands here") is None


def test_cells_count_where_they_stand() -> None:
    (truth,) = tables_in(TABLE)
    assert score_tables([truth], [truth])[0].f1 == 1
    (moved,) = tables_in(TABLE.replace("<td>a</td><td>b</td>", "<td>b</td><td>a</td>"))
    cells, _ = score_tables([truth], [moved])
    assert (cells.right, cells.wanted, cells.written) == (2, 4, 4)
    cells, likeness = score_tables([truth], [])
    assert (cells.f1, likeness) == (0, [0])
    cells, _ = score_tables([], [truth])
    assert (cells.right, cells.wanted, cells.written) == (0, 0, 4)


def test_a_pipe_table_is_a_table() -> None:
    (truth,) = tables_in(TABLE)
    (pipe,) = tables_in("| a | b |\n| --- | --- |\n| 1 | 2 |")
    assert score_tables([truth], [pipe])[0].f1 == 1
    assert teds(truth, pipe) == 1


def test_a_wrong_cell_lowers_the_likeness_of_trees_by_its_share() -> None:
    (truth,), (wrong,) = tables_in(TABLE), tables_in(TABLE.replace("1", "x"))
    assert teds(truth, wrong) == pytest.approx(1 - 1 / 7)


def test_headings_match_but_for_misread_letters() -> None:
    assert count_headings(["The Harbour Book", "Ships"], ["The Harbonr Book", "Timber"]) == (1, 2, 2)


def test_boxes_overlap_by_area() -> None:
    assert overlap(Box(0, 0, 10, 10), Box(5, 0, 15, 10)) == pytest.approx(1 / 3)
    assert overlap(Box(0, 0, 10, 10), Box(20, 0, 30, 10)) == 0


def test_an_interval_holds_its_value_and_is_the_same_each_time() -> None:
    rng = random.Random(1)
    parts = [(float(rng.randint(0, 5)), 100.0) for _ in range(40)]
    first, second = ratio_of_sums(parts), ratio_of_sums(parts)
    assert first == second
    assert first is not None
    assert first.low < first.value < first.high
    assert ratio_of_sums([(1, 0)]) is None


def page(*blocks: TruthBlock, whole: bool = True) -> TruthPage:
    return TruthPage("page", "kind", b"%PDF-", blocks, whole=whole)


def test_a_page_read_as_it_stands_has_no_faults() -> None:
    truth = page(
        TruthBlock(BlockType.TITLE, "The Harbour Book", Box(0, 0, 100, 20)),
        TruthBlock(BlockType.TEXT, "The harbour master counted ships.", Box(0, 30, 100, 60)),
        TruthBlock(BlockType.TABLE, TABLE, Box(0, 70, 100, 99)),
    )
    blocks = tuple(Block(block.type, "", block.box, block.text) for block in truth.blocks)
    markdown = f"# The Harbour Book\n\nThe harbour master counted ships.\n\n{TABLE}"
    score = score_page(truth, Answer(markdown, blocks))
    perfect = {"cer": 0, "block_cer": 0, "lost": 0, "invented": 0, "order": 0, "failed": 0, "runaway": 0}
    perfect |= {"cell_f1": 1, "teds": 1, "heading_f1": 1, "box_iou": 1}
    assert {metric: score.value(metric) for metric in perfect} == perfect
    summary = summarise([score, score])
    assert summary["kind"]["cell_f1"].value == summary["all"]["cell_f1"].value == 1


def test_a_text_layer_without_order_is_scored_without_order() -> None:
    prose = (
        "Timber is unloaded on the north quay and grain on the south quay where carts wait every morning. "
        * 2
    )
    truth = page(TruthBlock(BlockType.TEXT, prose), TruthBlock(BlockType.TEXT, "0.25 0.5"), whole=False)
    score = score_page(truth, Answer(f"0.25 0.5\n\n{prose.replace('grain', 'groin', 1)}"))
    assert score.value("cer") is None
    assert score.value("block_cer") == pytest.approx(1 / len(truth_text([truth.blocks[0]])), rel=0.05)
    assert score.value("lost") == pytest.approx(1 / 38, rel=0.1)


def test_a_page_that_failed_counts() -> None:
    score = score_page(page(TruthBlock(BlockType.TEXT, "Some text")), Answer(error="no", ran_away=True))
    assert (score.value("failed"), score.value("runaway"), score.value("cer")) == (1, 1, 1)


@pytest.mark.parametrize(
    ("test", "outcome"),
    [
        ({"type": "present", "text": "north quay", "max_diffs": 0}, "passed"),
        ({"type": "present", "text": "north qvay", "max_diffs": 0}, "failed"),
        ({"type": "present", "text": "north qvay", "max_diffs": 1}, "passed"),
        ({"type": "present", "text": "NORTH", "case_sensitive": False}, "passed"),
        ({"type": "present", "text": "north", "first_n": 5}, "failed"),
        ({"type": "absent", "text": "Page 7", "last_n": 20}, "passed"),
        ({"type": "absent", "text": "Timber"}, "failed"),
        ({"type": "order", "before": "Timber", "after": "quay", "max_diffs": 0}, "passed"),
        ({"type": "order", "before": "quay", "after": "Timber", "max_diffs": 0}, "failed"),
        ({"type": "table", "cell": "2", "up": "b", "left": "1"}, "passed"),
        ({"type": "table", "cell": "2", "up": "a"}, "failed"),
        ({"type": "table", "cell": "2", "top_heading": "b", "left_heading": "1"}, "passed"),
        ({"type": "math", "math": "x^2"}, "passed"),
        ({"type": "math", "math": "x^3"}, "failed"),
        ({"type": "format", "format": "heading", "text": "Quays"}, "passed"),
        ({"type": "format", "format": "bold", "text": "Quays"}, "not run"),
        ({"type": "footnote", "marker": "1"}, "not run"),
        ({"type": "baseline"}, "passed"),
        ({"type": "baseline", "max_length": 10}, "failed"),
    ],
)
def test_olmocr_benchs_tests(test: dict[str, object], outcome: str) -> None:
    markdown = f"## Quays\n\nTimber is on the north quay.\n\n{TABLE}\n\n$$ x^{{2}} + 1 $$"
    assert check(test, markdown) == outcome


def test_a_page_that_repeats_itself_fails_the_baseline() -> None:
    assert check({"type": "baseline"}, "The start. " + "again " * 200) == "failed"
    assert check({"type": "baseline"}, "") == "failed"


def test_generated_pages_are_the_same_for_the_same_seed() -> None:
    first, second = generated(1, 4), generated(1, 4)
    assert {page.kind for page in first} == set(KINDS)
    assert [page.blocks for page in first] == [page.blocks for page in second]
    assert all(block.box is not None for page in first for block in page.blocks)
