"""Files for `serve deploy`: every key is one of Serve's or one of ours."""

import copy
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner

from deployments.errors import ConfigurationError
from serve_app.cli import cli
from serve_app.serve_config import check_serve_config, check_serve_tree

ROOT = Path(__file__).parents[2]
FILES = ["serve_config.yaml", "cluster/serve.yaml"]


@pytest.mark.parametrize("file", FILES)
def test_the_files_of_the_project_have_no_unknown_key(file: str) -> None:
    check_serve_config(ROOT / file)


def test_where_the_application_believes_to_listen_is_where_serve_listens() -> None:
    for file in FILES:
        http = check_serve_config(ROOT / file).http
        options = yaml.safe_load((ROOT / file).read_text())["http_options"]
        assert (http.host, http.port) == (options["host"], options["port"])


@pytest.mark.parametrize(
    ("path", "named"),
    [
        (("http_option",), "http_option"),
        (("http_options", "prot"), r"http_options\.prot"),
        (("applications", 0, "route_prefx"), r"applications\[0\]\.route_prefx"),
        (("applications", 0, "args", "modle"), "modle"),
        (("applications", 1, "args", "modle"), "modle"),
        (("applications", 0, "args", "model", "vllm"), "model.vllm"),
        (("applications", 0, "args", "model.engin"), "model.engin"),
    ],
)
def test_an_unknown_key_is_refused_and_named(path: tuple[Any, ...], named: str) -> None:
    config = copy.deepcopy(yaml.safe_load((ROOT / "serve_config.yaml").read_text()))
    branch = config
    for step in path[:-1]:
        branch = branch[step]
    branch[path[-1]] = {"surprise": 1}
    with pytest.raises(ConfigurationError, match=named):
        check_serve_tree(config, "the file")


def test_a_deployment_that_is_named_in_the_file_is_looked_at_too() -> None:
    config = yaml.safe_load((ROOT / "serve_config.yaml").read_text())
    config["applications"][0]["deployments"] = [{"name": "Model", "max_ongoing_request": 3}]
    with pytest.raises(ConfigurationError, match="max_ongoing_request"):
        check_serve_tree(config, "the file")


def test_the_command_says_what_is_wrong(tmp_path: Path) -> None:
    good = CliRunner().invoke(cli, ["check", str(ROOT / "serve_config.yaml")])
    assert (good.exit_code, "no unknown keys" in good.output) == (0, True)
    file = tmp_path / "serve.yaml"
    file.write_text("applications: []\n")
    bad = CliRunner().invoke(cli, ["check", str(file)])
    assert isinstance(bad.exception, ConfigurationError)
