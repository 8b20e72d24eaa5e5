"""The process in which documents are parsed and drawn: `python -m deployments.preprocess.sandbox_child FD …`.

It may crash, run out of memory or hang: its parent (`deployments.preprocess.sandbox`) replaces it. Its
environment is empty and it inherits no file but the socket. A timer of its CPU time
ends a step that takes too long, and an alarm ends it should its parent be gone while it hangs.
"""

import os
import resource
import signal
import socket
import sys
from typing import Any

from deployments.errors import OcrError
from deployments.preprocess import sandbox_protocol as protocol
from deployments.preprocess.documents import Document
from deployments.preprocess.settings import DocumentLimits


def main() -> None:
    """Serve the parent until it is gone."""
    descriptor, memory_bytes, cpu_s, alarm_s, limits = sys.argv[1:]
    resource.setrlimit(resource.RLIMIT_AS, (int(memory_bytes), int(memory_bytes)))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    checked = DocumentLimits.model_validate_json(limits)
    documents: dict[int, Document] = {}
    with socket.socket(fileno=int(descriptor)) as channel:
        while True:
            try:
                message, file = protocol.receive(channel)
            except EOFError:
                return
            signal.alarm(int(alarm_s))
            signal.setitimer(signal.ITIMER_PROF, float(cpu_s))
            reply, pixels = _answer(documents, checked, message, file)
            signal.setitimer(signal.ITIMER_PROF, 0)
            signal.alarm(0)
            protocol.send(channel, reply, pixels)
            if pixels is not None:
                os.close(pixels)


def _answer(
    documents: dict[int, Document], limits: DocumentLimits, message: dict[str, Any], file: int | None
) -> tuple[dict[str, Any], int | None]:
    """Return the reply to a message.

    Memory that runs out ends the process: what it leaves behind is not to be trusted.
    """
    number = message["document"]
    try:
        match message["do"]:
            case "open" if file is not None:
                with os.fdopen(file, "rb") as source:
                    source.seek(0)
                    documents[number] = Document.open(source.read(), limits)
                info = documents[number].info
                return {
                    "kind": info.kind.value,
                    "media_type": info.media_type,
                    "page_count": info.page_count,
                }, None
            case "render":
                page = documents[number].render(message["index"], message["dpi"])
                height, width, _ = page.pixels.shape
                pixels = protocol.memory_file("page", [page.pixels.data.cast("B")], sealed=True)
                return {"height": height, "width": width, "dpi": page.dpi}, pixels
            case _:
                documents.pop(number).close()
                return {}, None
    except OcrError as error:
        return protocol.error_message(error), None


if __name__ == "__main__":
    main()
