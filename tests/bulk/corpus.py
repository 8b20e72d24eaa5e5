"""Small corpora: documents of every kind, whole and broken."""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pymupdf
from PIL import Image


def pdf(widths: Iterable[int], height: int = 120) -> bytes:
    """A PDF with a page of each width."""
    document = pymupdf.open()
    for width in widths:
        document.new_page(width=width, height=height).insert_text((10, 50), f"width {width}")
    return bytes(document.tobytes())


def png(width: int, height: int = 80) -> bytes:
    out = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(out, "PNG")
    return out.getvalue()


def locked_pdf() -> bytes:
    document = pymupdf.open()
    document.new_page()
    return bytes(
        document.tobytes(encryption=pymupdf.PDF_ENCRYPT_AES_256, user_pw="secret", owner_pw="secret")
    )


def write_rows(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return str(path)


def read_table(folder: Path) -> list[dict[str, Any]]:
    """All rows of a folder of the output, in the files' order."""
    return [row for name in sorted(folder.glob("*.parquet")) for row in pq.read_table(name).to_pylist()]
