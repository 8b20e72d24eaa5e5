"""The parts of the GPU benchmark that its figures rest on and that need no GPU."""

import asyncio
import json

import numpy as np
import pytest

from benchmarks.gpu import agreement, plan, report
from benchmarks.gpu.lengths import page_lengths, pages_under_way
from benchmarks.gpu.load import Answer, Load, Visit, closed_loop, figures
from benchmarks.gpu.meter import Step
from benchmarks.gpu.pages import make_pdf, page_images, single_pages
from benchmarks.gpu.spec import Phase


def test_lengths_are_those_of_the_seed_and_only_grow_at_the_end():
    few, many = page_lengths(100, 1_000, 7, 7_000), page_lengths(5_000, 1_000, 7, 7_000)
    assert few.tolist() == many[:100].tolist()
    assert page_lengths(100, 1_000, 8, 7_000).tolist() != few.tolist()
    assert many.mean() == pytest.approx(1_000, rel=0.03)
    assert page_lengths(1_000, 2_500, 7, 3_000).max() == 3_000


def test_pages_under_way_are_those_of_a_steady_state():
    lengths = page_lengths(20_000, 1_000, 1, 7_000).astype(float)
    found = pages_under_way(4_000, 1_000, 1, 7_000)
    # Mean residual life of a renewal process: E[L^2] / 2 E[L].
    assert np.mean([page.left for page in found]) == pytest.approx(
        (lengths**2).mean() / lengths.mean() / 2, rel=0.05
    )
    assert all(page.left > 0 and page.written >= 0 for page in found)


class Reader:
    """Takes one turn of the loop a page, and counts how many pages it has at once."""

    def __init__(self):
        self.now = self.most = self.primed = 0

    async def read(self, number, length, ngram_size):
        self.now += 1
        self.most = max(self.most, self.now)
        await asyncio.sleep(0.001)
        self.now -= 1
        return Answer(length, "length")

    async def prime(self, page, ngram_size):
        self.primed += 1
        return page.left


def test_the_loop_keeps_its_number_of_pages_under_way():
    reader = Reader()
    phase = Phase("x", settle_s=0.02, window_s=0.05)
    load = asyncio.run(closed_loop(reader, phase, 5, [3, 4], pages_under_way(2, 100, 1, 500)))
    assert reader.most == 5
    assert reader.primed == 2
    pages = [visit for visit in load.visits if not visit.primer]
    assert len(load.visits) == len(pages) + 2
    assert all(visit.tokens == visit.asked in (3, 4) for visit in pages)
    assert load.reasons == {"length": len(pages)}


def test_a_failing_page_fails_the_phase():
    class Broken(Reader):
        async def read(self, number, length, ngram_size):
            raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        asyncio.run(closed_loop(Broken(), Phase("x", settle_s=0, window_s=5), 3, [1], []))


def test_only_what_ends_within_the_window_counts_for_it():
    visits = [
        Visit(0, 5, 10, 10, primer=True),
        Visit(0, 11, 100, 100, primer=True),
        Visit(5, 12, 100, 100, primer=False),
        Visit(11, 19, 100, 100, primer=False),
        Visit(11, 25, 100, 90, primer=False),
    ]
    steps = [Step(9, 1, 1, 50, 1), Step(11, 2, 1, 200, 1), Step(11, 2, 1, 100, 0), Step(18, 3, 1, 100, 2)]
    found = figures(Load(0, (10, 20), visits, {"length": 3}), Phase("x", 100), [100], steps)
    steady = found["steady"]
    assert (steady["pages"], steady["pages_per_s"], steady["pages_per_day"]) == (3, 0.3, 25_920)
    assert (steady["output_tokens_per_s"], steady["pages_per_s_by_tokens"]) == (40, 0.4)
    assert (steady["pages_per_s_prefilled"], steady["engine_steps_per_s"]) == (0.3, 0.2)
    assert found["whole"] == {
        "seconds": 25,
        "pages": 3,
        "pages_per_s": 0.12,
        "pages_per_s_by_tokens": 0.164,
        "primers": 2,
    }
    assert found["pages_of_wrong_length"] == 1


