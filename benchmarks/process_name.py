"""What a process is, in a word."""

import psutil


def process_name(process: psutil.Process) -> str | None:
    """Return what a process calls itself, or the module or program that it runs; None if it is ending."""
    line = process.cmdline()
    if not line:
        return None
    if line[0].startswith(("VLLM::", "ray::")):
        return line[0].split(" ")[0].split(".")[0]
    if "-m" in line[:-1]:
        return line[line.index("-m") + 1]
    program = line[0].rpartition("/")[2]
    if program.startswith("python"):
        program = next((word for word in line[1:] if not word.startswith("-")), program)
    return program.rpartition("/")[2]
