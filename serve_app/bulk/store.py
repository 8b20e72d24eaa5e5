"""Files in a folder of this machine, in S3 or in Google's Cloud Storage, written whole or not at all."""

import os
import uuid
from collections.abc import Iterable
from datetime import timedelta
from functools import lru_cache
from pathlib import Path

from pyarrow import fs

from deployments.errors import DocumentTooLarge, DocumentUnavailable, InvalidRequest

REMOTE_SCHEMES = ("s3", "gs")


def resolve(uri: str) -> tuple[fs.FileSystem, str]:
    """Return the file system of a path or URI, and the path in it.

    An object's key is taken as it is written, without percent-decoding. Credentials, region and endpoint
    of S3 come from the usual variables (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL` and so on), credentials of
    Cloud Storage from Google's own places (`GOOGLE_APPLICATION_CREDENTIALS` and so on). A server that
    `CLOUD_STORAGE_EMULATOR_ENDPOINT` names, as for Google's C++ client, is asked without any.

    Raises:
        InvalidRequest: a scheme that is not read.
    """
    scheme, separator, rest = uri.partition("://")
    if not separator:
        return _local(), str(Path(uri).absolute())
    if scheme == "file":
        return _local(), "/" + rest.lstrip("/")
    if scheme not in REMOTE_SCHEMES or not rest.strip("/"):
        raise InvalidRequest(
            f"{uri} can't be read: give a local path, s3://bucket/key or gs://bucket/key.", "uri"
        )
    return _remote(scheme, rest.split("/", 1)[0]), rest.rstrip("/")


def place(uri: str) -> str:
    """Return a path or URI in a form in which two can be compared; nothing is asked of a remote storage.

    Local paths are whole, without a scheme, as `resolve` takes them, and their folders without links.
    """
    scheme, separator, rest = uri.partition("://")
    if separator and scheme != "file":
        return uri.rstrip("/")
    # Without pathlib, which takes several times as long: a manifest may have millions of paths.
    path = ("/" + rest.lstrip("/") if separator else os.path.join(os.getcwd(), uri)).rstrip("/")  # noqa: PTH109, PTH118
    folder, _, name = path.rpartition("/")
    if name in {"", ".", ".."}:
        return _linkless(path or "/")
    return os.path.join(_linkless(folder or "/"), name)  # noqa: PTH118


@lru_cache(maxsize=1024)
def _linkless(folder: str) -> str:
    """Look at a folder once, for all the documents in it."""
    try:
        return os.path.realpath(folder)
    except ValueError:  # a NUL: there is nothing of that name
        return folder


GCS_RETRIES = timedelta(minutes=1)
"""How long a request to Cloud Storage is sent again; PyArrow's own limit is a quarter of an hour."""


@lru_cache(maxsize=1)
def _local() -> fs.FileSystem:
    return fs.LocalFileSystem()


@lru_cache(maxsize=64)
def _remote(scheme: str, bucket: str) -> fs.FileSystem:
    """One client a bucket: finding out a bucket's region takes a request."""
    if scheme == "gs" and (endpoint := os.environ.get("CLOUD_STORAGE_EMULATOR_ENDPOINT")):
        protocol, _, host = endpoint.partition("://")
        return fs.GcsFileSystem(
            anonymous=True, scheme=protocol, endpoint_override=host, retry_time_limit=GCS_RETRIES
        )
    if scheme == "gs":
        return fs.GcsFileSystem(retry_time_limit=GCS_RETRIES)
    filesystem, _ = fs.FileSystem.from_uri(f"{scheme}://{bucket}")
    return filesystem


def read_document(uri: str, max_bytes: int) -> bytes:
    """Return a document's bytes.

    Raises:
        DocumentUnavailable: it is not there, or the storage does not give it.
        DocumentTooLarge: more than `max_bytes`; nothing was read.
        InvalidRequest: as `resolve`.
    """
    filesystem, path = resolve(uri)
    try:
        info = filesystem.get_file_info(path)
        if info.type is not fs.FileType.File:
            raise DocumentUnavailable(f"There is no file {uri}.")
        if info.size is not None and info.size > max_bytes:
            raise DocumentTooLarge(f"The file has {info.size:,} bytes; the limit is {max_bytes:,}.")
        with filesystem.open_input_stream(path) as stream:
            return bytes(stream.read())
    except OSError as error:
        raise DocumentUnavailable(f"{uri} could not be fetched: {error}") from error


class Store:
    """A folder and what is below it. Travels to workers; a name is relative and has `/` between its parts.

    Args:
        uri: the folder; made when something is written.
        temporary: folder, below this one, where a local file lies until it is whole; by default beside it.

    Raises:
        InvalidRequest: as `resolve`.
    """

    def __init__(self, uri: str, temporary: str | None = None) -> None:
        self._fs, self._root = resolve(uri)
        self._temporary = temporary
        self.uri = uri if "://" in uri else self._root

    def __reduce__(self) -> tuple[type["Store"], tuple[str, str | None]]:
        return Store, (self.uri, self._temporary)

    def path(self, name: str) -> str:
        """Return a name as the file system knows it."""
        return f"{self._root}/{name}"

    @property
    def filesystem(self) -> fs.FileSystem:
        """The file system."""
        return self._fs

    def read(self, name: str) -> bytes:
        """Return a file's bytes.

        Raises:
            FileNotFoundError: there is none.
        """
        with self._fs.open_input_stream(self.path(name)) as stream:
            return bytes(stream.read())

    def write(self, name: str, data: bytes) -> None:
        """Write a file so that a reader sees all of it or what was there before.

        A local file is written elsewhere, flushed to the disk and renamed. An object of S3 or Cloud
        Storage appears once its upload is complete.
        """
        if not isinstance(self._fs, fs.LocalFileSystem):
            with self._fs.open_output_stream(self.path(name)) as stream:
                stream.write(data)
            return
        target = Path(self.path(name))
        beside = target.parent if self._temporary is None else Path(self.path(self._temporary))
        temporary = beside / f".{uuid.uuid4().hex}.tmp"
        for folder in (target.parent, temporary.parent):
            folder.mkdir(parents=True, exist_ok=True)
        try:
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(target)
        except BaseException:
            # On a full disk, halves of files would take the last of the room.
            temporary.unlink(missing_ok=True)
            raise
        descriptor = os.open(target.parent, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def names(self, folder: str) -> list[str]:
        """Return the names of the files in a folder, sorted; none where there is no folder."""
        selector = fs.FileSelector(self.path(folder), allow_not_found=True)
        found = self._fs.get_file_info(selector)
        return sorted(f"{folder}/{info.base_name}" for info in found if info.type is fs.FileType.File)

    def exists(self, name: str) -> bool:
        """Whether there is a file or folder of that name."""
        return self._fs.get_file_info(self.path(name)).type is not fs.FileType.NotFound

    def delete(self, names: Iterable[str]) -> None:
        """Delete files."""
        for name in names:
            self._fs.delete_file(self.path(name))

    def delete_folder(self, name: str) -> None:
        """Delete a folder with all that is in it, if it is there."""
        if not self.exists(name):
            return
        try:
            self._fs.delete_dir(self.path(name))
        except FileNotFoundError:
            # Cloud Storage has no folders: pyarrow deletes what is below one, and misses the folder.
            if self.exists(name):
                raise
