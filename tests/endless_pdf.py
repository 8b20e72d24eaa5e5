"""A small PDF whose page MuPDF never comes to the end of."""

FORMS = 12
CALLS = 10


def endless_pdf() -> bytes:
    """A page that draws a form ten times, which draws another ten times, twelve forms deep.

    None of them calls itself, so that no guard against cycles sees it; 10^12 rectangles would take days.
    """
    resources = b"/Resources<</XObject<</F %d 0 R>>>>"
    objects = [
        b"<</Type/Catalog/Pages 2 0 R>>",
        b"<</Type/Pages/Kids[3 0 R]/Count 1>>",
        b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 200 200]/Contents 4 0 R" + resources % 5 + b">>",
        _stream(b"", b"/F Do"),
    ]
    objects += [
        _stream(_FORM + resources % number, b"/F Do " * CALLS)
        for number in range(len(objects) + 2, len(objects) + 1 + FORMS)
    ]
    objects.append(_stream(_FORM, b"0 0 9 9 re f"))
    written, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(written))
        written += b"%d 0 obj\n%s\nendobj\n" % (number, body)
    table = b"0000000000 65535 f \n" + b"".join(b"%010d 00000 n \n" % place for place in places)
    size, begin = len(objects) + 1, len(written)
    return written + (
        b"xref\n0 %d\n%strailer <</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF" % (size, table, size, begin)
    )


_FORM = b"/Type/XObject/Subtype/Form/BBox[0 0 200 200]"


def _stream(entries: bytes, content: bytes) -> bytes:
    return b"<<%s/Length %d>>\nstream\n%s\nendstream" % (entries, len(content), content)
