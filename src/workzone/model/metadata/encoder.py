"""The metadata encoder: from what is known of an image beside its pixels to one vector."""

from __future__ import annotations

import math

import torch
from torch import nn

from workzone.model.metadata.batch import MetadataBatch
from workzone.model.metadata.config import CATEGORY_FIELDS, MetadataConfig
from workzone.model.metadata.position import FourierPosition, GeoClipPosition
from workzone.model.metadata.rows import MISSING


class CategoryTable(nn.Module):
    """A vector for each category; id 0 is missing, 1 unknown.

    Unknown is the missing vector plus an offset that starts at zero: as long as no training row
    had a rare value to learn from, a new value is worth as much as none.
    """

    def __init__(self, *, categories: int, width: int) -> None:
        super().__init__()
        self.unknown_offset = nn.Parameter(torch.zeros(1, width))
        self.known = nn.Parameter(torch.empty(categories, width))
        # Of order 1, as the normed image vector beside it: smaller ones are learned too late, after
        # the image's part has long overfitted.
        nn.init.normal_(self.known)

    def forward(self, ids: torch.Tensor, missing: torch.Tensor) -> torch.Tensor:
        """From ids, int64 ``[B]``, and the missing vector ``[width]`` to ``[B, width]``."""
        table = torch.cat([missing[None], missing + self.unknown_offset, self.known])
        return nn.functional.embedding(ids, table)


class MetadataEncoder(nn.Module):
    """Position, weather, daytime, scene and text, side by side; 704 wide by default.

    Each field has a learned vector that stands for its absence. In training, fields are hidden at
    random, all of them for `MetadataConfig.drop_all` of the rows ("modality dropout", Neverova et
    al., "ModDrop", arXiv 1501.00102): the model must be as good without metadata. With everything
    missing the result is one constant vector, `image_only`.
    """

    def __init__(self, config: MetadataConfig) -> None:
        super().__init__()
        self.config = config
        self.missing = nn.ParameterDict(
            {field: nn.Parameter(torch.zeros(config.width_of(field))) for field in config.fields}
        )
        self.register_buffer("nothing", torch.zeros(0), persistent=False)  # of no field, for cat
        self.position: nn.Module | None = None
        if config.position and config.position_encoder == "geoclip":
            self.position = GeoClipPosition(width=config.position)
        elif config.position:
            self.position = FourierPosition(
                shortest_wavelength=config.shortest_wavelength, width=config.position
            )
        self.tables = nn.ModuleDict(
            {
                field: CategoryTable(
                    categories=len(config.values_of(field)), width=config.width_of(field)
                )
                for field in CATEGORY_FIELDS
                if field in config.fields
            }
        )

    nothing: torch.Tensor

    def forward(self, batch: MetadataBatch) -> torch.Tensor:
        """Encode.

        Args:
            batch: of ``B`` images.

        Returns:
            ``[B, config.width]``; text is the sentence vector at length ``sqrt(W)``, so that an
            element is of order 1, as in the normed image vector it stands beside.
        """
        rows, device = batch.weather.shape[0], batch.weather.device
        hidden = dict(zip(self.config.fields, self._hidden(rows, device), strict=True))
        parts = [self.nothing.expand(rows, 0)]
        for field, hide in hidden.items():
            missing = self.missing[field]
            if field in self.tables:
                ids = getattr(batch, field).masked_fill(hide, MISSING)
                parts.append(self.tables[field](ids, missing))
                continue
            if field == "text":
                value = batch.text.to(missing.dtype) * math.sqrt(self.config.text)
            else:
                assert self.position is not None
                value = self.position(batch.position)
            shown = getattr(batch, f"has_{field}") & ~hide
            parts.append(torch.where(shown[:, None], value, missing))
        return torch.cat(parts, dim=-1)

    def image_only(self, rows: int) -> torch.Tensor:
        """What stands for "nothing is known", ``[rows, config.width]``: the same for all rows."""
        constant = torch.cat([self.nothing, *(self.missing[f] for f in self.config.fields)])
        return constant.expand(rows, -1)

    def _hidden(self, rows: int, device: torch.device) -> torch.Tensor:
        """Which fields are hidden from which rows, bool ``[fields, rows]``; none in evaluation."""
        fields = len(self.config.fields)
        if not self.training:
            return torch.zeros(fields, rows, dtype=torch.bool, device=device)
        draws = torch.rand(fields + 1, rows, device=device)  # the last one is for all fields
        return (draws[:-1] < self.config.field_dropout) | (draws[-1] < self.config.drop_all)
