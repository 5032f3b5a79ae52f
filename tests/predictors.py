"""Predictors of bundles that tests have at hand, and what is in them."""

from __future__ import annotations

from workzone.backbones.base import Backbone
from workzone.decide.bundle import Bundle
from workzone.engine.graphs import Reader
from workzone.engine.torch_engine import TorchEngine
from workzone.run.predictor import Predictor
from workzone.run.programs import bundle_program


def bundle_predictor(bundle: Bundle, backbone: Backbone | None = None) -> Predictor:
    """A predictor of torch."""
    return Predictor(bundle_program(bundle, backbone))


def bundle_of(predictor: Predictor) -> Bundle:
    """The bundle that a predictor of torch was made from."""
    assert isinstance(predictor.description, Bundle)
    return predictor.description


def backbone_of(predictor: Predictor) -> Backbone:
    """Its backbone."""
    engine = predictor.program.engine
    assert isinstance(engine, TorchEngine)
    reader = engine.graphs["reader"]
    assert isinstance(reader, Reader)
    return reader.backbone
