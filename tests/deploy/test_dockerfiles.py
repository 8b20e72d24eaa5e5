"""The Dockerfiles, as far as they can be checked without building them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from dockerfile_parse import DockerfileParser

from serve_app.cli import cli

ROOT = Path(__file__).parents[2]
FILES = ["kubernetes/Dockerfile.cpu", "kubernetes/Dockerfile.gpu"]


def instructions(file: str) -> list[tuple[str, str]]:
    with (ROOT / file).open("rb") as stream:
        parser = DockerfileParser(fileobj=stream)
        return [(step["instruction"], step["value"]) for step in parser.structure]


@pytest.mark.parametrize("file", FILES)
def test_hadolint_has_nothing_to_say(file: str) -> None:
    hadolint = Path(sys.executable).parent / "hadolint"
    done = subprocess.run([hadolint, ROOT / file], capture_output=True, text=True, check=False)  # noqa: S603 - our own file
    assert (done.returncode, done.stdout) == (0, "")


@pytest.mark.parametrize("file", FILES)
def test_base_images_are_pinned_and_the_same_python_everywhere(file: str) -> None:
    bases = [value.split()[0] for name, value in instructions(file) if name == "FROM"]
    assert len(set(bases)) == 1
    version = bases[0].partition(":")[2].split("-")[0]
    assert version.count(".") == 2, "a whole version: all pods of a cluster need the same Python"
    assert version.startswith("3.12."), "requirements-vllm.txt is resolved for it"


@pytest.mark.parametrize("file", FILES)
def test_the_image_runs_as_a_user_and_says_how_it_is(file: str) -> None:
    last_stage = instructions(file)
    last_stage = last_stage[max(i for i, (name, _) in enumerate(last_stage) if name == "FROM") :]
    found = dict(last_stage)
    assert found["USER"] == "1000:1000", "as the pods' runAsUser"
    assert "/healthz" in found["HEALTHCHECK"]
    program, *arguments = json.loads(found["CMD"])
    assert program == "dsocr"
    assert arguments[0] in cli.commands
    cli.commands[arguments[0]].make_context(arguments[0], arguments[1:])


@pytest.mark.parametrize("file", FILES)
def test_what_is_copied_exists_and_reaches_the_builder(file: str) -> None:
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    for name, value in instructions(file):
        if name == "COPY" and not value.startswith("--from"):
            for source in value.split()[:-1]:
                assert (ROOT / source).exists(), source
                assert source in allowed, source


@pytest.mark.parametrize("file", FILES)
def test_no_weights_come_in(file: str) -> None:
    text = (ROOT / file).read_text()
    assert not {"huggingface", "snapshot_download", "safetensors"} & set(text.lower().split())
    assert "hf_" not in text.lower()
