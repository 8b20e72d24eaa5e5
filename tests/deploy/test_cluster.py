"""The cluster launcher's files: valid by Ray's own schema, no unknown key, no file that is not there."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any

import botocore.session
import pytest
import ray.autoscaler
import yaml
from botocore.validate import ParamValidator
from jsonschema import ValidationError
from ray.autoscaler._private.util import prepare_config, validate_config
from ray.autoscaler.v2.instance_manager.config import AutoscalingConfig
from ray.serve._private import constants

from serve_app.serve_config import check_serve_config
from serve_app.settings import Settings

ROOT = Path(__file__).parents[2]
FILES = ["cluster.yaml", "cluster/on_premise.yaml"]
SCHEMA = json.loads((Path(ray.autoscaler.__file__).parent / "ray-schema.json").read_text())


def read(file: str) -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load((ROOT / file).read_text())
    return tree


def bash(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = ["/bin/bash", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 - the project's own


def reserved_cpus(settings: Settings) -> float:
    """CPUs of all replicas that may run beside Model's."""
    stages = [settings.scaling.ingress, settings.scaling.preprocess, settings.scaling.postprocess]
    return sum((stage.max_replicas or 0) * (stage.num_cpus or 0) for stage in stages) + settings.jobs.num_cpus


def fills_the_engines(settings: Settings) -> bool:
    """Whether all ingress replicas together have places for as many pages as all engines write at a time."""
    scaling = settings.scaling
    places = (scaling.ingress.max_replicas or 1) * settings.reading.max_pages_in_flight
    return places >= (scaling.model.max_replicas or 1) * settings.model.vllm.max_num_seqs


def commands(config: dict[str, Any]) -> list[str]:
    """Every shell command of a prepared configuration."""
    trees = [config, *config["available_node_types"].values()]
    return [line for tree in trees for key in tree if key.endswith("_commands") for line in tree[key]]


@pytest.mark.parametrize("file", FILES)
def test_ray_takes_the_file_and_knows_every_key(file: str) -> None:
    config = prepare_config(read(file))
    validate_config(config)
    # Ray's schema lets anything stand under `provider`.
    assert set(config["provider"]) <= set(SCHEMA["properties"]["provider"]["properties"])


@pytest.mark.parametrize("misspelt", ["max_worker", "idle_timeout_minute"])
def test_a_misspelt_key_would_be_noticed(misspelt: str) -> None:
    with pytest.raises(ValidationError, match=misspelt):
        validate_config(prepare_config({**read("cluster.yaml"), misspelt: 1}))


def test_ec2_knows_every_key_of_the_machines() -> None:
    run_instances = botocore.session.get_session().get_service_model("ec2").operation_model("RunInstances")
    for name, kind in read("cluster.yaml")["available_node_types"].items():
        request = {**kind["node_config"], "MinCount": 1, "MaxCount": 1}
        report = ParamValidator().validate(request, run_instances.input_shape)
        assert not report.has_errors(), f"{name}: {report.generate_report()}"


def test_the_head_takes_no_work_and_the_gpu_machines_come_with_the_load() -> None:
    config = read("cluster.yaml")
    kinds = config["available_node_types"]
    assert kinds[config["head_node_type"]]["resources"]["CPU"] == 0
    for file in FILES:
        start = next(line for line in read(file)["head_start_ray_commands"] if "--head" in line)
        assert "--num-cpus=0" in start.split()
    autoscaled = AutoscalingConfig(prepare_config(config), skip_content_hash=True)
    most = autoscaled.get_node_type_configs()
    assert most["gpu"].max_worker_nodes > most["gpu"].min_worker_nodes
    assert most["cpu"].resources.get("GPU", 0) == 0
    assert kinds["gpu_spot"]["node_config"]["InstanceMarketOptions"] == {"MarketType": "spot"}


def test_no_stage_may_be_placed_on_the_head() -> None:
    settings = check_serve_config(ROOT / "cluster/serve.yaml")
    scaling = settings.scaling
    reserved = [scaling.ingress.num_cpus, scaling.preprocess.num_cpus, scaling.postprocess.num_cpus]
    assert all(reserved), "a stage that reserves no CPU fits on a head without any"
    assert settings.jobs.num_cpus > 0
    assert settings.model.engine == "vllm", "without GPU machines at the start, auto would mean embedded"


def test_the_machines_have_room_for_what_the_service_may_grow_to() -> None:
    kinds = read("cluster.yaml")["available_node_types"]
    settings = check_serve_config(ROOT / "cluster/serve.yaml")
    cpus = kinds["cpu"]["resources"]["CPU"] * kinds["cpu"]["max_workers"]
    gpus = kinds["gpu"]["resources"]["GPU"] * kinds["gpu"]["max_workers"]
    assert reserved_cpus(settings) <= cpus
    assert settings.scaling.model.max_replicas == gpus
    assert fills_the_engines(settings)


@pytest.mark.parametrize("file", FILES)
def test_commands_are_shell_and_name_files_of_the_checkout(file: str) -> None:
    for command in commands(prepare_config(read(file))):
        assert bash("-n", "-c", command).returncode == 0, command
        for script in re.findall(r"~/dsocr/(\S+)", command):
            assert (ROOT / script).is_file(), script


def test_the_install_script_is_shell_and_refuses_what_it_does_not_know(tmp_path: Path) -> None:
    script = ROOT / "cluster/install.sh"
    refused = bash(str(script), "tpu", HOME=str(tmp_path))
    assert refused.returncode == 2
    assert "not tpu" in refused.stderr
    for pinned in re.findall(r"pinned=(\S+)", script.read_text()):
        assert (ROOT / pinned).is_file()


@pytest.mark.parametrize("file", [*FILES, "kubernetes/Dockerfile.cpu", "kubernetes/Dockerfile.gpu"])
def test_a_process_that_stands_still_is_killed_wherever_the_controller_runs(file: str) -> None:
    assert "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS=1" in (ROOT / file).read_text()
    assert hasattr(constants, "RAY_SERVE_FORCE_STOP_UNHEALTHY_REPLICAS"), "this Ray has another name for it"


def test_all_machines_have_the_same_ray() -> None:
    versions = {
        re.findall(r"^ray==(\S+)", (ROOT / file).read_text(), re.MULTILINE)[0]
        for file in ("requirements.txt", "requirements-vllm.txt")
    }
    assert len(versions) == 1


def test_what_the_head_installs_besides_is_pinned_as_the_tests_have_it() -> None:
    wanted = re.findall(r"boto3==[\d.]+", (ROOT / "cluster.yaml").read_text())
    assert [line in (ROOT / "requirements-dev.txt").read_text() for line in wanted] == [True]
