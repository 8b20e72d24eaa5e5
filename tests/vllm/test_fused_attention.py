import importlib.util
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.vllm


@pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="Triton is not installed")
def test_fused_kernels_equal_the_plain_form() -> None:
    # Triton reads this when it is imported, and vLLM imports it in this process.
    environment = {**os.environ, "TRITON_INTERPRET": "1"}
    result = subprocess.run(
        [sys.executable, "-m", "tests.vllm.fused_attention"],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    errors = [float(word) for word in result.stdout.split()]
    assert len(errors) == 4
    assert max(errors) < 1e-5
