"""A tiny model on vLLM's CPU build, for all tests that need one."""

import asyncio
import importlib.util
import warnings

import pytest

collect_ignore_glob = ["test_*.py"]
"""Without vLLM and PyTorch nothing here can be imported; `make test-vllm` runs this folder with them."""

if importlib.util.find_spec("vllm") is not None:
    collect_ignore_glob.clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on import, vLLM and what it loads use what they deprecate
        import deployments.model.vllm.engine  # noqa: F401


def pytest_collection_modifyitems(items):
    for item in items:
        if "tests/vllm/" in item.path.as_posix():
            item.add_marker(pytest.mark.filterwarnings("default"))  # the same, while it runs


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory):
    from tests.vllm.tiny_model import write_model

    return write_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def loop():
    with asyncio.Runner() as runner:
        yield runner.run
