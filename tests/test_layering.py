"""Imports go one way: serve_app → deployments; a stage's pure code knows no Ray, no HTTP, no other stage."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MODULES = sorted((ROOT / "deployments").rglob("*.py")) + sorted((ROOT / "serve_app").rglob("*.py"))
STAGES = {"preprocess", "model", "postprocess"}
HTTP = {"fastapi", "starlette", "httpx", "uvicorn", "requests", "aiohttp"}
SHARED = {"deployments.types", "deployments.errors", "deployments.tokenizer"}


def imports(module: Path) -> set[str]:
    """Every dotted name a module imports, at any depth of its code."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(module.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            names |= {node.module or ""} | {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def roots(module: Path) -> set[str]:
    return {name.split(".")[0] for name in imports(module)}


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module_imports_only_what_its_place_allows(module: Path) -> None:
    place = module.relative_to(ROOT).parts
    if place[0] == "serve_app":
        return
    assert "serve_app" not in roots(module), "deployments know nothing of the application"
    assert not roots(module) & HTTP, "deployments know nothing of HTTP"
    if module.name != "deployment.py":
        assert "ray" not in roots(module), "only deployment.py may import Ray"
    stage = place[1]
    if stage in STAGES:
        others = {f"deployments.{other}" for other in STAGES - {stage}}
        crossed = {name for name in imports(module) if any(name.startswith(other) for other in others)}
        assert not crossed, "a stage knows nothing of the other stages"
    else:
        assert (
            not {name for name in imports(module) if name.startswith("deployments.")}
            - SHARED
            - {name for name in imports(module) if name.rsplit(".", 1)[0] in SHARED}
        )


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_vllm_and_torch_are_imported_inside_the_vllm_engine_alone(module: Path) -> None:
    if "vllm" not in module.relative_to(ROOT).parts:
        assert not roots(module) & {"torch", "vllm", "transformers"}


def test_nothing_evaluates_text_as_code() -> None:
    for module in MODULES:
        calls = (node.func for node in ast.walk(ast.parse(module.read_text())) if isinstance(node, ast.Call))
        assert not {call.id for call in calls if isinstance(call, ast.Name)} & {"eval", "exec"}, module


def test_the_command_reads_its_settings_before_ray_is_imported() -> None:
    """Ray looks into the environment as it is imported, and the command has yet to prepare it."""
    code = "import sys, serve_app.cli; sys.exit('ray' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)  # noqa: S603 - our own interpreter
