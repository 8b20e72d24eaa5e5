"""Spoilt documents through the real preprocessing, in processes that may die.

A process reads its cases one after the other and says how each ended, a line each: `python -m
tests.fuzz.documents SEED FIRST LAST`. Its parent notices which case it died or stopped at.
"""

import contextlib
import os
import random
import resource
import selectors
import subprocess
import sys
import time
import warnings
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from deployments.errors import OcrError
from deployments.preprocess.preprocessor import Preprocessor
from deployments.preprocess.settings import DocumentLimits, ViewSettings
from deployments.types import EngineInput, PageRequest
from tests.fuzz.mutations import mutated
from tests.fuzz.seeds import seeds

CASE_TIMEOUT_S = 30
MAX_MEMORY_BYTES = 6 * 2**30
LIMITS = DocumentLimits(max_bytes=1_000_000, max_pixels=4_000_000, max_pages=50)
ROOT = Path(__file__).parents[2]


def document(seed: int, number: int) -> bytes:
    """Return the document of a case."""
    chance = random.Random(f"{seed}-{number}")
    return mutated(seeds(), chance)


def outcome(data: bytes) -> str:
    """Read a document and say how that ended: `read`, or the code of an error of ours.

    An error that is none of the document's has a `!` in front.

    Raises:
        Exception: any other error, which is a finding.
    """
    preprocessor = Preprocessor(LIMITS, ViewSettings(), EngineInput.PAGE, None)
    try:
        info = preprocessor.inspect(data)
        for index in range(min(info.page_count, 2)):
            page = preprocessor.prepare(data, index, PageRequest(dpi=72))
            assert page.image is not None
            assert page.image.shape == (page.height, page.width, 3)
            assert page.width * page.height <= LIMITS.max_pixels
    except OcrError as error:
        return error.code if error.status < 500 else f"!{error.code}"
    return "read"


@dataclass
class DocumentReport:
    """How the cases ended.

    Attributes:
        outcomes: how often which way.
        findings: number of the case, and what happened.
        slowest: seconds and number of the slowest case.
    """

    outcomes: Counter[str] = field(default_factory=Counter)
    findings: list[tuple[int, str]] = field(default_factory=list)
    slowest: tuple[float, int] = (0.0, 0)


def fuzz_documents(cases: int, seed: int = 0) -> DocumentReport:
    """Read spoilt documents; a process that dies or stops is replaced after the case that did it."""
    report = DocumentReport()
    first = 0
    while first < cases:
        first = _run(seed, first, cases, report)
    return report


def _run(seed: int, first: int, last: int, report: DocumentReport) -> int:
    """Run a process over the cases from the first on; return the number after the last that ended."""
    command = [sys.executable, "-m", "tests.fuzz.documents", str(seed), str(first), str(last)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), *filter(None, sys.path)])}
    with subprocess.Popen(  # noqa: S603 - our own words
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment, cwd=ROOT
    ) as process:
        assert process.stdout is not None
        number, began, held = first, time.monotonic(), b""
        with selectors.DefaultSelector() as selector:
            selector.register(process.stdout, selectors.EVENT_READ)
            while selector.select(CASE_TIMEOUT_S):
                piece = os.read(process.stdout.fileno(), 65536)
                if not piece:
                    break
                *lines, held = (held + piece).split(b"\n")
                for line in lines:
                    ended, text = line.decode().split(" ", 1)
                    number = int(ended) + 1
                    now = time.monotonic()
                    report.slowest = max(report.slowest, (now - began, number - 1))
                    began = now
                    if text.startswith("!"):
                        report.findings.append((number - 1, text[1:]))
                    report.outcomes[text.split(":")[0]] += 1
            else:
                report.findings.append((number, f"took longer than {CASE_TIMEOUT_S} s"))
                process.kill()
                return number + 1
        code = process.wait()
    if number < last:
        report.findings.append((number, f"the process ended with {code}"))
        number += 1
    return number


def main() -> None:
    """Read the cases that the arguments name."""
    seed, first, last = map(int, sys.argv[1:])
    resource.setrlimit(resource.RLIMIT_AS, (MAX_MEMORY_BYTES, MAX_MEMORY_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    warnings.simplefilter("ignore")
    out = os.dup(1)
    with contextlib.redirect_stdout(sys.stderr):
        for number in range(first, last):
            try:
                ended = outcome(document(seed, number))
            except Exception as error:  # every kind is a finding
                ended = f"!{type(error).__name__}: {str(error)[:200]!r}"
            os.write(out, f"{number} {ended}\n".encode())


if __name__ == "__main__":
    main()
