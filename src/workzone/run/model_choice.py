"""Which model a process loads, and how: what can be sent to the processes that judge."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from workzone.run.predictor import Predictor


@dataclass(frozen=True, kw_only=True)
class ModelChoice:
    """The arguments of :func:`workzone.load`, and what is changed in the model's description.

    ``tta``, ``looks`` and ``size`` are those of :class:`workzone.decide.description.Description`;
    ``share`` is that of road work among the images; None: the model's own. Paths are kept as text,
    so that the choice can be sent as JSON.
    """

    model: str | Path | None = None
    engine: str | None = None
    precision: str | None = None
    weights: str | Path | None = None
    device: str = "cpu"
    size: int | None = None
    tta: int | None = None
    looks: str | None = None
    share: float | None = None
    unsure: str = "off"

    def __post_init__(self) -> None:
        """Keep paths as text."""
        for name in ("model", "weights"):
            value = getattr(self, name)
            object.__setattr__(self, name, None if value is None else str(value))

    def absolute(self) -> ModelChoice:
        """The same for processes that run in another folder."""
        paths = {
            name: str(Path(value).absolute())
            for name in ("model", "weights")
            if (value := getattr(self, name)) is not None and Path(value).exists()
        }
        return replace(self, **paths)  # type: ignore[arg-type]

    def load(self) -> Predictor:
        """Load it.

        Raises:
            WorkzoneError: see :func:`workzone.load`; the model cannot be changed so.
        """
        from workzone.run.predictor import load

        predictor = load(
            self.model,
            engine=self.engine,
            precision=self.precision,
            weights=self.weights,
            device=self.device,
            unsure=self.unsure,
        )
        description = predictor.description.with_test_time(self.tta, self.looks)
        description = description.with_view_size(self.size).with_share(self.share)
        return predictor.described(description)
