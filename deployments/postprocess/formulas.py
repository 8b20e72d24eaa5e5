"""Formulas: LaTeX as MathML, which browsers draw themselves.

The conversion is latex2mathml's; what comes out is written anew here, from elements and attributes that
are known to be harmless: the formula may be anything that stood on somebody's page. What can't be
converted stays LaTeX.
"""

import html
import logging
import re
from collections.abc import Iterator
from xml.etree.ElementTree import Element

from latex2mathml.converter import convert_to_element

logger = logging.getLogger(__name__)

_LONGEST = 2_000
"""Characters of a formula; longer ones stay LaTeX, as the conversion's time is not bounded."""

_DEEPEST = 60
"""Braces within braces; the conversion and the writing recurse."""

_REFUSED = re.compile(r"\\(?:re)?newcommand|\\(?:re)?newenvironment|\\[egx]?def\b|\\let\b|\\providecommand")
"""Definitions: a few of them can grow without bounds."""

_DELIMITERS = (("$$", "$$"), ("\\[", "\\]"), ("\\(", "\\)"), ("$", "$"))

_INLINE = re.compile(r"\\\((.{1,2000}?)\\\)|\\\[(.{1,2000}?)\\\]|\$\$([^$]{1,2000})\$\$", re.DOTALL)
"""Formulas within text; a single dollar sign is money more often than a formula."""

_ENVIRONMENTS = re.compile(r"\\(begin|end)\{(?:aligned|gathered|gather\*?|alignat\*?|split|eqnarray\*?)\}")
_EQUATION = re.compile(
    r"\\(?:begin|end)\{(?:equation|displaymath)\*?\}|\\(?:nonumber|notag)\b|\\label\{[^{}]*\}"
)

_WRITTEN_ELEMENTS = (
    "math mrow mi mn mo mtext mspace mfrac msqrt mroot mstyle msub msup msubsup munder mover munderover"
    " mmultiscripts mprescripts none mtable mtr mtd mlabeledtr mpadded mphantom menclose merror"
)
_WRITTEN_ATTRIBUTES = (
    "display displaystyle scriptlevel mathvariant stretchy fence form separator accent accentunder"
    " movablelimits largeop symmetric lspace rspace minsize maxsize linethickness rowspacing columnspacing"
    " columnalign rowalign columnlines rowlines frame notation width height depth voffset"
)
_ELEMENTS = frozenset(_WRITTEN_ELEMENTS.split())
_ATTRIBUTES = frozenset(_WRITTEN_ATTRIBUTES.split())
_VALUE = re.compile(r"[A-Za-z0-9 .%+-]{0,60}")


def to_mathml(latex: str, *, display: bool = False) -> str | None:
    """Return a formula as MathML, or None where it can't be converted.

    Args:
        latex: the formula, with or without its delimiters.
        display: whether it stands on a line of its own.
    """
    formula = _EQUATION.sub("", _bare(latex)).strip()
    if not formula or len(formula) > _LONGEST or _REFUSED.search(formula) or _depth(formula) > _DEEPEST:
        return None
    formula = _ENVIRONMENTS.sub(r"\\\1{align*}", formula)
    try:
        element = convert_to_element(formula, display="block" if display else "inline")
    except Exception as error:  # the library raises errors of many kinds on what is no LaTeX
        logger.debug("a formula stays LaTeX: %s", type(error).__name__)
        return None
    return "".join(_written(element))


def split(text: str) -> Iterator[tuple[str, str | None]]:
    """Split text at the formulas in it.

    Yields:
        Text and None, or a formula's LaTeX with its delimiters, and without them.
    """
    start = 0
    for match in _INLINE.finditer(text):
        if match.start() > start:
            yield text[start : match.start()], None
        yield match[0], match[1] or match[2] or match[3]
        start = match.end()
    if start < len(text):
        yield text[start:], None


def _bare(latex: str) -> str:
    text = latex.strip()
    for opening, closing in _DELIMITERS:
        if text.startswith(opening) and text.endswith(closing) and len(text) >= len(opening) + len(closing):
            return text[len(opening) : len(text) - len(closing)]
    return text


def _depth(formula: str) -> int:
    depth = deepest = 0
    for character in formula:
        depth += (character == "{") - (character == "}")
        deepest = max(deepest, depth)
    return deepest + formula.count("\\left")


def _written(element: Element) -> Iterator[str]:
    """Write an element; an unknown one is left out, and what is in it stays."""
    known = element.tag in _ELEMENTS
    if known:
        attributes = "".join(
            f' {name}="{value}"'
            for name, value in element.attrib.items()
            if name in _ATTRIBUTES and _VALUE.fullmatch(value)
        )
        yield f"<{element.tag}{attributes}>"
    # The library writes characters as references, which its own serialisation turns back.
    yield html.escape(html.unescape(element.text or ""), quote=False)
    for child in element:
        yield from _written(child)
    if known:
        yield f"</{element.tag}>"
