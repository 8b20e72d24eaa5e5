"""Pages that never end, noticed while they are written; `deployments.model.ladder` says what is tried next.

A model that loops writes the same thing until its context is full. Two shapes are noticed, over token
ids alone:

- an exact loop: the last tokens repeat with one period. The no-repeat rule forbids most short ones,
  so what is left is empty table cells (the rule excepts `<td>` and `</td>`) and periods longer than
  the rule's window;
- a near loop: hardly any n-gram of a long stretch is new, although no single period explains it.

Both ask for hundreds of tokens without news, because forms and tables honestly repeat themselves. Not
noticed: a loop whose every lap has a new number in it. Such a page ends at the length limit.
"""

from collections.abc import Iterable
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field


class RunawaySettings(BaseModel):
    """When a page counts as a runaway.

    The figures are a judgement, not a measurement: they leave a table of 200 equal cells alone and
    stop a loop long before the 8,192 tokens of the context.

    Attributes:
        enabled: whether to look.
        min_tokens: an exact loop spans at least so many tokens…
        min_laps: …and at least so many periods.
        ngram: length of the n-grams of the near loop; its default is a table row of four or five cells.
        window: a near loop spans so many tokens.
        stale_share: a near loop has at least this share of n-grams that were seen before.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    enabled: bool = True
    min_tokens: Annotated[int, Field(ge=16)] = 512
    min_laps: Annotated[int, Field(ge=2)] = 4
    ngram: Annotated[int, Field(ge=4, le=64)] = 16
    window: Annotated[int, Field(ge=64)] = 2_048
    stale_share: Annotated[float, Field(gt=0.5, le=1)] = 0.95


HASH_BASE, HASH_MODULUS = 1_000_003, (1 << 61) - 1
"""Of the rolling hash over n-grams; with so large a prime no two n-grams of a page share one in practice."""


class RunawayDetector:
    """Watches one page's tokens; O(1) a token, memory bounded by the page's length.

    Args:
        settings: when to speak up.
    """

    def __init__(self, settings: RunawaySettings) -> None:
        self._settings = settings
        self._tokens: list[int] = []
        self._hash = 0
        self._leaving = pow(HASH_BASE, settings.ngram - 1, HASH_MODULUS)
        self._last_seen: dict[int, int] = {}
        self._period = 0
        self._matched = 0
        self._stale = bytearray()
        self._stale_count = 0
        self._found = False

    def push(self, tokens: Iterable[int]) -> bool:
        """Take the next tokens and say whether the page has run away; once it has, it stays so."""
        for token in tokens:
            if self._found:
                break
            self._step(token)
        return self._found

    @property
    def looping(self) -> bool:
        """Whether the page seems to end in a loop, by a laxer measure, for pages cut at their limit."""
        lap = self._period > 0 and self._matched >= max(self._settings.ngram, 2 * self._period)
        watched = min(len(self._stale), self._settings.window)
        half_stale = watched >= self._settings.min_tokens and self._stale_count > watched / 2
        return self._found or lap or half_stale

    def _step(self, token: int) -> None:
        rule, tokens, size = self._settings, self._tokens, self._settings.ngram
        end = len(tokens)  # before this token
        if end >= size:
            self._hash -= tokens[end - size] * self._leaving
        self._hash = (self._hash * HASH_BASE + token) % HASH_MODULUS
        period = self._period
        if period and token == tokens[end - period]:
            self._matched += 1
        else:
            period = self._period = self._matched = 0
        tokens.append(token)
        if end + 1 < size:
            return
        seen = self._last_seen.get(self._hash)
        self._last_seen[self._hash] = end
        stale = seen is not None
        if seen is not None and not period:
            period = self._period = end - seen
            self._matched = size
        self._stale.append(stale)
        self._stale_count += stale
        if len(self._stale) > rule.window:
            self._stale_count -= self._stale[-rule.window - 1]
        self._found = (
            period > 0 and self._matched + period >= max(rule.min_tokens, rule.min_laps * period)
        ) or (len(self._stale) >= rule.window and self._stale_count >= rule.stale_share * rule.window)
