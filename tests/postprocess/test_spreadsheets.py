"""Tables as CSV and as workbooks."""

import csv
import io

import openpyxl

from deployments.postprocess import spreadsheets
from deployments.postprocess.postprocessor import Postprocessor
from deployments.types import FinishReason, Generation, PageResult, PreparedPage

HOSTILE = '=HYPERLINK("https://example.com","x")'
TABLES = (
    "<table><tr><th colspan='2'>Ships</th></tr><tr><td>Heron</td><td>95</td></tr>"
    f"<tr><td>{HOSTILE}</td><td>-1.5</td></tr><tr><td>007</td><td>https://example.com</td></tr></table>"
    "<table><tr><td>+44 20</td></tr></table>"
)


def read(*raws: str) -> list[PageResult]:
    pages = (PreparedPage(index=index, width=100, height=100, dpi=144, prompt="") for index in range(9))
    return [
        Postprocessor().process(page, Generation(raw, FinishReason.STOP))
        for page, raw in zip(pages, raws, strict=False)
    ]


def test_each_table_is_a_sheet_and_text_stays_text() -> None:
    out = io.BytesIO()
    spreadsheets.write_xlsx(out, read("No table here.", TABLES))
    book = openpyxl.load_workbook(out)
    assert book.sheetnames == ["page 2 table 1", "page 2 table 2"]
    sheet = book["page 2 table 1"]
    assert [str(area) for area in sheet.merged_cells.ranges] == ["A1:B1"]
    assert (sheet["A1"].value, sheet["B2"].value, sheet["B3"].value) == ("Ships", 95, -1.5)
    assert (sheet["A3"].value, sheet["A3"].data_type) == (HOSTILE, "s")
    assert (sheet["A4"].value, sheet["A4"].data_type) == ("007", "s")
    assert sheet["B4"].hyperlink is None


def test_a_workbook_without_tables_says_so() -> None:
    out = io.BytesIO()
    spreadsheets.write_xlsx(out, read("No table here."))
    assert openpyxl.load_workbook(out)["no tables"]["A1"].value == "No tables were found on these pages."


def test_csv_holds_all_tables_and_no_formulas() -> None:
    rows = list(csv.reader(io.StringIO(spreadsheets.to_csv(read(TABLES)))))
    assert rows == [
        ["Ships", ""],
        ["Heron", "95"],
        [f"'{HOSTILE}", "-1.5"],
        ["007", "https://example.com"],
        [],
        ["+44 20"],
    ]
