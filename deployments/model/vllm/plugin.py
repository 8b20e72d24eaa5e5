"""Makes our model known to vLLM, in each of its processes.

vLLM starts its engine core and workers as processes of their own, and imports nothing of ours there
by itself; an entry point would work only where this package is installed, not where Ray ships its
source. But the engine's configuration goes to every one of them by pickle, and `hf_overrides` is a
function in it. Unpickling the function imports this module; importing this module registers.
"""

from transformers import PretrainedConfig
from vllm import ModelRegistry

from deployments.model.vllm.compat import patch_sampler
from deployments.model.vllm.model import DeepseekOCR2ForCausalLM
from deployments.model.vllm.preflight import ARCHITECTURE


def describe(config: PretrainedConfig) -> PretrainedConfig:
    """Name the architecture, which older copies of the model's configuration leave to remote code."""
    config.architectures = [ARCHITECTURE]
    return config


ModelRegistry.register_model(ARCHITECTURE, DeepseekOCR2ForCausalLM)
patch_sampler()
