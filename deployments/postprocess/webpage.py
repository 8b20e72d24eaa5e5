"""A document as one HTML file that needs nothing else: no script, no network, figures within.

Everything from the page is escaped; the only tags are those written here. A content security policy
forbids the browser to load anything all the same. Formulas are MathML, which browsers draw themselves;
one that can't be converted stays LaTeX.
"""

import base64
import html
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from deployments.postprocess import exports, formulas, markdown, tables
from deployments.postprocess.tables import TableGrid
from deployments.types import Block, BlockType, PageResult

_HEAD = """<!DOCTYPE html>
<html>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; \
style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ max-width: 50rem; margin: 2rem auto; padding: 0 1rem; font: 1rem/1.5 serif; color: #111;
  background: #fff; overflow-wrap: anywhere; }}
section + section {{ border-top: 1px solid #bbb; margin-top: 2rem; padding-top: 1rem; }}
table {{ border-collapse: collapse; }}
td, th {{ border: 1px solid #999; padding: .2rem .5rem; vertical-align: top; }}
img {{ max-width: 100%; height: auto; }}
pre {{ overflow-x: auto; }}
.caption, .header, .footer, .aside_text {{ color: #555; font-size: .9rem; }}
.unread {{ color: #a00; font-style: italic; }}
.equation {{ text-align: center; overflow-x: auto; }}
.equation code {{ white-space: pre-wrap; }}
</style>
</head>
<body>
"""

_BOLD = re.compile(r"\*\*([^*\n]+)\*\*")
_ITEM = re.compile(r"(?:[-*+\u2022]|([0-9]{1,4})[.)])\s+(.*)")
_FENCE = re.compile(r"```[^\n]*\n?|\n?```$")


def render(
    results: Iterable[PageResult], *, pages: Sequence[Sequence[Block]] | None = None, title: str = "Document"
) -> str:
    """The document as HTML, a `section` a page.

    Args:
        results: the pages in order; figures that have PNG bytes are shown.
        pages: their blocks as `merging.merge` gave them; by default the pages' own.
        title: of the document.
    """
    results = list(results)
    if pages is not None:
        results = [
            replace(result, blocks=tuple(blocks)) for result, blocks in zip(results, pages, strict=True)
        ]
    return "".join(stream(results, title=title))


def stream(results: Iterable[PageResult | int], *, title: str = "Document") -> Iterator[str]:
    """The same page by page, for documents of any length: its head, each page, its foot.

    Args:
        results: the pages in order; figures that have PNG bytes are shown. The number alone of a page that
            could not be read, in whose place the document says so.
        title: of the document.
    """
    yield _HEAD.format(title=html.escape(title))
    for result in results:
        if isinstance(result, int):
            note = html.escape(f"{exports.UNREAD[0].upper()}{exports.UNREAD[1:]}.")
            yield f'<section id="page-{result + 1}">\n<p class="unread">{note}</p>\n</section>\n'
            continue
        pictures = {figure.id: figure.png for figure in result.figures if figure.png is not None}
        parts = (f"{part}\n" for block in result.blocks for part in block_parts(block, pictures))
        yield f'<section id="page-{result.index + 1}">\n{"".join(parts)}</section>\n'
    yield "</body>\n</html>\n"


def block_parts(block: Block, pictures: Mapping[str, bytes]) -> Iterator[str]:
    """Yield the elements that a block becomes.

    Args:
        block: of a page.
        pictures: PNG bytes of the figures that are shown, by their ids.
    """
    if block.image_id is not None and block.image_id in pictures:
        data = base64.b64encode(pictures[block.image_id]).decode("ascii")
        name = html.escape(block.image_id)
        yield f'<figure><img alt="{name}" src="data:image/png;base64,{data}"></figure>'
    if not block.content:
        return
    match block.type:
        case BlockType.TITLE:
            level = markdown.heading_level(block)
            yield f'<h{level} dir="auto">{_inline(markdown.heading_text(block))}</h{level}>'
        case BlockType.TABLE:
            for segment in tables.parse(block.content):
                yield tables.to_html(segment) if isinstance(segment, TableGrid) else _paragraph(segment, "")
        case BlockType.CODE:
            yield f"<pre><code>{html.escape(_FENCE.sub('', block.content))}</code></pre>"
        case BlockType.EQUATION:
            drawn = formulas.to_mathml(block.content, display=True)
            yield f'<p class="equation">{drawn or f"<code>{html.escape(block.content)}</code>"}</p>'
        case BlockType.LIST:
            yield from _list(block.content)
        case _:
            yield _paragraph(block.content, block.type.value)


def _inline(text: str) -> str:
    return "".join(
        _BOLD.sub(r"<strong>\1</strong>", html.escape(part))
        if formula is None
        else formulas.to_mathml(formula, display=part[:2] in ("\\[", "$$")) or html.escape(part)
        for part, formula in formulas.split(text)
    )


def _paragraph(text: str, kind: str) -> str:
    lines = "<br>\n".join(_inline(line) for line in text.split("\n"))
    return f'<p dir="auto" class="{kind}">{lines}</p>'


def _list(content: str) -> Iterator[str]:
    """Lines with a mark are items, of one level; a line without one goes on with the item before it."""
    items: list[list[str]] = []
    ordered, start = False, "1"
    for line in filter(None, map(str.strip, content.split("\n"))):
        match = _ITEM.fullmatch(line)
        if match:
            if not items:
                ordered, start = match[1] is not None, match[1] or "1"
            items.append([match[2]])
        elif items:
            items[-1].append(line)
        else:
            yield _paragraph(line, "")
    if items:
        name = "ol" if ordered else "ul"
        yield f'<ol start="{int(start)}">' if ordered else "<ul>"
        for item in items:
            yield f'<li dir="auto">{_inline(" ".join(item))}</li>'
        yield f"</{name}>"
