from __future__ import annotations

import pytest

from workzone.errors import UsageError
from workzone.model.cells_config import CellHeadConfig
from workzone.model.config import DetectorConfig
from workzone.model.dense import DenseDetector
from workzone.model.detector import Detector
from workzone.model.make import make_detector

DENSE = DetectorConfig(width=6, cells=CellHeadConfig(width=6))


def test_the_configuration_tells_the_kind() -> None:
    assert type(make_detector(DetectorConfig(width=6))) is Detector
    assert type(make_detector(DENSE)) is DenseDetector


def test_weights_keep_the_names_that_bundles_have() -> None:
    names = list(make_detector(DENSE).state_dict())
    assert names[:4] == ["feature_mean", "feature_scale", "cells.mean", "cells.scale"]
    assert {name.split(".")[0] for name in names[2:]} == {"cells"}


def test_cells_are_not_dropped_in_silence() -> None:
    with pytest.raises(UsageError, match="only a DenseDetector judges them"):
        Detector(DENSE)
