"""A document as a zip file: Markdown with its figures beside it, tables as CSV, all of it as JSON."""

import json
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import BinaryIO

from deployments.postprocess import exports, tables
from deployments.postprocess.tables import TableGrid

_DATE = (1980, 1, 1, 0, 0, 0)
"""The earliest that zip knows: the same pages give the same bytes."""


def write(
    out: BinaryIO,
    results: Iterable[exports.Page],
    *,
    files: Mapping[str, bytes] | None = None,
    page_marks: bool = True,
    merge: bool = False,
) -> None:
    """Write `document.md`, `result.json`, `page-0001-img-0.png` and so on, and `tables/…csv`.

    Figures are written as their pages come and not kept.

    Args:
        out: a file open for writing; it need not be seekable.
        results: the pages in order, with their figures' bytes, not yet renamed; the number alone of a page
            that could not be read, in whose place the Markdown and the JSON say so.
        files: more files by name, such as PDFs or the web page.
        page_marks: whether the Markdown marks its pages.
        merge: whether running heads are dropped, and what page breaks cut in two is joined.
    """
    pages: list[exports.Page] = []
    written: set[str] = set()
    with zipfile.ZipFile(out, "w") as archive:
        for page in results:
            if isinstance(page, int):
                pages.append(page)
                continue
            result = exports.renamed(page)
            for figure in result.figures:
                if figure.png is not None:
                    written.add(figure.id)
                    _add(archive, figure.id, figure.png, compress=False)
            for table in result.tables:
                grids = [part for part in tables.parse(table.html) if isinstance(part, TableGrid)]
                if grids:
                    text = "\r\n".join(map(tables.to_csv, grids))
                    name = f"tables/{table.id.removesuffix('.html')}.csv"
                    _add(archive, name, text.encode("utf-8", "replace"))
            pages.append(
                replace(result, figures=tuple(replace(figure, png=None) for figure in result.figures))
            )
        whole = exports.merged(pages) if merge else pages
        text = exports.to_markdown(whole, page_marks=page_marks, figures=written)
        _add(archive, "document.md", text.encode("utf-8", "replace"))
        data = {
            "pages": [
                exports.unread_dict(page) if isinstance(page, int) else exports.page_dict(page)
                for page in pages
            ]
        }
        _add(
            archive, "result.json", json.dumps(data, ensure_ascii=False, indent=1).encode("utf-8", "replace")
        )
        for name, content in (files or {}).items():
            _add(archive, name, content)


def _add(archive: zipfile.ZipFile, name: str, content: bytes, *, compress: bool = True) -> None:
    entry = zipfile.ZipInfo(name, _DATE)
    entry.compress_type = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    entry.external_attr = 0o644 << 16
    archive.writestr(entry, content)
