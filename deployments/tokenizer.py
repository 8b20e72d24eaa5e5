"""The model's tokenizer, read from its folder: Preprocess writes prompts with it, an engine reads answers."""

from pathlib import Path

from huggingface_hub import hf_hub_download
from tokenizers import Tokenizer

from deployments.errors import ConfigurationError

IMAGE_TOKEN = "<image>"  # noqa: S105 - the model's word for an image, no secret
IMAGE_TOKEN_ID = 128815
"""DeepSeek-V3's 128,815 words and special tokens come before it."""

BOS_TOKEN_ID = 0


def find_tokenizer(model: str, revision: str | None = None) -> Path:
    """Return the folder that has a model's `tokenizer.json`, from the Hugging Face hub where it must be.

    Args:
        model: a folder, or a name on the hub.
        revision: branch, tag or commit on the hub.

    Raises:
        ConfigurationError: there is no such folder, and the hub doesn't have it or can't be reached.
    """
    if Path(model).is_dir():
        return Path(model)
    try:
        return Path(hf_hub_download(model, "tokenizer.json", revision=revision)).parent
    except (OSError, ValueError) as error:  # the hub's own errors are kinds of these two
        raise ConfigurationError(
            f"There is no folder {model}, and the Hugging Face hub gave no tokenizer of that name. "
            "Set model.vllm.model to the folder of a DeepSeek-OCR-2 download."
        ) from error


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read `tokenizer.json`.

    Args:
        folder: the model folder, as downloaded.

    Raises:
        ConfigurationError: the file is missing, unreadable or of another model.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ConfigurationError(
            f"{path} is missing. Set model.vllm.model to the folder of a whole DeepSeek-OCR-2 download."
        )
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception for a file it can't parse
        raise ConfigurationError(f"{path} is damaged. Download it again.") from error
    if tokenizer.token_to_id(IMAGE_TOKEN) != IMAGE_TOKEN_ID:
        raise ConfigurationError(
            f"{path} is another model's tokenizer: its {IMAGE_TOKEN} is not token {IMAGE_TOKEN_ID}. "
            "Download DeepSeek-OCR-2 again."
        )
    return tokenizer
