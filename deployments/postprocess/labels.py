"""The model's names for blocks, and ours.

The vocabulary of the checkpoint is not published. The names below are those seen in published
outputs of DeepSeek-OCR (title, sub_title, text, image, image_caption, table, table_caption,
table_footnote, equation, header, footer, page_number, …) and their usual spellings in other
layout models, so that a fine-tuned model or another engine maps as well.
"""

from deployments.types import BlockType

_NAMES: dict[BlockType, str] = {
    BlockType.TEXT: "text plain_text paragraph abstract content index footnote page_footnote",
    BlockType.TITLE: "title sub_title subtitle doc_title paragraph_title heading section_header",
    BlockType.LIST: "list list_item",
    BlockType.TABLE: "table",
    BlockType.IMAGE: "image figure picture chart photo logo seal stamp",
    BlockType.EQUATION: "equation formula equation_block isolate_formula display_formula",
    BlockType.CAPTION: (
        "caption image_caption figure_caption table_caption chart_caption code_caption formula_caption"
        " figure_title table_title chart_title image_footnote figure_footnote table_footnote"
    ),
    BlockType.CODE: "code code_block algorithm",
    BlockType.REFERENCES: "references reference ref_text bibliography",
    BlockType.ASIDE_TEXT: "aside_text aside sidebar margin_note marginalia",
    BlockType.HEADER: "header page_header",
    BlockType.FOOTER: "footer page_footer",
    BlockType.SIGNATURE: "signature",
}
_TYPES = {name: type_ for type_, names in _NAMES.items() for name in names.split()}

_PAGE_NUMBERS = frozenset({"page_number", "number", "folio"})
"""Running head or foot, whichever is nearer."""

_LONGEST_NAME = 64


def _normalised(label: str) -> str:
    if len(label) > _LONGEST_NAME:
        return ""
    return label.strip().casefold().replace(" ", "_").replace("-", "_")


def is_known(label: str) -> bool:
    """Whether a label names a kind of block; any other is text of the page or the user's own words."""
    name = _normalised(label)
    return name in _TYPES or name in _PAGE_NUMBERS


def block_type(label: str, *, upper_half: bool = False) -> BlockType:
    """The kind of block that a label means; text for an unknown one.

    Args:
        label: as the model wrote it.
        upper_half: whether the block lies in the page's upper half, which makes a page number a header.
    """
    name = _normalised(label)
    if name in _PAGE_NUMBERS:
        return BlockType.HEADER if upper_half else BlockType.FOOTER
    return _TYPES.get(name, BlockType.TEXT)


def heading_level(label: str) -> int:
    """The heading level, from 1, that a title's label implies where the model wrote no `#`."""
    return 1 if _normalised(label) in {"title", "doc_title"} else 2
