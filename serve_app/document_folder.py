"""The folder that a converted document becomes."""

import base64
import re
import secrets
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

from serve_app.api.schemas import OcrPage, OcrReply, PageImage, StreamDone, StreamStart

_LINK = re.compile(r"!\[([^\]\n]*)\]\(\1\)")


def folder_names(files: Iterable[Path]) -> dict[Path, str]:
    """Return a folder name for each different file: its stem, numbered where one is taken.

    Names that differ in case alone count as one, for file systems that think so too.
    """
    names: dict[Path, str] = {}
    taken: set[str] = set()
    seen: set[Path] = set()
    for file in files:
        if file.resolve() in seen:
            continue
        seen.add(file.resolve())
        stem = file.stem if file.stem.strip(".") else file.name
        name, number = stem, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem}-{number}"
        taken.add(name.casefold())
        names[file] = name
    return names


class DocumentFolder:
    """Writes `NAME/NAME.md`, `NAME/result.json`, the figures that the Markdown links, and files asked for.

    Everything is gathered in a hidden folder beside, and moved in at the end, `result.json` last; a
    document that fails leaves nothing, and an earlier conversion's files are replaced one by one.
    """

    def __init__(self, out: Path, name: str) -> None:
        self._out = out
        self._name = name
        self._staging = out / f".{name}-{secrets.token_hex(4)}"
        self._pages: dict[int, OcrPage] = {}
        self._files: list[Path] = []

    def __enter__(self) -> Self:
        self._staging.mkdir(parents=True)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        shutil.rmtree(self._staging)

    def add(self, page: OcrPage) -> None:
        """Take a page; its figures are written at once and get names that are unique in the document.

        Raises:
            OSError: the disk is full, or the folder can't be written.
        """
        names: dict[str, str] = {}
        images = []
        for number, image in enumerate(page.images):
            name = f"img-{page.index}-{number}.png"
            if image.image_base64 is not None:
                data = image.image_base64.partition(",")[2]
                (self._staging / name).write_bytes(base64.b64decode(data))
            names[image.id] = name
            images.append(PageImage(**image.model_dump(exclude={"image_base64", "id"}), id=name))
        page.images = images
        page.markdown = _renamed(page.markdown, names)
        for block in page.blocks or ():
            if block.image_id is not None:
                block.image_id = names.get(block.image_id, block.image_id)
        self._pages[page.index] = page

    def written(self) -> dict[int, str]:
        """Return what the model wrote for each page that was read, where the pages say it."""
        return {index: page.raw for index, page in sorted(self._pages.items()) if page.raw is not None}

    def add_file(self, ending: str, content: bytes) -> None:
        """Take a file of the whole document, whose name is the document's with an ending.

        Raises:
            OSError: the disk is full, or the folder can't be written.
        """
        path = self._staging / f"{self._name}{ending}"
        path.write_bytes(content)
        self._files.append(path)

    def finish(self, start: StreamStart, done: StreamDone) -> None:
        """Write the Markdown and the result, and move everything into place.

        Raises:
            OSError: the disk is full, or the folder can't be written.
        """
        pages = [self._pages[index] for index in start.pages if index in self._pages]
        reply = OcrReply(model=done.model, usage_info=done.usage_info, pages=pages)
        markdown = self._staging / f"{self._name}.md"
        markdown.write_text("\n\n".join(_text(page) for page in pages) + "\n", encoding="utf-8")
        result = self._staging / "result.json"
        result.write_text(reply.model_dump_json(exclude_unset=True, indent=2) + "\n", encoding="utf-8")
        folder = self._out / self._name
        folder.mkdir(exist_ok=True)
        figures = sorted(self._staging.glob("img-*.png"))
        for path in (*figures, *self._files, markdown, result):
            path.replace(folder / path.name)


def _renamed(markdown: str, names: Mapping[str, str]) -> str:
    """Give linked figures their new names."""

    def link(match: re.Match[str]) -> str:
        name = names.get(match[1])
        return match[0] if name is None else f"![{name}]({name})"

    return _LINK.sub(link, markdown)


def _text(page: OcrPage) -> str:
    if page.error is None:
        return page.markdown
    message = page.error.message.replace("--", "- -")
    return f"<!-- page {page.index + 1} could not be read: {message} -->"
