"""Looks over the shoulder of vLLM's output handler: tokens and first tokens of each step."""

import time
from typing import Any, NamedTuple


class Step(NamedTuple):
    """What the engine's core handed over at once; a large batch comes in several parts.

    Attributes:
        time: seconds of `time.time()`.
        core_time: the core's own clock when the model's step ended; parts of one step share it.
        requests: with tokens in it.
        tokens: in all.
        prefilled: requests whose first token is in it.
    """

    time: float
    core_time: float
    requests: int
    tokens: int
    prefilled: int


class Meter:
    """Counts what passes `AsyncLLM.output_processor`, for some 30 microseconds a step.

    Attributes:
        steps: all that passed.
        tokens: in all of them.
        prefilled: in all of them.

    Args:
        llm: an `AsyncLLM` of vLLM 0.26 to 0.33.
    """

    def __init__(self, llm: Any) -> None:
        self.steps: list[Step] = []
        self.tokens = 0
        self.prefilled = 0
        processor = llm.output_processor
        handle = processor.process_outputs

        def counted(outputs: list[Any], core_time: float | None = None, *rest: Any, **named: Any) -> Any:
            tokens = sum(len(output.new_token_ids) for output in outputs)
            prefilled = sum(output.prefill_stats is not None for output in outputs)
            self.tokens += tokens
            self.prefilled += prefilled
            self.steps.append(Step(time.time(), core_time or 0.0, len(outputs), tokens, prefilled))
            return handle(outputs, core_time, *rest, **named)

        processor.process_outputs = counted
