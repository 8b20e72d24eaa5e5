"""Token ids to text, piece by piece.

vLLM would do this token by token on the event loop; here it happens once a piece. The tokenizer works
on bytes, so a piece may end inside a character; then the last tokens wait for the next piece.
"""

from collections.abc import Sequence

from tokenizers import Tokenizer

INCOMPLETE = "\ufffd"
LONGEST_TAIL = 3
"""Tokens of an unfinished character: it has at most three of UTF-8's four bytes, and a token at least one."""


class TextStream:
    """One answer's text. Special tokens are kept.

    Args:
        tokenizer: the model's.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        self._tokenizer = tokenizer
        self._pending: list[int] = []

    def push(self, tokens: Sequence[int], final: bool = False) -> str:
        """The text that the tokens so far complete; all of it if `final`."""
        self._pending += tokens
        text = self._decode(self._pending)
        if final or not text.endswith(INCOMPLETE):
            self._pending = []
            return text
        for tail in range(1, min(LONGEST_TAIL, len(self._pending)) + 1):
            whole = self._decode(self._pending[:-tail])
            if not whole.endswith(INCOMPLETE):
                self._pending = self._pending[-tail:]
                return whole
        self._pending = []  # no unfinished character, but bytes that are no text
        return text

    def _decode(self, tokens: Sequence[int]) -> str:
        return self._tokenizer.decode(tokens, skip_special_tokens=False)
