"""Which pages a request means: `"0,2-4"` or a list of numbers, counted from 0."""

import re
from collections.abc import Iterable

from deployments.errors import InvalidRequest, TooManyPages

PageRanges = tuple[range, ...]
"""Ranges as written, neither expanded nor checked against a document."""

_PIECE = re.compile(r"\s*([0-9]{1,9})\s*(?:-\s*([0-9]{1,9})\s*)?")
_MAX_PIECES = 1_000
_SYNTAX = 'Write pages as numbers from 0 and ranges, as in "0,2-4", or as a list of numbers.'


def parse(value: object) -> PageRanges | None:
    """Read the `pages` field; None means all pages.

    Raises:
        InvalidRequest: it is neither numbers nor ranges, or has more than 1,000 pieces.
    """
    match value:
        case None:
            return None
        case str():
            if value.count(",") >= _MAX_PIECES:
                raise _too_long()
            return tuple(_piece(piece) for piece in value.split(","))
        case list() | tuple():
            if len(value) > _MAX_PIECES:
                raise _too_long()
            if not value:
                raise InvalidRequest(f"The list of pages is empty. {_SYNTAX}", "pages")
            return tuple(_number(number) for number in value)
        case _:
            raise InvalidRequest(_SYNTAX, "pages")


def _piece(text: str) -> range:
    match = _PIECE.fullmatch(text)
    if match is None:
        raise InvalidRequest(_SYNTAX, "pages")
    first = int(match[1])
    last = first if match[2] is None else int(match[2])
    if last < first:
        raise InvalidRequest(f"The page range {first}-{last} runs backwards.", "pages")
    return range(first, last + 1)


def _number(value: object) -> range:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 10**9:
        raise InvalidRequest(_SYNTAX, "pages")
    return range(value, value + 1)


def _too_long() -> InvalidRequest:
    return InvalidRequest(f"More than {_MAX_PIECES} pieces in pages; write ranges.", "pages")


def write(ranges: PageRanges | None) -> str | None:
    """Write ranges as `parse` reads them."""
    if ranges is None:
        return None
    return ",".join(str(each[0]) if len(each) == 1 else f"{each[0]}-{each[-1]}" for each in ranges)


def in_a_header(numbers: Iterable[int], most_chars: int = 4_000) -> str:
    """Write page numbers as few ranges; what goes beyond so many characters is left out for "..."."""
    ranges: list[range] = []
    for number in sorted(numbers):
        if ranges and ranges[-1].stop == number:
            ranges[-1] = range(ranges[-1].start, number + 1)
        else:
            ranges.append(range(number, number + 1))
    text = write(tuple(ranges)) or ""
    return text if len(text) <= most_chars else f"{text[:most_chars].rpartition(',')[0]},..."


def select(ranges: PageRanges | None, page_count: int, limit: int) -> list[int]:
    """Return the page numbers meant, each once, in the order of their first mention.

    The work is bounded by the limit, whatever the ranges.

    Args:
        ranges: what `parse` gave.
        page_count: of the document, at least 1.
        limit: most pages to return.

    Raises:
        InvalidRequest: a page is not in the document.
        TooManyPages: more pages than the limit.
    """
    wanted = (range(page_count),) if ranges is None else ranges
    for piece in wanted:
        if piece[-1] >= page_count:
            pages = "1 page, number 0" if page_count == 1 else f"{page_count} pages, 0 to {page_count - 1}"
            raise InvalidRequest(f"The document has {pages}; page {piece[-1]} was asked for.", "pages")
    chosen: dict[int, None] = {}
    for piece in wanted:
        if len(piece) > limit:
            raise _too_many(limit)
        chosen.update(dict.fromkeys(piece))
        if len(chosen) > limit:
            raise _too_many(limit)
    return list(chosen)


def _too_many(limit: int) -> TooManyPages:
    return TooManyPages(
        f'One request may ask for at most {limit} pages; choose some with `pages`, as in "0-{limit - 1}".',
        "pages",
    )
