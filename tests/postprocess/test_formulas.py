"""Formulas as MathML."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.postprocess import formulas

PIECES = [
    "\\frac{", "\\text{", "\\href{javascript:alert(1)}{", "\\begin{aligned}", "\\end{aligned}", "&", "\\\\",
    "{", "}", "^", "_", "x", "<script>", "</math>", "<img src=x onerror=y>", "\\left(", "\\right)",
    "\\unknown",     '"', "'", "\\class{", "\\style{", "\\color{", "$", "\\(", "&lt;", "&#60;script&#62;",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), max_size=30).map("".join))
def test_whatever_a_formula_says_only_mathml_comes_out(latex: str) -> None:
    drawn = formulas.to_mathml(latex)
    if drawn is None:
        return
    for tag in re.findall(r"<[^>]*>?", drawn):
        assert re.fullmatch(r'</?m[a-z]+(?: [a-z]+="[A-Za-z0-9 .%+-]*")*>|</?none>', tag), tag
        assert "href" not in tag


@pytest.mark.parametrize(
    ("latex", "part"),
    [
        ("\\[ \\frac{a}{b} \\]", "<mfrac><mrow><mi>a</mi></mrow><mrow><mi>b</mi></mrow></mfrac>"),
        ("\\(x_1\\)", "<msub><mi>x</mi><mn>1</mn></msub>"),
        ("\\begin{aligned}a&=b\\\\c&=d\\end{aligned}", "<mtable"),
        ("\\begin{equation} a < b \\label{eq:1} \\end{equation}", "<mo>&lt;</mo>"),
    ],
)
def test_usual_formulas_are_drawn(latex: str, part: str) -> None:
    assert part in (formulas.to_mathml(latex, display=True) or "")


@pytest.mark.parametrize("latex", ["", "^", "{" * 100, "x" * 5_000, "\\def\\a{\\a\\a}\\a"])
def test_what_is_no_formula_or_too_much_stays_latex(latex: str) -> None:
    assert formulas.to_mathml(latex) is None


def test_money_is_no_formula() -> None:
    assert list(formulas.split("It cost $5, not $6.")) == [("It cost $5, not $6.", None)]
    parts = list(formulas.split("So \\(a\\) is."))
    assert parts == [("So ", None), ("\\(a\\)", "a"), (" is.", None)]
