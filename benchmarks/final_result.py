"""How a benchmark hands out its result: files for those who asked for them, and its last line."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Plot = Callable[[dict[str, Any], Path], None]


def hand_out(result: dict[str, Any], folder: Path | None, name: str, plot: Plot) -> None:
    """Write `name`.json and `name`.png into a folder, if there is one, and print the result as JSON."""
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{name}.json").write_text(json.dumps(result, indent=1) + "\n")
        plot(result, folder / f"{name}.png")
    print(json.dumps(result), flush=True)
