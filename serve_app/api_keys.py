"""API keys: made here, kept as hashes in a file, found again by their hash.

A line of the file is a key: its name and `sha256:` with the hash in hexadecimal. A key is 32 random
bytes, so that nobody can guess one from its hash, and a slow hash would only slow the service down.
"""

import contextlib
import hashlib
import hmac
import logging
import os
import re
import secrets
import time
from collections.abc import Mapping
from pathlib import Path

from deployments.errors import ConfigurationError

logger = logging.getLogger(__name__)

PREFIX = "dsocr_"
"""Begins every key, so that one that leaks is recognised as such."""

LOOK_INTERVAL_S = 2.0
"""How often the file is looked at for changes: a key that is revoked ends that soon."""

_NAME = re.compile(r"[A-Za-z0-9._-]{1,64}")
_LINE = re.compile(rf"({_NAME.pattern})\s+sha256:([0-9a-f]{{64}})")
_MAX_FILE_BYTES = 2**20


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def load(file: Path) -> dict[str, str]:
    """Return the hashes of a file by name; none where there is no such file.

    Raises:
        ConfigurationError: the file can't be read, or a line in it is no key.
    """
    try:
        with file.open("rb") as stream:
            text = stream.read(_MAX_FILE_BYTES + 1).decode()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The file of API keys {file} can't be read: {error}.") from error
    keys: dict[str, str] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line.strip())
        if match is None or match[1] in keys:
            raise ConfigurationError(
                f"Line {number} of {file} is no API key, or one whose name stands twice."
            )
        keys[match[1]] = match[2]
    return keys


def new(file: Path, name: str) -> str:
    """Make a key, add its hash to a file, and return the key, which is kept nowhere.

    Raises:
        ConfigurationError: the name is taken or can't be one, or the file can't be written.
    """
    if _NAME.fullmatch(name) is None:
        raise ConfigurationError("A name has 1 to 64 letters, digits, dots, dashes and underscores.")
    if name in load(file):
        raise ConfigurationError(f"There is a key named {name} already; revoke it first.")
    key = PREFIX + secrets.token_urlsafe(32)
    try:
        file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        # An editor, or whoever made a Secret of it, may have left the last line without an end.
        before = file.read_bytes() if file.exists() else b""
        end = "" if not before or before.endswith(b"\n") else "\n"
        with os.fdopen(os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600), "w") as stream:
            stream.write(f"{end}{name} sha256:{_digest(key)}\n")
    except OSError as error:
        raise ConfigurationError(f"The file of API keys {file} can't be written: {error}.") from error
    return key


def revoke(file: Path, name: str) -> None:
    """Remove a key from a file.

    Raises:
        ConfigurationError: there is none of that name, or the file can't be written.
    """
    if name not in load(file):
        raise ConfigurationError(f"There is no key named {name}.")
    fresh = file.with_name(f"{file.name}.{secrets.token_hex(4)}")
    try:
        lines = file.read_text(encoding="utf-8").splitlines(keepends=True)
        with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as stream:
            stream.writelines(line for line in lines if line.split()[:1] != [name])
        fresh.replace(file)
    except OSError as error:
        with contextlib.suppress(OSError):
            fresh.unlink()
        raise ConfigurationError(f"The file of API keys {file} can't be written: {error}.") from error


def find(keys: Mapping[str, str], presented: str) -> str | None:
    """Return the name of a key, or None; the time it takes says nothing about the keys."""
    digest, found = _digest(presented), None
    for name, kept in keys.items():
        if hmac.compare_digest(digest, kept):
            found = name
    return found


class KeyFile:
    """The keys of a file, which follow its changes.

    Args:
        file: that need not exist.

    Raises:
        ConfigurationError: the file can't be read, or a line in it is no key.
    """

    def __init__(self, file: Path) -> None:
        self._file = file
        self._stamp = self._stamp_now()
        self._keys = load(file)
        self._looked_at = time.monotonic()

    def name_of(self, presented: str) -> str | None:
        """Return the name of a key, or None if it is none of them."""
        self._refresh()
        return find(self._keys, presented)

    def _refresh(self) -> None:
        now = time.monotonic()
        if now - self._looked_at < LOOK_INTERVAL_S:
            return
        self._looked_at = now
        stamp = self._stamp_now()
        if stamp == self._stamp:
            return
        try:
            self._keys = load(self._file)
        except ConfigurationError as error:
            logger.error("%s The keys that were read before stay valid.", error)
        else:
            self._stamp = stamp

    def _stamp_now(self) -> tuple[int, int, int] | None:
        try:
            status = self._file.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_size, status.st_ino
