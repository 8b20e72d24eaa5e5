import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deployments.model.runaway import RunawayDetector, RunawaySettings

TD, TD_END = 128821, 128822


def fed(tokens, step=7, **settings):
    detector = RunawayDetector(RunawaySettings(**settings))
    for start in range(0, len(tokens), step):
        if detector.push(tokens[start : start + step]):
            return detector, start + step
    return detector, None


def prose(count, seed=0):
    return random.Random(seed).choices(range(5_000), k=count)


@pytest.mark.parametrize("period", [1, 2, 10, 100, 300])
def test_an_exact_loop_is_noticed_long_before_the_context_is_full(period):
    lap = prose(period, seed=period)
    detector, noticed = fed(prose(900) + lap * (6_000 // period))
    assert noticed is not None
    assert noticed < 900 + max(512, 4 * period) + 100
    assert detector.looping


def test_a_loop_that_is_disturbed_now_and_then_is_noticed():
    lap, rng = prose(150, seed=3), random.Random(5)
    tokens = prose(300)
    while len(tokens) < 7_000:
        tokens += [*lap, rng.randrange(5_000)] if rng.random() < 0.3 else lap
    assert fed(tokens)[1] is not None


def test_prose_and_numeric_tables_are_left_alone():
    rng = random.Random(1)
    table = [token for _ in range(1_000) for token in (TD, rng.randrange(900), rng.randrange(900), TD_END)]
    assert fed(prose(7_000))[1] is None
    assert fed(table)[1] is None


def test_two_hundred_empty_cells_are_a_table_not_a_loop():
    detector, noticed = fed(prose(100) + [TD, TD_END] * 200 + prose(500, seed=2))
    assert noticed is None
    assert not detector.looping


def test_a_page_cut_in_the_middle_of_a_short_loop_counts_as_looping():
    detector, noticed = fed(prose(500) + prose(60, seed=9) * 4)
    assert noticed is None
    assert detector.looping


@given(st.lists(st.integers(0, 3), max_size=400), st.integers(1, 50))
def test_how_tokens_are_chunked_makes_no_difference(tokens, step):
    rule = {"min_tokens": 16, "min_laps": 2, "ngram": 4, "window": 64}
    whole, _ = fed(tokens, step=max(1, len(tokens)), **rule)
    pieces = RunawayDetector(RunawaySettings(**rule))
    for start in range(0, len(tokens), step):
        pieces.push(tokens[start : start + step])
    assert pieces.push([]) == whole.push([])
    assert pieces.looping == whole.looping
