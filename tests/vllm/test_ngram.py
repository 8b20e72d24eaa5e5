"""The no-repeat rule against a straightforward implementation, alone and as each runner drives it."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
pytest.importorskip("vllm")

from vllm import SamplingParams  # noqa: E402 - after the check that it is there
from vllm.v1.sample.logits_processor import BatchUpdate, MoveDirectionality  # noqa: E402

from deployments.model.vllm import ngram  # noqa: E402
from deployments.model.vllm.ngram import ARG_SIZE, ARG_WINDOW, ban_repeats, last_tokens  # noqa: E402
from deployments.model.vllm.ngram_adapters import HostProcessor, rule_in_bad_words  # noqa: E402
from deployments.model.vllm.ngram_slots import SlotRules  # noqa: E402

pytestmark = pytest.mark.vllm

VOCABULARY, EXCEPTED = 6, (2, 3)
SIZES, WINDOWS = st.sampled_from([0, 2, 3, 4, 6]), st.integers(1, 40)


@pytest.fixture(autouse=True)
def small_vocabulary(monkeypatch):
    for module in ("ngram_slots", "ngram_adapters"):
        monkeypatch.setattr(f"deployments.model.vllm.{module}.EXCEPTED_TOKENS", EXCEPTED)


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


def assert_follows_the_rule(before, after, answer, size, window):
    banned = reference(answer, size, window)
    assert {token for token in range(VOCABULARY) if after[token] == -torch.inf} == banned
    kept = [token for token in range(VOCABULARY) if token not in banned]
    assert torch.equal(after[kept], before[kept])


tokens = st.integers(0, VOCABULARY - 1)
row = st.tuples(
    st.lists(tokens, max_size=12),  # prompt
    st.lists(tokens, max_size=60) | st.lists(st.just(4), max_size=30),  # answer
    SIZES,
    WINDOWS,
)


def test_the_excepted_tokens_are_the_table_cell_marks():
    assert ngram.EXCEPTED_TOKENS == (128821, 128822)


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
    logits = torch.randn(len(rows), VOCABULARY, dtype=torch.bfloat16 if half else torch.float32)
    before = logits.clone()

    recent = last_tokens(table, torch.tensor(slots), starts, ends, width=int(windows.max()))
    if int(sizes.max()) >= 2:
        excepted = torch.tensor(EXCEPTED)
        ban_repeats(logits, recent, ends - starts, sizes, windows, excepted, int(sizes.max()))

    for index, (_, answer, size, window) in enumerate(rows):
        assert_follows_the_rule(before[index], logits[index], answer, size, window)


class Request:
    def __init__(self, rng, rule):
        self.prompt = [rng.randrange(VOCABULARY) for _ in range(rng.randrange(5))]
        self.answer = []
        self.size, self.window = rule
        self.params = SamplingParams(extra_args={ARG_SIZE: self.size, ARG_WINDOW: self.window})


def grow(request, rng, logits):
    """Take an allowed token, mostly one that keeps the answer repeating itself."""
    allowed = [token for token in range(VOCABULARY) if logits[token] != -torch.inf]
    request.answer.append(min(allowed) if rng.random() < 0.7 else rng.choice(allowed))


steps = st.lists(
    st.tuples(st.sampled_from(["join", "join", "leave", "stay", "stay"]), SIZES, WINDOWS), max_size=60
)


@settings(max_examples=150, deadline=None)
@given(steps, st.randoms(use_true_random=False), st.booleans())
def test_requests_join_and_leave_a_device_table(plan, rng, through_bad_words):
    table = SimpleNamespace(
        max_num_reqs=4,
        device=torch.device("cpu"),
        all_token_ids=SimpleNamespace(gpu=torch.zeros(4, 80, dtype=torch.int32)),
        prompt_len=SimpleNamespace(gpu=torch.zeros(4, dtype=torch.int32)),
        total_len=SimpleNamespace(gpu=torch.zeros(4, dtype=torch.int32)),
    )
    rules = rule_in_bad_words(NoBadWords)(table) if through_bad_words else SlotRules(table)
    running, free = {}, [0, 1, 2, 3]
    for act, size, window in plan:
        if act == "join" and free:
            slot = free.pop(rng.randrange(len(free)))
            request = running[slot] = Request(rng, (size, window))
            if through_bad_words:
                rules.add_request(slot, request.params)
            else:
                rules.add_request(slot, request.params.extra_args)
        elif act == "leave" and running:
            slot = rng.choice(sorted(running))
            del running[slot]
            free.append(slot)
        if not running:
            continue
        for slot, request in running.items():
            known = request.prompt + request.answer
            table.all_token_ids.gpu[slot, : len(known)] = torch.tensor(known, dtype=torch.int32)
            table.prompt_len.gpu[slot], table.total_len.gpu[slot] = len(request.prompt), len(known)
        rules.apply_staged_writes()
        order = rng.sample(sorted(running), len(running))
        logits = torch.randn(len(order), VOCABULARY)
        before = logits.clone()
        on_device, on_host = torch.tensor(order, dtype=torch.int32), np.array(order, dtype=np.int32)
        if through_bad_words:
            rules.apply_bad_words(logits, on_device, on_host, None, None)
        else:
            rules.apply(logits, on_device, on_host)
        for index, slot in enumerate(order):
            request = running[slot]
            assert_follows_the_rule(
                before[index], logits[index], request.answer, request.size, request.window
            )
            grow(request, rng, logits[index])


class NoBadWords:
    def __init__(self, req_states):
        pass

    def add_request(self, req_idx, sampling_params):
        pass

    def apply_staged_writes(self):
        pass

    def apply_bad_words(self, *args):
        pass


@settings(max_examples=150, deadline=None)
@given(steps, st.randoms(use_true_random=False))
def test_requests_join_leave_and_move_on_the_host(plan, rng):
    processor = HostProcessor(None, torch.device("cpu"), is_pin_memory=False)
    rows = []
    for act, size, window in plan:
        removed, added, moved = [], [], []
        if act == "join" and len(rows) < 4:
            rows.append(Request(rng, (size, window)))
            added.append((len(rows) - 1, rows[-1].params, rows[-1].prompt, rows[-1].answer))
        elif act == "leave" and rows:
            gone = rng.randrange(len(rows))
            removed.append(gone)
            if gone != len(rows) - 1:
                rows[gone] = rows[-1]
                moved.append((len(rows) - 1, gone, MoveDirectionality.UNIDIRECTIONAL))
            rows.pop()
        elif len(rows) > 1 and rng.random() < 0.3:
            one, other = rng.sample(range(len(rows)), 2)
            rows[one], rows[other] = rows[other], rows[one]
            moved.append((one, other, MoveDirectionality.SWAP))
        changed = removed or added or moved
        processor.update_state(BatchUpdate(len(rows), removed, added, moved) if changed else None)
        if not rows:
            continue
        logits = torch.randn(len(rows), VOCABULARY)
        before = logits.clone()
        processor.apply(logits)
        for index, request in enumerate(rows):
            assert_follows_the_rule(
                before[index], logits[index], request.answer, request.size, request.window
            )
            grow(request, rng, logits[index])
