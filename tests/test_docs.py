"""The pages under docs/ and README.md: links lead somewhere, and what they name exists."""

import json
import math
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from pydantic import BaseModel

from serve_app.cli import cli
from serve_app.settings import ENVIRONMENT_PREFIX, FILE_VARIABLE, KEY_VARIABLE, Settings

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
MAKE = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))


def text(name: str) -> str:
    return (ROOT / name).read_text()


def commands(name: str) -> Iterator[list[str]]:
    """The words of every command line of a page that runs a program of ours, from its name on."""
    for line in re.findall(r"^\s*\$ (.+)$", text(name), re.MULTILINE):
        for part in re.split(r"\s*(?:&&|\||;)\s*", line):
            words = shlex.split(part, comments=True)
            for place, word in enumerate(words):
                if word == "dsocr" or word.endswith("/bin/dsocr"):
                    yield words[place + 1 :]
                    break
                if word == "serve_app.bulk":
                    yield ["bulk", *words[place + 1 :]]
                    break
    for inline in re.findall(r"`dsocr ([^`]+)`", text(name)):
        yield shlex.split(inline.replace("…", ""))


def check_command(words: list[str]) -> None:
    """Raise if a command or an option of it does not exist."""
    command: click.Command = cli
    for word in words:
        if isinstance(command, click.Group) and not word.startswith("-"):
            assert word in command.commands, f"there is no command {word}"
            command = command.commands[word]
        elif word.startswith("-"):
            options = {flag for option in command.params for flag in (*option.opts, *option.secondary_opts)}
            assert word in options | {"--help", "-h"}, f"{command.name} has no option {word}"


def setting_exists(path: str) -> bool:
    """Whether a dotted path leads to a field of the settings."""
    model: object = Settings
    for name in path.split("."):
        if not (isinstance(model, type) and issubclass(model, BaseModel)) or name not in model.model_fields:
            return False
        model = model.model_fields[name].annotation
    return True


@pytest.mark.parametrize("name", NAMES)
def test_links_lead_somewhere(name: str) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", text(name)):
        if not target.startswith(("http://", "https://", "#")):
            assert (ROOT / name).parent.joinpath(target.partition("#")[0]).exists(), target


@pytest.mark.parametrize("name", NAMES)
def test_commands_exist_with_their_options(name: str) -> None:
    for words in commands(name):
        check_command(words)
    for target in re.findall(r"\bmake ([a-z-]+)", text(name)):
        if f"`make {target}`" in text(name) or f"$ make {target}" in text(name):
            assert target in MAKE, f"there is no make {target}"


@pytest.mark.parametrize("name", NAMES)
def test_settings_exist(name: str) -> None:
    parts = "|".join(Settings.model_fields)
    for path in re.findall(rf"`((?:{parts})\.[a-z_.]+[a-z])(?:: [^`]+)?`", text(name)):
        assert setting_exists(path), path
    for variable in re.findall(rf"\b{ENVIRONMENT_PREFIX}[A-Z_]+", text(name)):
        if variable not in (FILE_VARIABLE, KEY_VARIABLE):
            path = variable.removeprefix(ENVIRONMENT_PREFIX).replace("__", ".").lower()
            assert setting_exists(path), variable


@pytest.mark.parametrize("name", NAMES)
def test_files_that_are_named_exist(name: str) -> None:
    for file in re.findall(
        r"(?<![\w/.~-])((?:cluster|kubernetes|prometheus|grafana|examples)/[\w./-]*\w)", text(name)
    ):
        assert (ROOT / file).exists(), file


def test_a_misspelt_name_would_be_noticed() -> None:
    with pytest.raises(AssertionError, match="no command"):
        check_command(["docter"])
    with pytest.raises(AssertionError, match="no option"):
        check_command(["doctor", "--sever"])
    assert not setting_exists("scaling.model.max_replica")
    assert setting_exists("scaling.model.max_replicas")


def test_every_metric_is_documented_and_no_other() -> None:
    sources = [*ROOT.glob("serve_app/**/*.py"), *ROOT.glob("deployments/**/*.py")]
    made = {
        f"ray_{name}"
        for source in sources
        for name in re.findall(
            r"(?:Counter|Gauge|Histogram)\(\s*\"(dsocr_\w+)\"", source.read_text(), re.DOTALL
        )
    }
    assert made == set(re.findall(r"`(ray_dsocr_\w+)`", text("docs/metrics.md")))


def test_the_sizing_table_is_what_its_formulas_give() -> None:
    page = text("docs/sizing.md")
    rows = re.findall(r"^\| ([\d,]{7,}) \| (\d+) \| ([\d.]+) \| (\d+) \| ([\d.]+) \|$", page, re.MULTILINE)
    assert len(rows) == 4
    runs = map(json.loads, text("benchmarks/results/throughput_h200_2026-11-22.jsonl").splitlines())
    as_shipped = [run for run in runs if run["name"] in ("engine", "sweep-bf16")]
    rate = round(as_shipped[-1]["phases"]["mean-1000"]["steady"]["pages_per_s"], 1)
    assert f"One H200 reads {rate} pages a second" in page
    for pages, gpus, cores, provided, hours in rows:
        a_day = int(pages.replace(",", ""))
        assert int(gpus) == math.ceil(a_day / (86_400 * rate * 0.7))
        assert float(cores) == round(a_day / 86_400 * 0.11, 1)
        assert int(provided) == math.ceil(a_day / 86_400 * 0.11 * 2)
        assert float(hours) == round(1e6 / (3_600 * rate * 0.7), 1)
    assert f"takes {1e6 / (3_600 * rate * 0.9):.1f} hours" in page
