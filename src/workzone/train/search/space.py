"""What a search for settings may choose from."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from workzone.errors import UsageError
from workzone.train.settings import TrainConfig


@dataclass(frozen=True)
class Dimension:
    """What one setting may be: one of ``choices``, or a number from ``low`` to ``high``."""

    low: float = 0.0
    high: float = 0.0
    log: bool = False  # drawn evenly in the logarithm
    whole: bool = False  # integers only
    choices: tuple[Any, ...] = ()  # plain values, as YAML has them

    def suggest(self, trial: Any, key: str) -> Any:
        """A value for a trial."""
        if self.choices:  # lists among them: the storage holds words and numbers only
            words = [json.dumps(choice) for choice in self.choices]
            return json.loads(trial.suggest_categorical(key, words))
        if self.whole:
            return trial.suggest_int(key, int(self.low), int(self.high), log=self.log)
        return trial.suggest_float(key, self.low, self.high, log=self.log)


Space = Mapping[str, Dimension]
"""What is searched, by dotted key of TrainConfig."""


def default_space(config: TrainConfig) -> Space:
    """What is searched where nothing is said; the detector's shape by what it is made of."""
    space = {
        "optimizer.name": Dimension(choices=("adamw", "muon")),
        "optimizer.learning_rate": Dimension(1e-4, 1e-2, log=True),
        "optimizer.weight_decay": Dimension(1e-4, 0.3, log=True),
        "ema": Dimension(choices=(0.0, 0.9, 0.99)),
    }
    if config.detector.cells:  # an image is hundreds of cells: fewer of them in a step
        return space | {
            "batch": Dimension(choices=(8, 16, 32)),
            "detector.cells.dropout": Dimension(0.0, 0.5),
            "detector.cells.mix_style": Dimension(0.0, 1.0),
            "detector.cells.top": Dimension(1, 8, whole=True),
        }
    space |= {"batch": Dimension(choices=(32, 64, 128)), "detector.dropout": Dimension(0.0, 0.5)}
    if config.detector.encoder.depth:
        return space | {"detector.encoder.depth": Dimension(1, 4, whole=True)}
    return space | {
        "detector.gate_hidden": Dimension(choices=(16, 32, 64)),
        "detector.head": Dimension(choices=([], [64])),
    }


def read_space(tree: Mapping[str, Any], *, where: str) -> Space:
    """A space from plain values: ``{key: {low, high, log}}`` or ``{key: {choices: [...]}}``.

    Integers as ``low`` and ``high`` make a setting that is an integer.

    Raises:
        UsageError: all mistakes at once.
    """
    space, mistakes = {}, []
    for key, value in tree.items():
        given = value if isinstance(value, Mapping) else {}
        names = set(given)
        if names == {"choices"} and isinstance(given["choices"], list) and given["choices"]:
            space[key] = Dimension(choices=tuple(given["choices"]))
        elif {"low", "high"} <= names <= {"low", "high", "log"}:
            bounds = given["low"], given["high"]
            whole = all(isinstance(bound, int) for bound in bounds)
            try:
                low, high = map(float, bounds)  # YAML reads 1e-4 as a word
            except (TypeError, ValueError):
                low, high = 0.0, -1.0
            log = bool(given.get("log", False))
            if low >= high or (log and low <= 0):
                mistakes.append(f"{key}: low must be below high, and above 0 with log: got {value}")
            space[key] = Dimension(low, high, log, whole)
        else:
            mistakes.append(
                f"{key}: expected {{low, high, log}} or {{choices: [...]}}, got {value!r}"
            )
    if not tree:
        mistakes.append("nothing to search; name at least one setting")
    if mistakes:
        raise UsageError(f"{where}:\n  " + "\n  ".join(mistakes))
    return space
