"""The manifest: which documents a job reads, a row a document.

Columns: `doc_id` and `uri`; and where a row should differ from the job's options `pages` ("0,2-4" or a
list of numbers, from 0), `task` and `prompt`. Other columns are left alone.
"""

import glob
import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from pyarrow import fs

from deployments.errors import InvalidRequest, OcrError
from deployments.preprocess.prompts import prompt_for
from deployments.types import PageRequest, Task
from serve_app.api import page_ranges
from serve_app.bulk.store import Store, resolve

SUFFIXES = frozenset({".pdf", ".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif"})
"""Names that are listed in a folder; what a file is, its content says later."""

REQUIRED = ("doc_id", "uri")
OPTIONAL = ("pages", "task", "prompt")
BATCH = 10_000


def read_manifest(uri: str, request: PageRequest) -> pa.Table:
    """Read a manifest and check every row of it.

    Args:
        uri: a Parquet file, or a folder of them.
        request: how pages are read where a row says nothing else.

    Returns:
        Its columns `doc_id`, `uri`, `pages`, `task`, `prompt`; all strings, but `pages` may be lists.

    Raises:
        InvalidRequest: it can't be read, or a column or row is wrong; the message names both.
    """
    filesystem, path = resolve(uri)
    try:
        parts = pq.ParquetDataset(path, filesystem=filesystem)
        if not parts.files:
            raise InvalidRequest(f"The folder {uri} has no Parquet file, as a manifest is.", "manifest")
        schema = _schema(uri, parts)
        table = pq.ParquetDataset(path, schema=schema, filesystem=filesystem).read(columns=schema.names)
    except FileNotFoundError as error:
        raise InvalidRequest(
            f"There is no manifest {uri}; `dsocr manifest` writes one.", "manifest"
        ) from error
    except (OSError, pa.ArrowException) as error:
        raise InvalidRequest(f"The manifest {uri} can't be read as Parquet: {error}", "manifest") from error
    table = pa.table({name: _column(table, name) for name in (*REQUIRED, *OPTIONAL)})
    if table.num_rows == 0:
        raise InvalidRequest(f"The manifest {uri} has no rows.", "manifest")
    _check_ids(table["doc_id"])
    for number, row in numbered_rows(table):
        _check_row(number, row, request)
    return table


def _schema(uri: str, parts: pq.ParquetDataset) -> pa.Schema:
    """Return the columns that any of the files has, of a type that holds what each has.

    PyArrow alone takes the first file's: what only later ones have would be ignored, or not be read where
    the first has nothing but nulls.

    Raises:
        InvalidRequest: two files have a column in types that do not go together.
    """
    schemas = [parts.schema, *(part.physical_schema for part in parts.fragments)]
    wanted = [
        pa.schema(
            (field.name, _values(field.type)) for field in schema if field.name in (*REQUIRED, *OPTIONAL)
        )
        for schema in schemas
    ]
    try:
        return pa.unify_schemas(wanted, promote_options="permissive")
    except pa.ArrowTypeError as error:
        raise InvalidRequest(
            f"The files of the manifest {uri} differ in a column, which must have one type: {error}",
            "manifest",
        ) from error


def _values(kind: pa.DataType) -> pa.DataType:
    """Return the type of a column's values, whether or not a dictionary has them."""
    return kind.value_type if pa.types.is_dictionary(kind) else kind


def _column(table: pa.Table, name: str) -> pa.ChunkedArray:
    """Return a column as strings, or lists of integers for `pages`; of nulls if it may be missing and is."""
    if name not in table.column_names:
        if name in REQUIRED:
            raise InvalidRequest(f'The manifest has no column "{name}".', "manifest")
        return pa.chunked_array([pa.nulls(table.num_rows, pa.string())])
    column = table[name]
    kind = _values(column.type)
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_null(kind):
        return column.cast(pa.string())
    if name == "pages" and pa.types.is_list(kind) and pa.types.is_integer(kind.value_type):
        return column.cast(pa.list_(pa.int64()))
    wanted = "strings or lists of integers" if name == "pages" else "strings"
    raise InvalidRequest(
        f'The manifest\'s column "{name}" has the type {column.type}; it must hold {wanted}.', "manifest"
    )


def _check_ids(ids: pa.ChunkedArray) -> None:
    """Raise if a `doc_id` stands in two rows."""
    first = pc.index_in(ids, value_set=ids.combine_chunks()).to_numpy(zero_copy_only=False)
    again = np.flatnonzero(first != np.arange(len(ids)))
    # Nulls are all alike to `index_in`; they are another fault, found row by row.
    for row in again:
        if ids[int(row)].is_valid:
            raise _fault(int(row), "doc_id", f'"{ids[int(row)]}" stands in row {int(first[row])} too')


def _check_row(number: int, row: dict[str, Any], request: PageRequest) -> None:
    """Raise if a row can't be used, whatever its document is."""
    for name in REQUIRED:
        if not row[name]:
            raise _fault(number, name, "it is empty")
    if row["task"] is None and row["prompt"] is None:
        prompt_for(request.task, request.prompt)  # what is wrong with it is not the row's fault
    try:
        page_ranges.parse(row["pages"])
        wanted = row_request(row, request)
        prompt_for(wanted.task, wanted.prompt)
    except OcrError as error:
        raise _fault(number, error.param or "prompt", error.message) from error


