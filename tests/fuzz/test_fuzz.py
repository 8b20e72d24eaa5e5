"""The short form; `python -m tests.fuzz --cases 20000` is the long one."""

import pytest

from tests.fuzz.documents import document, fuzz_documents, outcome
from tests.fuzz.seeds import seeds


def test_the_seeds_are_sound() -> None:
    assert {outcome(seed) for seed in seeds()} == {"read"}


def test_a_case_is_the_same_each_time() -> None:
    assert document(1, 2) == document(1, 2) != document(1, 3)


def test_spoilt_documents_are_read_or_refused() -> None:
    report = fuzz_documents(400)
    assert report.findings == []
    assert report.outcomes.total() == 400
    assert report.outcomes["read"] > 40, "most are not beyond recognition"
    assert len(report.outcomes) > 3


def test_made_up_requests_get_an_answer_that_the_document_tells_of() -> None:
    pytest.importorskip("schemathesis")
    from tests.fuzz.requests import fuzz_requests

    outcomes = fuzz_requests(100)
    statuses = {status for _, status in outcomes}
    assert {200, 400} <= statuses
    assert max(statuses) < 500
