"""The model's tokenizer, read from its folder."""

from pathlib import Path

from tokenizers import Tokenizer

from deployments.errors import ConfigurationError

IMAGE_TOKEN = "<image>"  # noqa: S105 - the model's word for an image, no secret
IMAGE_TOKEN_ID = 128815
BOS_TOKEN_ID = 0


def load_tokenizer(folder: Path) -> Tokenizer:
    """Read `tokenizer.json`.

    Args:
        folder: the model folder, as downloaded.

    Raises:
        ConfigurationError: the file is missing, unreadable or of another model.
    """
    path = folder / "tokenizer.json"
    if not path.is_file():
        raise ConfigurationError(f"There is no {path}. Point the model folder at a DeepSeek-OCR-2 download.")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # tokenizers raises bare Exception for a file it can't parse
        raise ConfigurationError(f"{path} is no tokenizer that can be read. Download it again.") from error
    if tokenizer.token_to_id(IMAGE_TOKEN) != IMAGE_TOKEN_ID:
        raise ConfigurationError(
            f"{path} has no {IMAGE_TOKEN} with id {IMAGE_TOKEN_ID}, so it is not DeepSeek-OCR-2's tokenizer."
        )
    return tokenizer
