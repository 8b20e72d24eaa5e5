"""The manifests: valid by KubeRay's fields and by Kubernetes' own schema, safe, and fitting each other."""

import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner
from jsonschema import Draft202012Validator, ValidationError

from serve_app.cli import cli
from serve_app.serve_config import check_serve_tree
from serve_app.settings import ScalingSettings
from tests.deploy.test_cluster import fills_the_engines, reserved_cpus

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "kubernetes"
KUBERAY = json.loads((Path(__file__).parent / "kuberay.json").read_text())
KUBERNETES = "1.33"
MANIFESTS = ["rayservice.yaml", "rayjob.yaml"]


def read(name: str) -> dict[str, Any]:
    tree: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return tree


def check(resource: dict[str, Any]) -> None:
    """Raise a ValidationError if a resource has a field that is unknown, missing or of another type."""
    schema = {**KUBERAY, "$ref": f"#/$defs/{resource['kind']}"}
    Draft202012Validator(schema).validate(resource)
    for template in templates(resource):
        pod = {"apiVersion": "v1", "kind": "PodTemplate", "metadata": {"name": "x"}, "template": template}
        kubernetes_validate.validate(pod, KUBERNETES, strict=True)


def cluster(resource: dict[str, Any]) -> dict[str, Any]:
    spec: dict[str, Any] = resource["spec"].get("rayClusterConfig") or resource["spec"]["rayClusterSpec"]
    return spec


def templates(resource: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Every pod template of a resource."""
    if "submitterPodTemplate" in resource["spec"]:
        yield resource["spec"]["submitterPodTemplate"]
    spec = cluster(resource)
    for group in [spec["headGroupSpec"], *spec["workerGroupSpecs"]]:
        yield group["template"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_the_manifest_is_valid(name: str) -> None:
    check(read(name))


@pytest.mark.parametrize(
    "path",
    [
        ("spec", "rayClusterConfig", "headGroupSpecs"),
        ("spec", "upgradeStrategy", "typ"),
        ("spec", "rayClusterConfig", "headGroupSpec", "template", "spec", "terminationGracePeriod"),
        ("spec", "rayClusterConfig", "workerGroupSpecs", 0, "template", "spec", "containers", 0, "imag"),
    ],
)
def test_a_misspelt_field_would_be_noticed(path: tuple[Any, ...]) -> None:
    resource = copy.deepcopy(read("rayservice.yaml"))
    branch: Any = resource
    for step in path[:-1]:
        branch = branch[step]
    branch[path[-1]] = 1
    with pytest.raises((ValidationError, kubernetes_validate.ValidationError)):
        check(resource)


def test_the_claims_are_valid_and_are_those_that_pods_ask_for() -> None:
    claims = list(yaml.safe_load_all((FOLDER / "storage.yaml").read_text()))
    for claim in claims:
        kubernetes_validate.validate(claim, KUBERNETES, strict=True)
    asked = {
        volume["persistentVolumeClaim"]["claimName"]
        for name in MANIFESTS
        for template in templates(read(name))
        for volume in template["spec"]["volumes"]
        if "persistentVolumeClaim" in volume
    }
    assert asked == {claim["metadata"]["name"] for claim in claims}


@pytest.mark.parametrize("name", MANIFESTS)
def test_pods_have_no_rights_they_do_not_need(name: str) -> None:
    for template in templates(read(name)):
        pod = template["spec"]
        assert pod["securityContext"]["runAsNonRoot"] is True
        assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        volumes = {volume["name"] for volume in pod["volumes"]}
        for container in pod["containers"]:
            rights = container["securityContext"]
            assert rights["readOnlyRootFilesystem"] is True
            assert rights["allowPrivilegeEscalation"] is False
            assert rights["capabilities"] == {"drop": ["ALL"]}
            assert container["resources"]["limits"]["memory"]
            mounts = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
            assert mounts.keys() <= volumes
            assert "/tmp" in mounts.values(), "Ray writes there, and the root is read-only"  # noqa: S108


def test_pods_live_long_enough_to_drain() -> None:
    resource = read("rayservice.yaml")
    settings = check_serve_tree(yaml.safe_load(resource["spec"]["serveConfigV2"]), "serveConfigV2")
    stages = [stage for _, stage in settings.scaling if isinstance(stage, ScalingSettings)]
    longest = max(stage.graceful_shutdown_timeout_s for stage in stages)
    for group in cluster(resource)["workerGroupSpecs"]:
        pod = group["template"]["spec"]
        command = pod["containers"][0]["lifecycle"]["preStop"]["exec"]["command"]
        assert command[:3] == ["dsocr", "drain", "--grace"]
        assert longest < float(command[3]) < pod["terminationGracePeriodSeconds"]
    assert resource["spec"]["rayClusterDeletionDelaySeconds"] > longest


def test_the_service_settings_agree_with_the_pods() -> None:
    resource = read("rayservice.yaml")
    settings = check_serve_tree(yaml.safe_load(resource["spec"]["serveConfigV2"]), "serveConfigV2")
    groups = {group["groupName"]: group for group in cluster(resource)["workerGroupSpecs"]}
    assert settings.scaling.model.max_replicas == groups["gpu"]["maxReplicas"]
    cpus = sum(int(group["rayStartParams"]["num-cpus"]) * group["maxReplicas"] for group in groups.values())
    assert reserved_cpus(settings) <= cpus
    assert fills_the_engines(settings)
    assert cluster(resource)["headGroupSpec"]["rayStartParams"]["num-cpus"] == "0"
    for group in groups.values():
        container = group["template"]["spec"]["containers"][0]
        mounts = [mount["mountPath"] for mount in container["volumeMounts"]]
        for path in (settings.model.vllm.model, str(settings.api.keys_file), settings.jobs.directory):
            assert any(path.startswith(mount) for mount in mounts), path
        ports = {port["containerPort"] for port in container["ports"]}
        assert settings.http.port in ports
        assert group["rayStartParams"]["num-cpus"] == container["resources"]["requests"]["cpu"]


@pytest.mark.parametrize("name", MANIFESTS)
def test_no_pod_is_told_of_services_in_the_words_of_settings(name: str) -> None:
    assert all(template["spec"]["enableServiceLinks"] is False for template in templates(read(name)))


@pytest.mark.parametrize("name", MANIFESTS)
def test_ray_is_the_pinned_one(name: str) -> None:
    pinned = re.findall(r"^ray==(\S+)", (ROOT / "requirements.txt").read_text(), re.MULTILINE)
    assert [cluster(read(name))["rayVersion"]] == pinned


def test_the_job_s_command_is_one_that_exists() -> None:
    _python, flag, module, *arguments = read("rayjob.yaml")["spec"]["entrypoint"].split()
    assert (flag, module) == ("-m", "serve_app.bulk")
    bulk = cli.commands["bulk"]
    assert bulk.make_context("bulk", list(arguments)).params["engine"] == "vllm"
    assert CliRunner().invoke(cli, ["drain", "--help"]).exit_code == 0
