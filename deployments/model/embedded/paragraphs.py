"""Rows that were read into paragraphs: where one ends, and how its lines are joined."""

import re
import statistics
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from deployments.model.embedded.geometry import union, width
from deployments.types import Box

# First halves that stand before a real hyphen far more often than they end a syllable at a line's end.
_COMPOUND_HEADS = frozenset(
    (
        *("cross", "double", "first", "full", "half", "high", "large", "long", "low", "open", "real"),
        *("second", "self", "short", "single", "small", "state", "three", "time", "top", "two", "user"),
        *("well", "wide"),
    )
)
_CJK = r"[\u2e80-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\uff00-\uffef]"
_BULLET = re.compile(
    r"^\s*([•●○◦▪■□‣∙·\u2013\u2014*-]\s*(?=\S)|\(?\d{1,3}[.)]\s+\S|\(?[a-z][.)]\s+\S|\[\d{1,3}\])"
)
_ENTRY_END = re.compile(r"\.\.\.\s*\w{1,5}$")  # a page number behind a leader
_MARK = re.compile(r"^\s*[•●○◦▪■□‣∙·]\s*")


@dataclass(frozen=True, slots=True)
class ReadRow:
    """A row and what it says."""

    text: str
    box: Box
    height: float


@dataclass(frozen=True, slots=True)
class Paragraph:
    """What is read without a break, and the box around it."""

    text: str
    box: Box


def paragraphs_of(rows: Sequence[ReadRow], words: Collection[str] = ()) -> list[Paragraph]:
    """Split rows into paragraphs.

    A paragraph starts at an indent, at a list's mark, at a hanging line's outdent, or after a line
    that ended although the next word would have fitted.

    Args:
        rows: that follow each other in one column; at least one.
        words: seen elsewhere on the page in lower case, to tell a word's hyphen from a line's.
    """
    starts = _starts(rows)
    chunks = [rows[start:end] for start, end in zip(starts, [*starts[1:], len(rows)], strict=True)]
    if (
        len(chunks) > 2
        and all(len(chunk) == 1 for chunk in chunks)
        and not any(_is_item(row.text) for row in rows)
    ):
        # An address or a poem: lines that each end early belong together as lines.
        return [Paragraph("\n".join(row.text for row in rows), union(row.box for row in rows))]
    return [
        Paragraph(tidy_item(join_lines([row.text for row in chunk], words)), union(row.box for row in chunk))
        for chunk in chunks
    ]


def join_lines(lines: Sequence[str], words: Collection[str] = ()) -> str:
    """Join a paragraph's lines; mend words that a line's end broke, keep hyphens that are their own.

    Args:
        lines: in order.
        words: seen elsewhere on the page, in lower case.
    """
    text = ""
    for line in (line.strip() for line in lines):
        if not line:
            continue
        text = line if not text else _join(text, line, words)
    return text


def tidy_item(text: str) -> str:
    """Write a list's mark as Markdown does; other text stays as it is."""
    return _MARK.sub("- ", text, count=1)


def _join(text: str, line: str, words: Collection[str]) -> str:
    if re.search(_CJK + "$", text) and re.match(_CJK, line):
        return text + line
    broken = re.search(r"([^\W\d_]+)[-\u2010\u00ad]$", text)
    rest = re.match(r"[^\W\d_]+", line)
    if not broken or not rest:
        if re.search(r"\w[-\u2010]$", text) or re.search(r"(https?://|www\.)\S*[/_.?=&-]$", text):
            return text + line
        return f"{text} {line}"
    head, tail = broken.group(1), rest.group()
    if _keeps_hyphen(text[: broken.start()], head, tail, words):
        return text + line
    return text[:-1] + line


def _keeps_hyphen(before: str, head: str, tail: str, words: Collection[str]) -> bool:
    if (head + tail).lower() in words:
        return False
    if f"{head}-{tail}".lower() in words:
        return True
    if not tail[0].islower() or head.isupper():
        return True
    if before.endswith("-") or head.lower() in _COMPOUND_HEADS:
        return True
    adverb = len(head) > 5 and head.endswith("ly")
    return adverb or (len(head) > 4 and len(tail) > 3 and head.lower() in words and tail.lower() in words)


def _is_item(text: str) -> bool:
    return _BULLET.match(text) is not None


def _starts(rows: Sequence[ReadRow]) -> list[int]:
    size = statistics.median(row.height for row in rows)
    left, right = min(row.box.x1 for row in rows), max(row.box.x2 for row in rows)
    indented = [row.box.x1 - left > 0.6 * size for row in rows]
    centred = _is_centred(rows, left, right, size)
    hanging = _is_hanging(rows, indented)
    starts = [0]
    for index in range(1, len(rows)):
        row, previous = rows[index], rows[index - 1]
        if centred and not _ENTRY_END.search(previous.text):
            continue
        if hanging:
            fresh = not indented[index]
        else:
            fresh = (indented[index] and not indented[index - 1]) or _ended_early(previous, row, right)
        if (
            fresh
            or _ENTRY_END.search(previous.text)
            or (_is_item(row.text) and _is_item(rows[starts[-1]].text))
        ):
            starts.append(index)
    return starts


def _is_hanging(rows: Sequence[ReadRow], indented: Sequence[bool]) -> bool:
    """Tell whether items start at the left and go on indented, as references do."""
    if len(rows) < 2 or indented[0] or not any(indented):
        return False
    outer = [row for row, inside in zip(rows, indented, strict=True) if not inside]
    inner = len(rows) - len(outer)
    marked = sum(_is_item(row.text) for row in outer)
    if marked < len(outer) and any(
        _is_item(rows[index].text) for index in range(len(rows)) if indented[index]
    ):
        return False  # a paragraph with a list below it
    return marked > 0.7 * len(outer) or (inner >= len(outer) and len(rows) > 3)


def _is_centred(rows: Sequence[ReadRow], left: int, right: int, size: float) -> bool:
    if len(rows) < 2:
        return False
    middle = (left + right) / 2
    ragged = max(row.box.x1 for row in rows) - left > size
    return ragged and all(abs((row.box.x1 + row.box.x2) / 2 - middle) < 0.5 * size for row in rows)


def _ended_early(previous: ReadRow, row: ReadRow, right: int) -> bool:
    """Tell whether the next line's first word would have fitted behind a line that ended."""
    if not row.text or not previous.text or re.match(_CJK, row.text):
        return bool(right - previous.box.x2 > 2.5 * previous.height)
    first_word = row.text.split()[0] if row.text.split() else ""
    per_character = width(row.box) / len(row.text)
    room = right - previous.box.x2
    return room > (len(first_word) + 1) * per_character + 0.8 * previous.height
