"""Makes our model known to vLLM, in each of its processes.

vLLM starts its engine core and workers as processes of their own, and imports nothing of ours there
by itself; an entry point would work only where this package is installed, not where Ray ships its
source. But the engine's configuration goes to every one of them by pickle, and names our scheduler in
it by its class. Unpickling the class imports `scheduler`, that imports this module, and importing this
module registers. (`hf_overrides` could be a function and carry the same, but vLLM 0.26 quantises
weights only where it is a dictionary.)
"""

from typing import Any

from vllm import ModelRegistry

from deployments.model.vllm.compat import patch_sampler
from deployments.model.vllm.model import DeepseekOCR2ForCausalLM
from deployments.model.vllm.preflight import ARCHITECTURE

HF_OVERRIDES: dict[str, Any] = {"architectures": [ARCHITECTURE]}
"""Names the architecture, which older copies of the model's configuration leave to remote code."""

ModelRegistry.register_model(ARCHITECTURE, DeepseekOCR2ForCausalLM)
patch_sampler()
