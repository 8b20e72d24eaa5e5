"""The vllm engine behind the whole Serve graph: HTTP, Ray, vLLM's CPU build, a tiny random model."""

import json
import signal
import socket
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pymupdf
import pytest

pytest.importorskip("vllm")

from ray import serve
from ray.serve.config import HTTPOptions

from benchmarks.gpu.cores import engine_cores
from serve_app.graph import build_app
from serve_app.settings import load_settings
from serve_app.sizing import Resources
from tests.local_ray import local_ray
from tests.vllm.pages import TILE, VIEW

pytestmark = [pytest.mark.vllm, pytest.mark.timeout(400)]

PATIENCE_S = 240
"""For what is awaited, on a machine that has other work too."""

LONGEST = 1_400
"""Tokens of prompt and answer: a page has two tiles, 553 tokens of prompt."""

LADDERS = {
    "custom": [{"ngram_size": 0}],  # nothing is forbidden, and nothing tried again
    "markdown": [{"ngram_size": 2, "ngram_window": 2_000}],  # no two tokens come twice in a row
}


def settings(folder, jobs):
    return load_settings(
        {
            "jobs": {"directory": str(jobs)},
            "model": {
                "engine": "vllm",
                "vllm": {
                    "model": str(folder),
                    "base_size": VIEW,
                    "image_size": TILE,
                    "dtype": "float32",
                    "enforce_eager": True,
                    "kv_cache_memory_bytes": 2**28,
                    "max_model_len": LONGEST,
                    "max_num_seqs": 4,
                    "max_num_batched_tokens": 2_048,
                    "runaway": {"min_tokens": 96},
                    "additional_config": {"vision": {"view_batches": [1], "tile_batches": [2]}},
                },
            },
            # The tiny tower's patches are smaller, so that its views have as many tokens as the model's.
            "views": {"base_size": VIEW, "image_size": TILE, "patch_size": 4},
            "reading": {"ladder": LADDERS},
            "scaling": {
                "model": {"num_gpus": 0, "num_cpus": 1, "max_replicas": 1, "max_ongoing_requests": 8}
            },
        }
    )


@pytest.fixture(scope="module")
def address():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with pytest.MonkeyPatch.context() as patch, local_ray(num_cpus=6):
        patch.setenv("OMP_NUM_THREADS", "1")
        serve.start(http_options=HTTPOptions(host="127.0.0.1", port=port))
        yield f"http://127.0.0.1:{port}"
        serve.shutdown()


@pytest.fixture(scope="module")
def client(address, model_folder, tmp_path_factory):
    app = build_app(settings(model_folder, tmp_path_factory.mktemp("jobs")), Resources(cpus=4, gpus=0))
    serve.run(app, name="dsocr")
    with httpx.Client(base_url=address, timeout=PATIENCE_S) as http:
        yield http


def pdf(pages=1):
    """Pages of two tiles each."""
    document = pymupdf.open()
    for number in range(pages):
        page = document.new_page(width=200, height=100)
        page.insert_text((20, 50), f"page {number}")
    return bytes(document.tobytes())


def read(client, document, **fields):
    files = {"file": ("page.pdf", document, "application/pdf")}
    return client.post("/v1/ocr", files=files, data={"include_raw": "true", **fields})


def test_two_pages_at_once_are_what_each_is_alone(client):
    reply = read(client, pdf(2))
    assert reply.status_code == 200, reply.text
    together = reply.json()["pages"]
    assert [page["index"] for page in together] == [0, 1]
    with ThreadPoolExecutor(2) as pool:
        alone = list(
            pool.map(lambda index: read(client, pdf(2), pages=str(index)).json()["pages"][0], (0, 1))
        )
    assert [page["raw"] for page in together] == [page["raw"] for page in alone]
    assert all(page["raw"] for page in together)


def test_what_streams_is_what_a_reply_holds(client):
    files, data = {"file": ("page.pdf", pdf(), "application/pdf")}, {"stream": "true", "include_raw": "true"}
    with client.stream("POST", "/v1/ocr", files=files, data=data) as reply:
        events = [json.loads(line[6:]) for line in reply.iter_lines() if line.startswith("data: ")]
    deltas = [event["text"] for event in events if "text" in event]
    assert len(deltas) > 1
    (page,) = read(client, pdf()).json()["pages"]
    assert "".join(deltas) == page["raw"]


def test_the_no_repeat_rule_of_a_task_reaches_the_engine(client):
    prompt = "<|grounding|>Convert the document to markdown."
    (ruled,) = read(client, pdf(), task="markdown").json()["pages"]
    (free,) = read(client, pdf(), task="custom", prompt=prompt).json()["pages"]
    assert ruled["raw"][0] == free["raw"][0], "the prompt is the same"
    assert ruled["raw"] != free["raw"], "until two tokens would come again"


def test_a_client_that_leaves_frees_its_place(client):
    model = serve.get_deployment_handle("Model", "dsocr")
    files, data = {"file": ("page.pdf", pdf(), "application/pdf")}, {"stream": "true"}
    with client.stream("POST", "/v1/ocr", files=files, data=data) as reply:
        next(line for line in reply.iter_lines() if line.startswith("event: page.delta"))
    wait_for(lambda: model.pages_under_way.remote().result() == 0)
    assert read(client, pdf()).status_code == 200


def test_an_engine_whose_core_is_killed_is_replaced(client):
    files, data = {"file": ("page.pdf", pdf(), "application/pdf")}, {"stream": "true"}
    (core,) = engine_cores()
    with client.stream("POST", "/v1/ocr", files=files, data=data) as reply:
        lines = reply.iter_lines()
        next(line for line in lines if line.startswith("event: page.delta"))
        core.send_signal(signal.SIGKILL)
        rest = "\n".join(lines)
    assert "engine_unavailable" in rest or "event: page.done" in rest, "an error in words, or read once more"
    wait_for(lambda: engine_cores() not in ([], [core]) and client.get("/readyz").status_code == 200)
    wait_for(lambda: read(client, pdf()).status_code == 200)


def test_a_bad_model_folder_is_said_in_a_sentence(client, address, model_folder, tmp_path):
    broken = tmp_path / "model"
    broken.mkdir()
    for file in model_folder.iterdir():
        if file.name != "config.json":
            (broken / file.name).symlink_to(file)
    app = build_app(settings(broken, tmp_path / "jobs"), Resources(cpus=4, gpus=0))
    with pytest.raises(RuntimeError):
        serve.run(app, name="broken", route_prefix="/broken")
    said = str(serve.status().applications["broken"])
    serve.delete("broken")
    assert "config.json is missing" in said
    assert read(client, pdf()).status_code == 200, "the service beside it goes on"


def wait_for(true):
    limit = time.monotonic() + PATIENCE_S
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.2)
