"""What the sandbox and its child say to each other.

Messages are JSON, one a packet, over a Unix socket; a document and a page's pixels travel as files in
memory whose descriptors go along. Nothing that comes from the child is unpickled or believed further
than its type: a child that a document has taken over can give wrong pixels and no more.
"""

import fcntl
import json
import os
import socket
from typing import Any

from deployments.errors import CorruptDocument, OcrError

MAX_MESSAGE_BYTES = 64 * 1024

SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SEAL
"""On pixels: without them the child could change or cut off what its parent looks at."""


def send(channel: socket.socket, message: dict[str, Any], descriptor: int | None = None) -> None:
    """Send a message, and with it a file.

    Raises:
        OSError: nobody is there to receive it.
    """
    descriptors = [] if descriptor is None else [descriptor]
    socket.send_fds(channel, [json.dumps(message).encode()], descriptors)


def receive(channel: socket.socket) -> tuple[dict[str, Any], int | None]:
    """Return a message and the descriptor of the file that came with it, for the caller to close.

    Raises:
        EOFError: the other side is gone.
        TimeoutError: nothing came in the socket's time.
    """
    data, descriptors, _, _ = socket.recv_fds(channel, MAX_MESSAGE_BYTES, 1)
    if not data:
        raise EOFError
    message: dict[str, Any] = json.loads(data)
    return message, descriptors[0] if descriptors else None


def memory_file(name: str, pieces: list[memoryview | bytes], *, sealed: bool = False) -> int:
    """Return the descriptor of a new file in memory with this content."""
    flags = os.MFD_CLOEXEC | (os.MFD_ALLOW_SEALING if sealed else 0)
    descriptor = os.memfd_create(name, flags)
    try:
        for piece in pieces:
            view = memoryview(piece)
            while view:
                view = view[os.write(descriptor, view) :]
        if sealed:
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, SEALS)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def error_message(error: OcrError) -> dict[str, Any]:
    """Return an error as a message."""
    return {"error": type(error).__name__, "message": error.message, "param": error.param}


def named_error(message: dict[str, Any]) -> OcrError:
    """Return the error that a message names; one that nobody knows means a document that upset the child."""
    kinds = {kind.__name__: kind for kind in _tree(OcrError)}
    kind = kinds.get(str(message.get("error")), CorruptDocument)
    param = message.get("param")
    return kind(str(message.get("message")), None if param is None else str(param))


def _tree(kind: type[OcrError]) -> list[type[OcrError]]:
    return [kind, *(found for child in kind.__subclasses__() for found in _tree(child))]
