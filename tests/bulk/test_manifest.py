"""Manifests: what is listed, what is read, what is refused and in which words."""

from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from deployments.errors import InvalidRequest
from deployments.types import PageRequest, Task
from serve_app.bulk.manifest import digest, read_manifest, row_request, write_manifest
from serve_app.bulk.store import Store
from serve_app.cli import main

REQUEST = PageRequest()


def save(folder: Path, columns: dict[str, Any]) -> str:
    pq.write_table(pa.table(columns), folder / "manifest.parquet")
    return str(folder / "manifest.parquet")


def test_a_folder_is_searched_to_any_depth_for_documents(tmp_path: Path) -> None:
    for name in ("b.pdf", "sub/deep/a.PNG", "notes.txt", "sub/c.tiff"):
        (tmp_path / "in" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "in" / name).touch()
    target = str(tmp_path / "out" / "manifest.parquet")
    assert write_manifest([str(tmp_path / "in")], target) == 3
    table = read_manifest(target, REQUEST)
    assert table["doc_id"].to_pylist() == ["b.pdf", "sub/c.tiff", "sub/deep/a.PNG"]
    assert table["uri"].to_pylist()[0] == str(tmp_path / "in" / "b.pdf")


def test_patterns_and_files_are_taken_as_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("x/1.pdf", "x/2.pdf", "x/y/3.pdf", "x/scan", "other.bin"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    assert write_manifest(["x/*.pdf", "other.bin"], "m.parquet") == 3
    assert read_manifest("m.parquet", REQUEST)["doc_id"].to_pylist() == ["1.pdf", "2.pdf", "other.bin"]
    assert write_manifest(["x/**/*.pdf"], "m.parquet") == 3
    assert read_manifest("m.parquet", REQUEST)["doc_id"].to_pylist() == ["1.pdf", "2.pdf", "y/3.pdf"]


def test_nothing_found_and_names_found_twice_are_refused(tmp_path: Path) -> None:
    for folder in "ab":
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "same.pdf").touch()
    with pytest.raises(InvalidRequest, match=r"a/same.pdf and .*b/same.pdf would both have the doc_id"):
        write_manifest([str(tmp_path / "a"), str(tmp_path / "b")], str(tmp_path / "m.parquet"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidRequest, match="No documents"):
        write_manifest([str(tmp_path / "empty")], str(tmp_path / "m.parquet"))
    for missing in ("typo", "typo/a.pdf", "*.pdf", "typo/*.pdf"):
        with pytest.raises(InvalidRequest, match=r"no file or folder .*typo|Nothing matches .*pdf"):
            write_manifest([str(tmp_path / "a"), str(tmp_path / missing)], str(tmp_path / "m.parquet"))
    assert not (tmp_path / "m.parquet").exists()


@pytest.mark.parametrize(
    ("columns", "words"),
    [
        ({"doc_id": ["a"]}, 'no column "uri"'),
        ({"doc_id": [1], "uri": ["a.pdf"]}, 'column "doc_id" has the type int64'),
        ({"doc_id": ["a"], "uri": ["a.pdf"], "pages": [1.5]}, 'column "pages" has the type double'),
        ({"doc_id": ["a", "b", "a"], "uri": ["x", "y", "z"]}, 'Row 2 .* "doc_id": "a" stands in row 0 too'),
        ({"doc_id": ["a", None], "uri": ["x", "y"]}, 'Row 1 .* "doc_id": it is empty'),
        ({"doc_id": ["a", "b"], "uri": ["x", ""]}, 'Row 1 .* "uri": it is empty'),
        ({"doc_id": ["a", "b"], "uri": ["x", "y"], "pages": [None, "3-1"]}, 'Row 1 .* "pages": .*backwards'),
        ({"doc_id": ["a"], "uri": ["x"], "pages": [[-1]]}, 'Row 0 .* "pages"'),
        ({"doc_id": ["a"], "uri": ["x"], "task": ["ocr"]}, 'Row 0 .* "task": "ocr" is none of markdown'),
        ({"doc_id": ["a"], "uri": ["x"], "task": ["custom"]}, 'Row 0 .* "prompt": .*needs a prompt'),
        ({"doc_id": ["a"], "uri": ["x"], "task": ["text"], "prompt": ["hi"]}, 'Row 0 .* "prompt"'),
        ({"doc_id": pa.array([], pa.string()), "uri": pa.array([], pa.string())}, "no rows"),
    ],
)
def test_a_bad_manifest_is_refused_with_its_row_and_column(
    tmp_path: Path, columns: dict[str, Any], words: str
) -> None:
    with pytest.raises(InvalidRequest, match=words):
        read_manifest(save(tmp_path, columns), REQUEST)


def test_what_is_no_parquet_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("doc_id,uri\n")
    with pytest.raises(InvalidRequest, match="can't be read as Parquet"):
        read_manifest(str(tmp_path / "m.csv"), REQUEST)
    with pytest.raises(InvalidRequest, match="There is no manifest"):
        read_manifest(str(tmp_path / "missing.parquet"), REQUEST)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InvalidRequest, match="has no Parquet file"):
        read_manifest(str(tmp_path / "empty"), REQUEST)


