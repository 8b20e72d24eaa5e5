"""The formats in which a read document is given, and the files' names.

`docs/exports.md` describes them for users.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import BinaryIO
from urllib.parse import quote

from deployments.errors import InvalidRequest
from deployments.postprocess import archive, exports, figures, spreadsheets, webpage
from deployments.postprocess.markdown import TableFormat
from deployments.types import BlockType, PageResult

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_MAX_NAME_CHARS = 100


class ResultFormat(StrEnum):
    """What a result is written as."""

    JSON = "json"
    MARKDOWN = "markdown"
    HTML = "html"
    ZIP = "zip"
    PDF = "pdf"
    LAYOUT_PDF = "layout_pdf"
    PNG = "png"
    CSV = "csv"
    XLSX = "xlsx"

    @property
    def media_type(self) -> str:
        """The media type, with its charset for text."""
        return _MEDIA_TYPES[self] + (
            "; charset=utf-8" if self in (self.MARKDOWN, self.HTML, self.CSV) else ""
        )

    @property
    def ending(self) -> str:
        """What a file's name ends with, after the document's."""
        return _ENDINGS.get(self, f".{self.value}")

    @property
    def is_printed(self) -> bool:
        """Whether it is made of the document's own pages, by `serve_app.printing`."""
        return self in (ResultFormat.PDF, ResultFormat.LAYOUT_PDF, ResultFormat.PNG)

    @property
    def has_figures(self) -> bool:
        """Whether figures are within."""
        return self in (ResultFormat.HTML, ResultFormat.ZIP)

    def check(self, pages: int) -> None:
        """Return if a result of so many pages can be written as this.

        Raises:
            InvalidRequest: a picture of several pages is asked for.
        """
        if self is ResultFormat.PNG and pages != 1:
            raise InvalidRequest(
                "A picture holds one page: choose it with `pages`, or ask for layout_pdf.", "format"
            )


