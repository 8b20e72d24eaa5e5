"""Jobs over a real Ray: what dies in the middle, or starts anew, loses and repeats nothing."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pymupdf
import pytest
import ray
from ray import serve

pytestmark = pytest.mark.ray

PAGES = 24
JOBS = {"beat_s": 0.2, "stale_s": 1.0}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jobs")


@pytest.fixture(scope="module")
def start(deploy: Callable[..., str], folder: Path) -> Callable[[], str]:
    """Deploy the graph on the one folder; called again, it replaces what runs."""
    return lambda: deploy(jobs={"directory": str(folder), "pages_in_flight": 2, **JOBS})


@pytest.fixture(scope="module")
def client(start: Callable[[], str]) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=start(), timeout=60) as http:
        yield http


@pytest.fixture(scope="module")
def book() -> bytes:
    document = pymupdf.open()
    for _ in range(PAGES):
        document.new_page(width=200, height=200)
    return bytes(document.tobytes())


def submit(client: httpx.Client, document: bytes, **fields: str) -> str:
    reply = client.post("/v1/jobs", files={"file": ("book.pdf", document)}, data=fields)
    assert reply.status_code == 202, reply.text
    return str(reply.json()["id"])


def progress(client: httpx.Client, id_: str) -> Iterator[dict[str, Any]]:
    with client.stream("GET", f"/v1/jobs/{id_}/events") as reply:
        assert reply.status_code == 200
        for line in reply.iter_lines():
            if line.startswith("data: "):
                yield json.loads(line.removeprefix("data: "))


def until_pages(client: httpx.Client, id_: str, count: int) -> None:
    for status in progress(client, id_):
        if status["pages"]["done"] >= count:
            return
    raise AssertionError("the job ended")


def ended(client: httpx.Client, id_: str) -> dict[str, Any]:
    """The job once it has ended, however often the service breaks off."""
    while True:
        try:
            *_, last = progress(client, id_)
        except (httpx.HTTPError, AssertionError, ValueError):
            continue
        if "ended_at" in last:
            return last


def page_files(folder: Path, id_: str) -> dict[str, tuple[int, int]]:
    """Each page's file, and what tells whether it was written again."""
    found = sorted((folder / id_ / "pages").glob("[0-9]*"))
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in found}


def kill_replica(deployment: str) -> None:
    actors = [
        actor
        for actor in ray.util.list_named_actors(all_namespaces=True)
        if f"#{deployment}#" in actor["name"]
    ]
    assert actors
    for actor in actors:
        ray.kill(ray.get_actor(actor["name"], namespace=actor["namespace"]), no_restart=True)


@pytest.mark.parametrize(
    "victims", [("JobRunner",), ("JobRunner", "Ingress"), ()], ids=["runner", "runner-and-ingress", "service"]
)
def test_a_job_outlives(
    victims: tuple[str, ...],
    client: httpx.Client,
    start: Callable[[], str],
    folder: Path,
    book: bytes,
) -> None:
    id_ = submit(client, book, task="custom", prompt="brief")
    until_pages(client, id_, 3)
    before = page_files(folder, id_)
    for victim in victims:
        kill_replica(victim)
    if not victims:  # the whole service is stopped and started
        serve.delete("dsocr")
        before = page_files(folder, id_)
        start()
    status = ended(client, id_)
    assert (status["state"], status["pages"]) == ("done", {"total": PAGES, "done": PAGES, "failed": 0})
    after = page_files(folder, id_)
    assert list(after) == [f"{index:06d}.done.json" for index in range(PAGES)]
    assert {name: after[name] for name in before} == before, "what was stored is not read again"
    pages = client.get(f"/v1/jobs/{id_}/result").json()["pages"]
    assert [page["index"] for page in pages] == list(range(PAGES))
    listed = [job["id"] for job in client.get("/v1/jobs").json()["data"]]
    assert listed.count(id_) == 1


def test_a_cancelled_job_frees_the_model(client: httpx.Client, book: bytes) -> None:
    id_ = submit(client, book, task="custom", prompt="slow")
    handle = serve.get_deployment_handle("Model", "dsocr")
    under_way = lambda: handle.pages_under_way.remote().result(timeout_s=10)  # noqa: E731 - asked twice, no more
    for status in progress(client, id_):
        if status["state"] == "running":
            break
    while under_way() == 0:
        pass
    assert client.delete(f"/v1/jobs/{id_}").json()["state"] == "cancelled"
    client.get("/healthz")
    assert under_way() == 0
    assert client.get(f"/v1/jobs/{id_}/result").status_code == 409


def test_single_pages_go_on_beside_a_long_job(client: httpx.Client, book: bytes, pdf: bytes) -> None:
    id_ = submit(client, book, task="custom", prompt="slow")
    reply = client.post("/v1/ocr", files={"file": ("page", pdf)}, timeout=20)
    assert reply.status_code == 200
    assert client.get(f"/v1/jobs/{id_}").json()["state"] == "running"
    client.delete(f"/v1/jobs/{id_}")
