"""Draw harbour.pdf and photo.jpg, the documents of the README: python examples/draw.py.

harbour.pdf has two pages: a title, prose, a ruled table, and prose in two columns round a figure.
photo.jpg is its first page as a camera held upright stores it, turned, with EXIF orientation 6.
"""

from pathlib import Path

import pymupdf
from PIL import Image

HERE = Path(__file__).parent

PROSE = (
    "The harbour master counted forty ships before noon and wrote their names in a long green book. "
    "When the fog came in, every bell on the quay began to ring, and the pilots waited for the tide. "
    "Nobody left the inner basin until the lamp on the mole could be seen again."
)
COLUMNS = (
    "Pilots are paid by the draught of the vessel, not by its length. A ship that draws less than two "
    "metres may enter without one, if its master knows the channel and the weather is clear.",
    "The inner basin has berths for twelve ships. Timber is unloaded on the north quay, grain on the "
    "south quay, and fish at the steps below the market, where the carts wait from four in the morning.",
)
SHIPS = (
    ("Ship", "Cargo", "Tons", "Crew"),
    ("Marigold", "timber", "410", "23"),
    ("Heron", "herring", "95", "7"),
    ("Saint Brendan", "grain", "1,260", "31"),
)


def harbour() -> pymupdf.Document:
    """Return the two pages."""
    document = pymupdf.open()
    page = document.new_page(width=420, height=520)
    page.insert_text((40, 60), "The Harbour Book", fontsize=24, fontname="tibo")
    page.insert_textbox((40, 85, 380, 200), PROSE, fontsize=12, fontname="tiro")
    page.insert_text((40, 225), "Ships in port", fontsize=16, fontname="tibo")
    left, top, width, height = 40, 245, 85, 28
    for row in range(len(SHIPS) + 1):
        page.draw_line((left, top + row * height), (left + 4 * width, top + row * height))
    for column in range(5):
        page.draw_line((left + column * width, top), (left + column * width, top + len(SHIPS) * height))
    for row, cells in enumerate(SHIPS):
        for column, cell in enumerate(cells):
            at = (left + column * width + 8, top + row * height + 18)
            page.insert_text(at, cell, fontsize=11, fontname="tibo" if row == 0 else "tiro")

    page = document.new_page(width=420, height=520)
    page.insert_text((40, 60), "Rules for pilots", fontsize=20, fontname="tibo")
    page.insert_textbox((40, 85, 200, 260), COLUMNS[0], fontsize=12, fontname="tiro")
    page.insert_textbox((220, 85, 380, 260), COLUMNS[1], fontsize=12, fontname="tiro")
    sea, hull = (0.2, 0.45, 0.7), (0.45, 0.25, 0.1)
    page.draw_rect((90, 300, 330, 420), color=sea, fill=(0.85, 0.93, 1))
    page.draw_polyline(
        [(130, 380), (290, 380), (270, 405), (150, 405)], color=hull, fill=hull, closePath=True
    )
    page.draw_polyline(
        [(205, 380), (205, 315), (260, 370)], color=(0.5, 0.5, 0.5), fill=(1, 1, 1), closePath=True
    )
    page.insert_text((150, 445), "Figure 1: The Heron at anchor", fontsize=11, fontname="tiit")
    return document


def main() -> None:
    """Write the files beside this one."""
    document = harbour()
    document.save(HERE / "harbour.pdf", garbage=4, deflate=True, no_new_id=True)
    pixmap = document[0].get_pixmap(dpi=144)
    photo = Image.frombytes("RGB", (pixmap.width, pixmap.height), pixmap.samples)
    exif = Image.Exif()
    exif[0x0112] = 6
    photo.transpose(Image.Transpose.ROTATE_90).save(HERE / "photo.jpg", exif=exif, quality=88)


if __name__ == "__main__":
    main()
