"""The no-repeat n-gram rule of DeepSeek-OCR, for all requests of a step at once, on the device.

The rule (`NoRepeatNGramLogitsProcessor` of the published programs, and of vLLM's `deepseek_ocr`), for
an answer of L tokens so far, size n and window w: nothing happens while L < n. Else every n-gram that
starts at i, max(0, L - w) <= i <= L - n, and whose first n - 1 tokens are the answer's last n - 1, bans
its last token; `<td>` and `</td>` are never banned. The prompt does not count. So only the last w tokens
matter, and a repeat is compared in one shot: the window unfolded into n-grams against its own tail,
0.9 million comparisons for 512 requests with n = 20 and w = 90, in about a dozen small operations,
without a synchronisation.

How the tokens get here depends on vLLM's runner, and is the business of `ngram_adapters`.
"""

from typing import Final

import torch
from torch.nn.functional import pad

ARG_SIZE: Final = "no_repeat_ngram_size"
"""Key of the size in `SamplingParams.extra_args`."""

ARG_WINDOW: Final = "no_repeat_ngram_window"
"""Key of the window in `SamplingParams.extra_args`."""

EXCEPTED_TOKENS: Final = (128821, 128822)
"""`<td>` and `</td>`: a table may have many equal cells (the published programs' whitelist)."""

NO_TOKEN: Final = -1
"""Fills a window that is longer than the answer."""


def ban_repeats(
    logits: torch.Tensor,
    recent: torch.Tensor,
    lengths: torch.Tensor,
    sizes: torch.Tensor,
    windows: torch.Tensor,
    excepted: torch.Tensor,
    max_size: int,
) -> None:
    """Set the logit of every banned token to minus infinity, in place.

    Args:
        logits: shape (rows, vocabulary), any floating type.
        recent: integers, shape (rows, width), the last tokens of each answer, right-aligned, `NO_TOKEN`
            where the answer is shorter; width is at least the largest window.
        lengths: integers, shape (rows,), of the answers.
        sizes: integers, shape (rows,); rows below 2 have no rule.
        windows: integers, shape (rows,).
        excepted: tokens that are never banned, integers, shape (any,).
        max_size: the largest of `sizes`, known without looking at the device.
    """
    width = recent.shape[1]
    padded = pad(recent, (max_size - 1, 0), value=NO_TOKEN)
    prefixes = padded.unfold(1, max_size, 1)[
        :, :, :-1
    ]  # (rows, width, max_size - 1): what stands before each token
    tail = padded[:, width:].unsqueeze(1)  # (rows, 1, max_size - 1)
    place = torch.arange(max_size - 1, device=recent.device)
    beyond = (place < (max_size - sizes).unsqueeze(1)).unsqueeze(
        1
    )  # further back than a row's own n - 1 tokens
    repeats = ((prefixes == tail) | beyond).all(dim=-1)  # (rows, width)
    start = torch.arange(width, device=recent.device) - (sizes.unsqueeze(1) - 1)
    inside = start >= width - torch.minimum(windows, lengths).unsqueeze(1)
    banned = repeats & inside & (sizes >= 2).unsqueeze(1) & ~torch.isin(recent, excepted)
    # A minimum leaves the logits of duplicates that are not banned alone, whatever order they come in.
    penalty = torch.zeros_like(recent, dtype=logits.dtype).masked_fill_(~banned, torch.inf)
    penalty.masked_fill_(banned, -torch.inf)
    logits.scatter_reduce_(1, recent.clamp(min=0).long(), penalty, reduce="amin")


def last_tokens(
    all_tokens: torch.Tensor, slots: torch.Tensor, starts: torch.Tensor, ends: torch.Tensor, width: int
) -> torch.Tensor:
    """The last `width` tokens of some rows of a table, right-aligned.

    Args:
        all_tokens: integers, shape (slots, context): prompt and answer of every request, one after the other.
        slots: integers, shape (rows,), which rows of the table.
        starts: integers, shape (rows,), where the answers begin.
        ends: integers, shape (rows,), one past their last tokens.
        width: how many.

    Returns:
        Integers of the table's type, shape (rows, width), `NO_TOKEN` before an answer's first token.
    """
    position = ends.unsqueeze(1) - width + torch.arange(width, device=ends.device)
    tokens = all_tokens[slots.unsqueeze(1), position.clamp(min=0)]
    return tokens.masked_fill_(position < starts.unsqueeze(1), NO_TOKEN)
