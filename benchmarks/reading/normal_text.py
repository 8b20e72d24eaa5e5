# ruff: noqa: RUF001  # quotes and hyphens of all kinds are meant
"""Text as it is compared: without Markdown's marks, in one form of Unicode, spaces folded."""

import re
import unicodedata
from collections.abc import Iterable

from benchmarks.reading.truth import HEADS_AND_FEET, TruthBlock
from deployments.postprocess import tables
from deployments.types import BlockType

_FOLDED = str.maketrans(
    {
        **dict.fromkeys("‘’‚‛′`´", "'"),
        **dict.fromkeys("“”„‟″«»", '"'),
        **dict.fromkeys("‐‑‒–—―−﹣－", "-"),
        **dict.fromkeys("•●○◦▪■□‣∙·・", " "),
        "\u00ad": None,
        "\u00b5": "\u03bc",
        "、": ",",
        "。": ".",
    }
)
_CJK = r"[\u2e80-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]"
_CJK_SPACE = re.compile(rf"(?<={_CJK}) | (?={_CJK})")
_IMAGE = re.compile(r"!\[[^\]]*\]\([^)]*\)")
_TAGS = re.compile(r"</?(?:center|b|i|u|sup|sub|strong|em|br|p|div)\b[^<>]*>", re.IGNORECASE)
_LINE_MARK = re.compile(r"^[ \t]*(?:#{1,6}[ \t]+|[-*+•●○◦▪■□‣∙·][ \t]+)", re.MULTILINE)
_EMPHASIS = re.compile(r"\*\*|__")
_TOKEN = re.compile(rf"{_CJK}|[^\W_]+", re.UNICODE)


def folded(text: str) -> str:
    """Return text in NFKC with one kind of quote and hyphen, without bullets, each run of spaces as one.

    NFKC makes a ligature its letters, an italic of mathematics its letter and a full-width form its
    ASCII; none of these is told apart when a reader is scored. Spaces beside Chinese and Japanese
    characters say nothing and go.
    """
    text = unicodedata.normalize("NFKC", text.translate(_FOLDED)).translate(_FOLDED)
    return _CJK_SPACE.sub("", " ".join(text.split()))


def unmarked(markdown: str) -> str:
    """Return what Markdown says, folded: no marks of headings and lists, no pictures; tables cell by cell."""
    texts = []
    for segment in tables.parse(_IMAGE.sub(" ", markdown)):
        if isinstance(segment, str):
            texts.append(_EMPHASIS.sub("", _TAGS.sub(" ", _LINE_MARK.sub("", segment))))
        else:
            texts.extend(cell.text for cell in segment.cells)
    return folded("\n".join(texts))


def truth_text(blocks: Iterable[TruthBlock], *, heads: bool = True) -> str:
    """Return what blocks say, folded, in their order; pictures and equations say nothing.

    Args:
        blocks: of a page.
        heads: whether running heads and feet count.
    """
    return unmarked(
        "\n\n".join(
            block.text
            for block in blocks
            if block.type not in (BlockType.IMAGE, BlockType.EQUATION)
            and (heads or block.type not in HEADS_AND_FEET)
        )
    )


def words(text: str) -> list[str]:
    """Return a folded text's words in lower case; each Chinese or Japanese character is one."""
    return _TOKEN.findall(text.lower())