def test_a_folder_of_parquet_files_is_one_manifest(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for name, rows in {"2": ["c"], "1": ["a", "b"]}.items():
        table = pa.table({"doc_id": rows, "uri": [f"{row}.pdf" for row in rows]})
        pq.write_table(table, tmp_path / "parts" / f"{name}.parquet")
    table = read_manifest(str(tmp_path / "parts"), REQUEST)
    assert table["doc_id"].to_pylist() == ["a", "b", "c"]


def two_files(folder: Path, first: Any, second: Any) -> str:
    """A manifest of two files that differ in what `pages` is; None for files without it."""
    for name, pages in {"a": first, "b": second}.items():
        columns = {"doc_id": [name], "uri": [f"{name}.pdf"]} | ({} if pages is None else {"pages": pages})
        pq.write_table(pa.table(columns), folder / f"{name}.parquet")
    return str(folder)


@pytest.mark.parametrize(
    ("first", "second", "pages"),
    [
        (None, ["0"], [None, "0"]),
        (["0"], None, ["0", None]),
        (pa.nulls(1), ["0"], [None, "0"]),
        (pa.nulls(1), [[0, 2]], [None, [0, 2]]),
        (["0"], pa.array(["1"]).dictionary_encode(), ["0", "1"]),
        (pa.array(["0"]).dictionary_encode(), ["1"], ["0", "1"]),
        (["0"], pa.array(["1"], pa.large_string()), ["0", "1"]),
    ],
)
def test_files_of_a_manifest_need_not_have_the_same_columns(
    tmp_path: Path, first: Any, second: Any, pages: list[Any]
) -> None:
    assert read_manifest(two_files(tmp_path, first, second), REQUEST)["pages"].to_pylist() == pages


def test_files_of_a_manifest_with_different_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match=r"differ in a column.* pages "):
        read_manifest(two_files(tmp_path, ["0"], [[0]]), REQUEST)


