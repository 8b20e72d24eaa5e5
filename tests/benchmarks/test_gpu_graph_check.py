"""The parts of the check of the whole graph that need no GPU."""

import json

from benchmarks.gpu.asked_engine import _ASKED, _PRIMED, Count, asking, engines, last_count, priming, steps
from benchmarks.gpu.lengths import UnderWay
from deployments.preprocess.prompts import prompt_for
from deployments.types import Task


def test_the_engine_reads_what_the_client_asks():
    prompt = prompt_for(Task.CUSTOM, asking(321))
    assert _ASKED.search(prompt)[1] == "321"
    assert not _PRIMED.search(prompt)
    primed = _PRIMED.search(prompt_for(Task.CUSTOM, priming(UnderWay(written=40, left=0))))
    assert primed.groups() == ("1", "40")


def test_counts_become_steps(tmp_path):
    path = tmp_path / "engine-1.jsonl"
    path.write_text("")
    assert last_count(path) is None
    counts = [Count(1.0, 10, 1, 2), Count(1.5, 30, 2, 2), Count(2.0, 35, 2, 0)]
    path.write_text("".join(json.dumps(count) + "\n" for count in counts) + "[2.5, 4")
    assert engines(tmp_path) == [path]
    assert last_count(path) == counts[-1]
    assert [(step.time, step.tokens, step.prefilled) for step in steps(path)] == [(1.5, 20, 1), (2.0, 5, 0)]
