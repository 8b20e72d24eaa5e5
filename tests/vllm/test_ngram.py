import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from deployments.model.vllm.ngram import ban_repeats, last_tokens  # noqa: E402 - needs PyTorch

pytestmark = pytest.mark.vllm

EXCEPTED = (2, 3)


def reference(answer, size, window):
    """The rule, word by word: the tokens that must not come next."""
    if size < 2 or len(answer) < size:
        return set()
    tail = answer[len(answer) - (size - 1) :]
    banned = set()
    for start in range(max(0, len(answer) - window), len(answer) - size + 1):
        if answer[start : start + size - 1] == tail:
            banned.add(answer[start + size - 1])
    return banned - set(EXCEPTED)


row = st.tuples(
    st.lists(st.integers(0, 5), max_size=12),  # prompt
    st.lists(st.integers(0, 5), max_size=60) | st.lists(st.just(4), max_size=30),  # answer
    st.sampled_from([0, 2, 3, 4, 6]),
    st.integers(1, 40),
)


@settings(max_examples=400, deadline=None)
@given(st.lists(row, min_size=1, max_size=6), st.randoms(use_true_random=False), st.booleans())
def test_bans_exactly_what_the_rule_says(rows, rng, half):
    slots = rng.sample(range(9), len(rows))
    table = torch.full((9, 80), 5, dtype=torch.int32)  # stale tokens of earlier requests lie everywhere
    for slot, (prompt, answer, _, _) in zip(slots, rows, strict=True):
        table[slot, : len(prompt) + len(answer)] = torch.tensor(prompt + answer, dtype=torch.int32)
    starts = torch.tensor([len(prompt) for prompt, *_ in rows], dtype=torch.int32)
    ends = starts + torch.tensor([len(answer) for _, answer, *_ in rows], dtype=torch.int32)
    sizes = torch.tensor([size for *_, size, _ in rows])
    windows = torch.tensor([window for *_, window in rows])
    logits = torch.randn(len(rows), 6, dtype=torch.bfloat16 if half else torch.float32)
    before = logits.clone()

    recent = last_tokens(table, torch.tensor(slots), starts, ends, width=int(windows.max()))
    if int(sizes.max()) >= 2:
        ban_repeats(logits, recent, ends - starts, sizes, windows, torch.tensor(EXCEPTED), int(sizes.max()))

    for index, (_, answer, size, window) in enumerate(rows):
        banned = reference(answer, size, window)
        assert {token for token in range(6) if logits[index, token] == -torch.inf} == banned
        kept = [token for token in range(6) if token not in banned]
        assert torch.equal(logits[index, kept], before[index, kept])
