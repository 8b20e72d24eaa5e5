"""The processes in which vLLM's engines run."""

import os

import psutil

MODEL_REPLICA = "ServeReplica:dsocr:Model"
"""What the title of a replica of the deployment Model begins with, after `ray::`."""


def engine_cores() -> list[psutil.Process]:
    """Return the engine cores among the processes that this one started.

    By their place, below a replica of Model: the title that a core gives itself, `VLLM::EngineCore`, does not
    always take.
    """
    found = []
    for process in psutil.Process(os.getpid()).children(recursive=True):
        try:
            parent = process.parent()
            if parent is None or MODEL_REPLICA not in " ".join(parent.cmdline()):
                continue
            if "resource_tracker" not in " ".join(process.cmdline()):
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found