@pytest.mark.parametrize("name", ["bucket", "gs_bucket"], ids=["s3", "gs"])
def test_a_manifest_in_a_bucket_may_be_a_folder(
    name: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    store = Store(f"{request.getfixturevalue(name)}/parts")
    two_files(tmp_path, None, ["0"])
    for file in ("a.parquet", "b.parquet"):
        store.write(file, (tmp_path / file).read_bytes())
    table = read_manifest(store.uri, REQUEST)
    assert table.select(["doc_id", "pages"]).to_pylist() == [
        {"doc_id": "a", "pages": None},
        {"doc_id": "b", "pages": "0"},
    ]


def test_a_prompt_that_the_command_lacks_is_no_fault_of_a_row(tmp_path: Path) -> None:
    manifest = save(tmp_path, {"doc_id": ["a"], "uri": ["a.pdf"]})
    with pytest.raises(InvalidRequest) as refused:
        read_manifest(manifest, PageRequest(task=Task.CUSTOM))
    assert str(refused.value) == 'The task "custom" needs a prompt.'
    own = save(tmp_path, {"doc_id": ["a"], "uri": ["a.pdf"], "prompt": ["Read the date."]})
    assert read_manifest(own, PageRequest(task=Task.CUSTOM)).num_rows == 1


def test_a_row_overrides_the_job_and_other_columns_do_not_matter(tmp_path: Path) -> None:
    columns = {
        "doc_id": pa.array(["a", "b", "c"]).dictionary_encode(),
        "uri": ["x", "y", "z"],
        "pages": [[0, 2], None, [1]],
        "task": [None, "table", None],
        "prompt": [None, None, "Read the stamp."],
        "language": ["de", "en", "fr"],
    }
    table = read_manifest(save(tmp_path, columns), REQUEST)
    found = [row_request(row, REQUEST) for row in table.to_pylist()]
    assert [(request.task, request.prompt) for request in found] == [
        (Task.MARKDOWN, None),
        (Task.TABLE, None),
        (Task.CUSTOM, "Read the stamp."),
    ]
    custom = PageRequest(task=Task.CUSTOM, prompt="Read the date.")
    assert row_request({"task": None, "prompt": None}, custom).prompt == "Read the date."
    assert row_request({"task": "text", "prompt": None}, custom).prompt is None


def test_a_digest_depends_on_the_rows_alone(tmp_path: Path) -> None:
    columns = {"doc_id": [f"d{n}" for n in range(50)], "uri": ["x"] * 50}
    table = pa.table(columns)
    pq.write_table(table, tmp_path / "1.parquet", row_group_size=7, compression="none")
    pq.write_table(table.append_column("note", [["n"] * 50]), tmp_path / "2.parquet")
    pq.write_table(pa.table({**columns, "uri": ["x"] * 49 + ["y"]}), tmp_path / "3.parquet")
    one, two, three = (digest(read_manifest(str(tmp_path / f"{n}.parquet"), REQUEST)) for n in (1, 2, 3))
    assert one == two != three


def test_the_commands_write_a_manifest_and_refuse_a_bad_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "a.pdf").touch()
    with pytest.raises(SystemExit) as ended:
        main(["manifest", str(tmp_path), "-o", str(tmp_path / "m.parquet")])
    assert ended.value.code == 0
    assert "1 documents" in capsys.readouterr().out
    bad = save(tmp_path, {"doc_id": ["a", "a"], "uri": ["x", "y"]})
    with pytest.raises(SystemExit) as ended:
        main(["bulk", bad, "--out", str(tmp_path / "out")])
    assert ended.value.code == 2
    assert capsys.readouterr().err.startswith('dsocr: Row 1 of the manifest, column "doc_id"')
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("target", ["", "folder", "folder/", "s3://bucket", "file.pdf/m.parquet"])
def test_a_manifest_that_cannot_be_written_is_said_by_its_name(
    tmp_path: Path, target: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "file.pdf").touch()
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    with pytest.raises(SystemExit) as ended:
        main(["manifest", "file.pdf", "-o", target])
    assert ended.value.code == 2
    said = capsys.readouterr().err
    assert target in said
    assert ".tmp" not in said
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["file.pdf", "folder"]


@pytest.mark.parametrize("options", [[], ["--export", "pdf"], ["--markdown"]])
def test_merge_is_refused_where_nothing_would_be_merged(
    tmp_path: Path, options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    manifest = save(tmp_path, {"doc_id": ["a"], "uri": ["a.pdf"]})
    with pytest.raises(SystemExit) as ended:
        main(["bulk", manifest, "--out", str(tmp_path / "out"), "--merge", *options])
    assert ended.value.code == 2
    assert "--export html" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
