"""What others would do with the same photographs: the floors that `accuracy.py` compares with.

    python benchmarks/peers.py data more -o benchmarks/results/peers.json

Leave one source out, in the folds and from the photographs of `accuracy.py` (no composites, no
scenes): logistic regression on the embedded backbone's features of one view and of twelve, and a
plain fine-tune of the whole network with timm (ImageNet weights, AdamW, flips and random crops,
classes drawn alike) at 224 and 320 px.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from accuracy_figures import SETTING
from journal import append, read_journal
from photographs import LEFT_OUT
from recipe import FOLDS, gather_folders
from record import write_record
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import matthews_corrcoef, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from timm import create_model
from torch import nn
from torchvision.transforms import v2

from workzone import progress
from workzone.backbones.lite import mapped_state, shipped_state
from workzone.backbones.names import LITE0
from workzone.backbones.registry import load_backbone
from workzone.data.manifest import Manifest
from workzone.features.extract import Extraction, make_spec
from workzone.types import Sample
from workzone.views import ViewLayout, preprocess

EPOCHS, BATCH, RATE, DECAY = 5, 16, 2e-4, 0.05
SIZES = (224, 320)
Scores = npt.NDArray[np.float64]


def rows_of(
    samples: Sequence[Sample], allowed: set[str], left_out: str
) -> tuple[list[Sample], list[Sample]]:
    """The photographs to learn from, and those of the source left out."""
    starts = FOLDS[left_out]
    test = [s for s in samples if (s.group or "").startswith(starts)]
    known = [s for s in samples if not (s.group or "").startswith(starts)]
    return [s for s in known if s.id in allowed], test


def logistic(features: dict[str, npt.NDArray[np.float32]]) -> Any:
    """A peer: logistic regression on one vector per image."""

    def scores(train: Sequence[Sample], test: Sequence[Sample], seed: int) -> Scores:
        model = make_pipeline(
            StandardScaler(), LogisticRegression(C=1e-3, class_weight="balanced", max_iter=2000)
        )
        model.fit(np.stack([features[s.id] for s in train]), [s.label for s in train])
        found: Scores = model.predict_proba(np.stack([features[s.id] for s in test]))[:, 1]
        return found

    return scores


def frames(samples: Sequence[Sample], size: int) -> torch.Tensor:
    """Whole frames, uint8 ``[n, 3, S, S]``."""
    layout = ViewLayout(size=size, tiles=0, squares=())
    return torch.cat(
        [
            torch.from_numpy(preprocess(Path(s.image.path).read_bytes(), layout).pixels)
            for s in samples
        ]
    )


def fine_tuned(size: int) -> Any:
    """A peer: the whole network, fine-tuned as one would with timm."""
    crop = v2.RandomResizedCrop(size, scale=(0.5, 1.0), antialias=True)
    change = v2.Compose([crop, v2.RandomHorizontalFlip(), v2.ColorJitter(0.3, 0.3, 0.3)])

    def scores(train: Sequence[Sample], test: Sequence[Sample], seed: int) -> Scores:
        torch.manual_seed(seed)
        network = create_model(LITE0.architecture, pretrained=False)
        network.load_state_dict(mapped_state(shipped_state(LITE0), network.state_dict(), LITE0))
        network.reset_classifier(1)
        network = network.to(memory_format=torch.channels_last)
        pixels, labels = frames(train, size), torch.tensor([float(s.label or 0) for s in train])
        weights = torch.where(labels == 1, 1 / labels.sum(), 1 / (1 - labels).sum())
        optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=DECAY)
        steps = EPOCHS * len(train) // BATCH
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
        network.train()
        for module in network.modules():
            if isinstance(module, nn.BatchNorm2d):  # few images: statistics stay ImageNet's
                module.eval()
        for _ in range(steps):
            rows = torch.multinomial(weights, BATCH, replacement=True)
            batch = torch.stack([change(pixels[row]) for row in rows]).float() / 127.5 - 1
            batch = batch.contiguous(memory_format=torch.channels_last)
            loss = F.binary_cross_entropy_with_logits(network(batch)[:, 0], labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
        network.eval()
        with torch.no_grad():
            parts = frames(test, size).split(BATCH)
            logits = [network(part.float() / 127.5 - 1)[:, 0] for part in parts]
        return torch.sigmoid(torch.cat(logits)).double().numpy()

    return scores


def main() -> None:
    """Run what is missing; what was done before is not done again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("photos", type=Path, nargs="+")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--work", type=Path, default=Path("runs/peers"))
    parser.add_argument("--seeds", type=int, default=1, help="of the fine-tunes")
    options = parser.parse_args()
    progress.enabled = True
    options.work.mkdir(parents=True, exist_ok=True)
    samples, allowed = gather_folders(options.photos, options.work)
    backbone = load_backbone("lite0")
    spec = make_spec(backbone, grid_views=(0,))
    store = Extraction(Manifest(samples, options.work), backbone, spec, options.work / "features")
    features = store.run()
    rows = [features.row(s.content_hash or "") for s in samples]
    pooled = features.read("pooled", rows).float().numpy()  # mean and maximum of 12 views
    names = [s.id for s in samples]
    width = backbone.width
    peers = {
        "logistic, one view": logistic(dict(zip(names, pooled[:, 0], strict=True))),
        "logistic, twelve views": logistic(
            dict(zip(names, pooled[..., width:].max(axis=1), strict=True))
        ),
        **{f"timm fine-tune, {size} px": fine_tuned(size) for size in SIZES},
    }
    journal = options.work / "peers.jsonl"
    done = read_journal(journal)
    for name, peer in peers.items():
        for seed in range(options.seeds if "timm" in name else 1):
            for left_out in LEFT_OUT:
                key = {"peer": name, "seed": seed, "setting": SETTING, "left_out": left_out}
                if any(key.items() <= row.items() for row in done):
                    continue
                train, test = rows_of(samples, allowed, left_out)
                scores = peer(train, test, seed)
                labels = [s.label for s in test]
                row = key | {
                    "rows": len(train),
                    "auc": float(roc_auc_score(labels, scores)),
                    "mcc": float(matthews_corrcoef(labels, scores > 0.5)),
                }
                done.append(row)
                append(journal, row)
                print(row, flush=True)
    write_record(options.output, {"runs": done})


if __name__ == "__main__":
    main()
