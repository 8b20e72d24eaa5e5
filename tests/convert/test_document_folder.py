from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from serve_app.document_folder import folder_names

STEMS = st.text("abAB.-2 ", min_size=1, max_size=5)


def test_names_are_stems_and_clashes_are_numbered() -> None:
    files = [
        Path("a/x.pdf"),
        Path("b/x.pdf"),
        Path("c/X.png"),
        Path("x-2.pdf"),
        Path("y.tar.gz"),
        Path(".pdf"),
    ]
    assert list(folder_names(files).values()) == ["x", "x-2", "X-3", "x-2-2", "y.tar", ".pdf"]


def test_a_file_named_twice_is_one() -> None:
    assert list(folder_names([Path("x.pdf"), Path("./x.pdf"), Path("a/../x.pdf")]).values()) == ["x"]


@settings(deadline=None)
@given(st.lists(st.tuples(STEMS, STEMS), max_size=12))
def test_no_two_files_share_a_folder_and_none_leaves_the_output(pairs: list[tuple[str, str]]) -> None:
    files = [Path("in", folder, name + ".pdf") for folder, name in pairs]
    names = folder_names(files)
    folded = [name.casefold() for name in names.values()]
    assert len(set(folded)) == len(folded) == len({file.resolve() for file in files})
    for name in names.values():
        assert Path("out", name).parent == Path("out")
        assert name not in ("", ".", "..")
