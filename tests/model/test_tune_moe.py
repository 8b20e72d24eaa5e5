import json

import pytest

from benchmarks.tune_moe import SIZES, Config, blocks_m, coarse, fine, search, write


@pytest.mark.parametrize("tokens", SIZES)
def test_every_batch_size_has_a_small_space_of_launchable_configs(tokens):
    shapes = list(coarse(tokens))
    second = list(fine(shapes[:3], tokens))
    assert 4 <= len(shapes) <= 24
    assert len(shapes) + len(second) <= 72
    assert all(config.fits() for config in shapes + second)
    assert not set(shapes[:3]) & set(second)


def test_blocks_follow_the_tokens_an_expert_gets():
    assert blocks_m(1) == [16]
    assert blocks_m(512) == [32, 64, 128]
    assert blocks_m(16384) == [64, 128]


def test_the_search_finds_the_best_of_a_smooth_landscape():
    target = Config(64, 128, 64, 1, 8, 3)

    def measure(configs):
        return [1 + sum(abs(a - b) / b for a, b in zip(config, target, strict=True)) for config in configs]

    best, seconds = search(512, measure)
    assert best == target
    assert seconds == 1


def test_configs_that_do_not_run_lose():
    best, _ = search(512, lambda configs: [1.0 if c.stages == 3 else float("inf") for c in configs])
    assert best.stages == 3


def test_the_file_is_what_vllm_reads(tmp_path):
    path = tmp_path / "new" / "E=64.json"
    write(path, {512: Config(64, 128, 64, 1, 8, 3), 1: Config(16, 64, 128, 1, 4, 3)})
    content = json.loads(path.read_text())
    assert list(content) == ["1", "512"]
    assert content["512"]["BLOCK_SIZE_M"] == 64
    assert [p.name for p in path.parent.iterdir()] == ["E=64.json"]