BASE = plan.Base(
    model="m",
    out="o",
    pages_pdf="p",
    distinct_pages=1,
    in_flight=1.25,
    primed=True,
    breakdown=False,
    seed=5,
    drain=True,
    repeats=3,
    settle_s=None,
    window_s=None,
    means=(1_000, 300),
    vllm={},
    stock={},
    options={},
)


def test_repeated_runs_share_an_engine_but_not_a_ray_and_have_seeds_of_their_own():
    engine, *graphs = plan.modes(BASE, ["engine", "graph"])
    assert [(phase.label, phase.repeat) for phase in engine.phases] == [
        ("mean-1000", 0),
        ("mean-300", 0),
        ("mean-1000-2", 1),
        ("mean-300-2", 1),
        ("mean-1000-3", 2),
        ("mean-300-3", 2),
    ]
    assert [spec.name for spec in graphs] == ["graph", "graph-2", "graph-3"]
    assert [[phase.repeat for phase in spec.phases] for spec in graphs] == [[0], [1], [2]]


def result(mode, name, rates, mean=1_000):
    phases = {str(n): {"asked_mean": mean, "steady": {"pages_per_s": rate}} for n, rate in enumerate(rates)}
    return {"mode": mode, "name": name, "phases": phases}


def test_ratios_are_those_of_medians_and_leave_variants_out():
    results = [
        result("engine", "engine", [20.0, 24.0, 22.0]),
        result("engine", "sweep-eager", [3.0]),
        result("stock", "stock", [4.0]),
        result("graph", "graph", [21.0]),
        result("graph", "graph-2", [23.0]),
    ]
    found = report.summary(results, {})
    assert found["pages_per_s"]["engine"] == {"runs": [20.0, 24.0, 22.0], "median": 22.0}
    assert found["pages_per_s"]["graph"]["median"] == 22.0
    assert found["ratios"] == {"engine / stock": 5.5, "graph / engine": 1.0}


def test_answers_that_part_within_rounding_are_told_from_those_that_part_beyond_it():
    start = (5, {5: -1.0, 6: -2.0})
    rounded = (5, {5: -1.01, 6: -2.0})
    close = [(7, {7: -1.0, 8: -1.01}), (8, {7: -1.005, 8: -1.0})]
    far = [(7, {7: -1.0, 8: -3.0}), (8, {7: -1.5, 8: -1.0})]
    unseen = [(7, {7: -1.0}), (8, {8: -1.0})]
    own = [[start, close[0]], [start, far[0]], [start, unseen[0]], [start]]
    other = [[rounded, close[1]], [rounded, far[1]], [rounded, unseen[1]], [rounded]]
    found = agreement.agreement(agreement.from_json(json.loads(json.dumps(agreement.as_json(own)))), other)
    assert (found["pages"], found["equal"], found["same_tokens_median"]) == (4, 1, 1)
    assert found["noise"]["largest"] == pytest.approx(0.01)
    assert found["first_token"] == {"median": pytest.approx(0.005), "largest": pytest.approx(0.01)}
    assert found["margin"]["largest"] == pytest.approx(2.0)
    assert (found["beyond_noise"], found["unseen"]) == (1, 1)


def test_pages_have_the_size_that_gives_six_tiles(tmp_path):
    (tmp_path / "pages.pdf").write_bytes(make_pdf(2, seed=3))
    images = page_images(tmp_path / "pages.pdf", 3)
    assert [image.size for image in images] == [(1191, 1684)] * 3
    assert images[0].tobytes() == images[2].tobytes() != images[1].tobytes()
    assert all(page.startswith(b"%PDF") for page in single_pages(tmp_path / "pages.pdf", 2))


def test_settings_on_the_command_line_are_json_where_they_can_be():
    assert plan.pairs(["max_num_seqs=512", "kv_cache_dtype=fp8", "enforce_eager=true", "empty="]) == {
        "max_num_seqs": 512,
        "kv_cache_dtype": "fp8",
        "enforce_eager": True,
        "empty": "",
    }
