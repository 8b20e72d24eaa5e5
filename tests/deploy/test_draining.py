"""`dsocr drain` on a cluster of several machines."""

import json
import subprocess
import sys

import pytest

from deployments.errors import ConfigurationError
from serve_app.draining import drain_this_machine


@pytest.mark.ray
@pytest.mark.timeout(600)
def test_a_drained_machine_answers_what_it_has_and_gets_no_more() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "tests.deploy.draining"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    # Ray may print to the same stream, after the result too.
    result = json.loads(next(line for line in reversed(done.stdout.splitlines()) if line.startswith("{")))
    assert result["left"] == 0
    assert result["answered"] == 12, "no request is lost"
    assert result["of_the_drained"] > 0, "the drained machine answered those it had"
    assert result["drained_is_gone"] is True


def test_without_a_cluster_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:9")
    monkeypatch.setattr("ray.init", _no_cluster)
    with pytest.raises(ConfigurationError, match="No Ray cluster"):
        drain_this_machine(1)


def _no_cluster(*_: object, **__: object) -> None:
    raise ConnectionError