_MEDIA_TYPES = {
    ResultFormat.JSON: "application/json",
    ResultFormat.MARKDOWN: "text/markdown",
    ResultFormat.HTML: "text/html",
    ResultFormat.ZIP: "application/zip",
    ResultFormat.PDF: "application/pdf",
    ResultFormat.PNG: "image/png",
    ResultFormat.CSV: "text/csv",
    ResultFormat.XLSX: "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_FORMATS = {media_type: format_ for format_, media_type in _MEDIA_TYPES.items()}
_MEDIA_TYPES[ResultFormat.LAYOUT_PDF] = _MEDIA_TYPES[ResultFormat.PDF]

_ENDINGS = {
    ResultFormat.MARKDOWN: ".md",
    ResultFormat.LAYOUT_PDF: "_layouts.pdf",
    ResultFormat.PNG: "_layout.png",
    ResultFormat.CSV: "_tables.csv",
    ResultFormat.XLSX: "_tables.xlsx",
}


def accepted(header: str) -> ResultFormat:
    """Return the format that an `Accept` header likes best (RFC 9110, section 12.5.1).

    A header that names none of them gets JSON: a client that can't use it is better off with an error
    of its own than with one of ours that it can't read either.
    """
    best, format_ = 0.0, ResultFormat.JSON
    for choice in header.split(",")[:100]:
        media_type, *parameters = (part.strip().lower() for part in choice.split(";"))
        found = _FORMATS.get(media_type)
        quality = next((part[2:] for part in parameters if part.startswith("q=")), "1")
        weight = float(quality) if re.fullmatch(r"[01](\.[0-9]{0,3})?", quality) else 0.0
        if found is not None and weight > best:
            best, format_ = weight, found
    return format_


def disposition(name: str | None, format_: ResultFormat) -> str:
    """Return `Content-Disposition` for a document's result (RFC 6266).

    Args:
        name: the document's, of which the result's is made; the folders and the ending go.
        format_: of the result.
    """
    stem = re.split(r"[/\\]", name or "")[-1].rpartition(".")
    text = (stem[0] or stem[2])[:_MAX_NAME_CHARS].encode("utf-8", "ignore").decode()
    plain = _UNSAFE.sub("_", text).strip("._") or "document"
    value = f'attachment; filename="{plain}{format_.ending}"'
    if plain != text and text.strip():
        value += f"; filename*=UTF-8''{quote(text, safe='')}{format_.ending}"
    return value


@dataclass(frozen=True, slots=True)
class Selection:
    """What of a page goes into a result.

    Attributes:
        table_format: how Markdown has tables; None as the model wrote them.
        headers: whether running heads stay in.
        footers: whether running feet stay in.
        figure_min_size: least width and height of a figure, in pixels.
        figure_limit: most figures in the whole result.
        merge: whether the pages are put together, as `deployments.postprocess.merging` does it, for
            Markdown, web page and zip file.
    """

    table_format: TableFormat | None = None
    headers: bool = True
    footers: bool = True
    figure_min_size: int = 0
    figure_limit: int | None = None
    merge: bool = False

    def apply(self, pages: Iterable[exports.Page]) -> Iterator[exports.Page]:
        """Yield pages, one at a time, with what is chosen of them; mere numbers pass."""
        left = self.figure_limit
        dropped = {BlockType.HEADER: not self.headers, BlockType.FOOTER: not self.footers}
        for page in pages:
            if isinstance(page, int):
                yield page
                continue
            kept = figures.select(page.figures, min_size=self.figure_min_size, limit=left)
            left = None if left is None else left - len(kept)
            blocks = tuple(block for block in page.blocks if not dropped.get(block.type, False))
            yield replace(page, figures=tuple(kept), blocks=blocks)


def write(out: BinaryIO, format_: ResultFormat, pages: Iterable[exports.Page], selection: Selection) -> None:
    """Write pages as Markdown, as a web page, as a zip file, or their tables as CSV or a workbook.

    Args:
        out: a file open for writing.
        format_: one of these.
        pages: in order, with their figures' bytes where the format has figures; the number alone of a
            page that could not be read, in whose place the Markdown, web page or zip file says so.
        selection: what of them is written.

    Raises:
        ValueError: another format.
    """
    match format_:
        case ResultFormat.ZIP:
            archive.write(out, selection.apply(pages), merge=selection.merge)
        case ResultFormat.CSV:
            # Excel takes a file for UTF-8 by this mark alone.
            out.write(spreadsheets.to_csv(_read(pages)).encode("utf-8-sig", "replace"))
        case ResultFormat.XLSX:
            spreadsheets.write_xlsx(out, _read(pages))
        case _:
            for piece in text_pieces(format_, pages, selection):
                out.write(piece)


def text_pieces(
    format_: ResultFormat, pages: Iterable[exports.Page], selection: Selection
) -> Iterator[bytes]:
    """Yield Markdown or a web page as its pages come, or once they all have if they are merged; see `write`.

    Raises:
        ValueError: another format.
    """
    chosen = selection.apply(pages)
    if selection.merge:
        chosen = iter(exports.merged(list(chosen)))
    match format_:
        case ResultFormat.MARKDOWN:
            gap = ""
            for page in chosen:
                # Figures have the names that they have in the zip file.
                named = page if isinstance(page, int) else exports.renamed(page)
                ids = () if isinstance(named, int) else {figure.id for figure in named.figures}
                parts = exports.page_parts(named, table_format=selection.table_format, figures=ids)
                yield (gap + "\n\n".join(parts) + "\n").encode("utf-8", "replace")
                gap = "\n"
        case ResultFormat.HTML:
            yield from (part.encode("utf-8", "replace") for part in webpage.stream(chosen))
        case _:
            raise ValueError(f"{format_} is written elsewhere")


def _read(pages: Iterable[exports.Page]) -> Iterator[PageResult]:
    return (page for page in pages if not isinstance(page, int))