def row_request(row: dict[str, Any], request: PageRequest) -> PageRequest:
    """Return how a row's pages are read: a prompt alone means the task `custom`.

    Raises:
        InvalidRequest: there is no such task.
    """
    task = request.task
    if row["task"] is not None:
        try:
            task = Task(row["task"])
        except ValueError as error:
            raise InvalidRequest(f'"{row["task"]}" is none of {", ".join(Task)}.', "task") from error
    elif row["prompt"] is not None:
        task = Task.CUSTOM
    prompt = request.prompt if row["prompt"] is None and task is Task.CUSTOM else row["prompt"]
    return replace(request, task=task, prompt=prompt)


def _fault(row: int, column: str, what: str) -> InvalidRequest:
    return InvalidRequest(f'Row {row} of the manifest, column "{column}": {what.rstrip(".")}.', "manifest")


def numbered_rows(table: pa.Table) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield rows with their numbers, from 0."""
    number = 0
    for batch in table.to_batches(max_chunksize=BATCH):
        for row in batch.to_pylist():
            yield number, row
            number += 1


def digest(table: pa.Table) -> str:
    """Return a hash of what a manifest says, whatever its file looks like."""
    state = hashlib.sha256()
    for _, row in numbered_rows(table):
        state.update(json.dumps(row, ensure_ascii=True).encode())
    return state.hexdigest()


def write_manifest(sources: Sequence[str], target: str) -> int:
    """Write a manifest of the documents found.

    Args:
        sources: files, folders (searched to any depth for names that look like documents), patterns with
            `*`, `?`, `[…]` and `**`, and their like in `s3://` and `gs://`.
        target: the Parquet file to write.

    Returns:
        How many documents there are.

    Raises:
        InvalidRequest: nothing was found, or nothing for one of the sources, or two documents would have the
            same `doc_id`, or the file can't be written.
    """
    found = list(dict.fromkeys(document for source in sources for document in _found(source)))
    if not found:
        raise InvalidRequest(f"No documents were found in {', '.join(sources)}.", "manifest")
    by_id: dict[str, str] = {}
    for doc_id, uri in found:
        if by_id.setdefault(doc_id, uri) != uri:
            raise InvalidRequest(
                f'{by_id[doc_id]} and {uri} would both have the doc_id "{doc_id}". List them by a folder '
                "that holds both, whose paths below it become the ids, or make two manifests.",
                "manifest",
            )
    table = pa.table(
        {"doc_id": pa.array(by_id.keys(), pa.string()), "uri": pa.array(by_id.values(), pa.string())}
    )
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    _write(target, sink.getvalue().to_pybytes())
    return len(by_id)


def _write(target: str, data: bytes) -> None:
    """Write a file; its folders are made."""
    filesystem, path = resolve(target)
    is_local = isinstance(filesystem, fs.LocalFileSystem)
    if target.endswith("/") or (Path(path).is_dir() if is_local else "/" not in path):
        raise InvalidRequest(f'"{target}" is a folder or a bucket; name the file to write.', "output")
    folder, _, name = (path if is_local else target).rpartition("/")
    try:
        Store(folder or "/").write(name, data)
    except OSError as error:
        raise InvalidRequest(f"{target} can't be written: {error.strerror or error}.", "output") from error


def _found(source: str) -> list[tuple[str, str]]:
    """Return `(doc_id, uri)` of each document a source means; ids are paths below what was searched.

    Raises:
        InvalidRequest: there is nothing of that name.
    """
    filesystem, path = resolve(source)
    scheme = (
        source.partition("://")[0] + "://" if "://" in source and not source.startswith("file://") else ""
    )
    magic = glob.has_magic(path)
    kind = None if magic else filesystem.get_file_info(path).type
    if kind is fs.FileType.File:
        return [(PurePosixPath(path).name, scheme + path)]
    root = _before_magic(path) if magic else path
    if magic and not scheme:
        files = sorted(name for name in glob.glob(path, recursive=True) if Path(name).is_file())  # noqa: PTH207 - Path.glob starts from a folder
    else:
        selector = fs.FileSelector(root, recursive=True, allow_not_found=True)
        files = sorted(
            info.path for info in filesystem.get_file_info(selector) if info.type is fs.FileType.File
        )
        if magic:
            files = [name for name in files if fnmatchcase(name, path)]
        else:
            if not files and kind is fs.FileType.NotFound:
                raise InvalidRequest(f"There is no file or folder {source}.", "manifest")
            files = [name for name in files if PurePosixPath(name).suffix.lower() in SUFFIXES]
    if magic and not files:
        raise InvalidRequest(f"Nothing matches {source}.", "manifest")
    return [(str(PurePosixPath(name).relative_to(root)), scheme + name) for name in files]


def _before_magic(path: str) -> str:
    """Return the folders of a pattern that have no wildcard."""
    parts = PurePosixPath(path).parts
    plain = next(number for number, part in enumerate(parts) if glob.has_magic(part))
    return str(PurePosixPath(*parts[:plain]))
