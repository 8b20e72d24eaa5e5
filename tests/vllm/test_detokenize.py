"""Pieces of text join to the text of all tokens, wherever the pieces are cut."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer

pytest.importorskip("torch")

from benchmarks.gpu.model_folder import tokenizer as specification
from deployments.model.vllm.detokenize import TextStream

pytestmark = pytest.mark.vllm

TOKENIZER = Tokenizer.from_str(json.dumps(specification()))


def stream(tokens, cuts):
    text, pieces, start = TextStream(TOKENIZER), [], 0
    for cut in [*sorted(cuts), len(tokens)]:
        pieces.append(text.push(tokens[start:cut], final=cut == len(tokens)))
        start = cut
    return pieces


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60), st.data())
def test_text_survives_any_cut(text, data):
    tokens = TOKENIZER.encode(text, add_special_tokens=False).ids
    cuts = data.draw(st.sets(st.integers(0, max(0, len(tokens) - 1)), max_size=8))
    pieces = stream(tokens, cuts)
    assert "".join(pieces) == TOKENIZER.decode(tokens, skip_special_tokens=False)
    if "\ufffd" not in text:
        assert not any("\ufffd" in piece for piece in pieces)


def test_special_tokens_are_kept():
    text = "<|ref|>title<|/ref|><|det|>[[1, 2, 3, 4]]<|/det|>\n<td></td>"
    tokens = TOKENIZER.encode(text, add_special_tokens=False).ids
    assert "".join(stream(tokens, range(len(tokens)))) == text


def test_bytes_that_are_no_text_do_not_pile_up():
    half = TOKENIZER.encode("\U0001f9ff", add_special_tokens=False).ids[:1]
    text = TextStream(TOKENIZER)
    pieces = [text.push(half) for _ in range(100)]
    assert any("\ufffd" in piece for piece in pieces)
