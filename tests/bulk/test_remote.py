"""A job whose documents, manifest and results are in S3 or Cloud Storage, on real servers of theirs."""

import pyarrow.parquet as pq
import pytest

from serve_app.bulk.manifest import write_manifest
from serve_app.bulk.store import Store
from tests.bulk.conftest import RunJob
from tests.bulk.corpus import pdf, png

pytestmark = pytest.mark.ray


@pytest.mark.parametrize("name", ["bucket", "gs_bucket"], ids=["s3", "gs"])
def test_a_corpus_in_a_bucket_is_read_and_its_results_are_put_there(
    name: str, run: RunJob, request: pytest.FixtureRequest
) -> None:
    bucket: str = request.getfixturevalue(name)
    store = Store(bucket)
    store.write("in/a b/long%20name.pdf", pdf(range(200, 220)))
    store.write("in/scan.png", png(90))
    store.write("in/broken.pdf", b"%PDF-1.7")
    store.write("in/notes.txt", b"")
    manifest = f"{bucket}/manifest.parquet"
    assert write_manifest([f"{bucket}/in"], manifest) == 3
    assert write_manifest([f"{bucket}/in/*.p*"], f"{bucket}/other.parquet") == 3

    report = run(manifest, out=f"{bucket}/out", images=True, markdown=True)
    assert report["pages"] == {"total": 21, "ok": 21, "runaway": 0, "failed": 0}
    assert report["failures"] == {"corrupt_document": 1}
    out = Store(f"{bucket}/out")
    (file,) = out.names("pages")
    table = pq.read_table(out.path(file), filesystem=out.filesystem)
    assert table["page_id"].to_pylist()[:2] == ["a b/long%20name.pdf#000000", "a b/long%20name.pdf#000001"]
    assert len(out.names("images/a%20b%2Flong%2520name.pdf")) == 20
    assert "markdown/scan.png.md" in out.names("markdown")

    again = run(manifest, out=f"{bucket}/out", images=True, markdown=True)
    assert again["pages_read"] == report["pages_read"]

    other = run(f"{bucket}/other.parquet", out=f"{bucket}/out", overwrite=True)
    assert other["pages"]["total"] == 21
    assert out.names("markdown") == []
