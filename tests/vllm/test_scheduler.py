"""What the scheduler answers by itself, held against vLLM's own answers."""

from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytestmark = pytest.mark.vllm
torch = pytest.importorskip("torch")
pytest.importorskip("vllm")

from vllm.v1.core.kv_cache_manager import KVCacheManager  # noqa: E402
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec  # noqa: E402

from deployments.model.vllm.scheduler import RoomInLastBlock  # noqa: E402
from deployments.model.vllm.staging import join, to_device  # noqa: E402

BLOCK, BLOCKS = 16, 40


def manager(caching=False):
    spec = FullAttentionSpec(block_size=BLOCK, num_kv_heads=1, head_size=8, dtype=torch.float32)
    config = KVCacheConfig(BLOCKS, [], [KVCacheGroupSpec(["layer"], spec)])
    return KVCacheManager(config, 512, BLOCK, BLOCK, enable_caching=caching)


def request(name):
    return SimpleNamespace(
        request_id=name,
        num_computed_tokens=0,
        num_in_flight_tokens=0,
        num_prompt_tokens=8,
        num_tokens=8,
        status=None,
        skip_reading_prefix_cache=False,
    )


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([1, 1, 1, 1, 7, 40, 0])), max_size=150))
def test_blocks_are_those_that_vllm_would_give(steps):
    """A step is a page and its next tokens; none ends the page."""
    theirs, ours = manager(), manager()
    ours.allocate_slots = RoomInLastBlock(ours)
    pages = {}
    for number, tokens in steps:
        page = pages.setdefault(number, request(str(number)))
        if not tokens:
            theirs.free(page)
            ours.free(page)
            del pages[number]
            continue
        if page.num_computed_tokens + tokens > 512:
            continue
        expected = theirs.allocate_slots(page, tokens, num_lookahead_tokens=0)
        given_blocks = ours.allocate_slots(page, tokens, num_lookahead_tokens=0)
        assert (given_blocks is None) == (expected is None)
        if expected is not None:
            assert given_blocks.get_block_ids() == expected.get_block_ids()
            page.num_computed_tokens += tokens
        assert ours.get_block_ids(page.request_id) == theirs.get_block_ids(page.request_id)
    assert ours.block_pool.get_num_free_blocks() == theirs.block_pool.get_num_free_blocks()


def test_only_a_plain_cache_is_answered_for():
    assert RoomInLastBlock.suits(manager())
    assert not RoomInLastBlock.suits(manager(caching=True))


@pytest.mark.parametrize("counts", [[1], [3, 0, 2], [0, 0], [6] * 9])
def test_pixels_of_pages_are_joined_in_their_order(counts):
    parts = [torch.randint(0, 256, (count, 5, 4, 3), dtype=torch.uint8) for count in counts]
    expected = torch.cat(parts)
    out = torch.empty_like(expected)
    join(parts, out)
    assert torch.equal(out, expected)
    assert torch.equal(to_device(parts, torch.device("cpu")), expected)
