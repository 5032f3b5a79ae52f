"""When the default model had better say that it does not know: sets it was not made for.

    python benchmarks/unsure.py data more --sets sets -o benchmarks/results/unsure.json
        [--ship src/workzone/weights/lite src/workzone/weights/lite-onnx]

PHOTOS hold ``labels.csv`` (see accuracy.py). SETS holds a folder of pictures for each set that is
no street: indoor, documents, screenshots, aerial, drawings, diagrams, packages. Made here, of
photographs that the weights did not learn from: noise, black, over-exposed, blurred, covered and
dirty. Statistics are of the photographs that the weights learned from, the cut of those whose
collection was left out of them; streets to be told apart are those of all other photographs but
close-ups (`NO_STREET`). ``--ship`` adds the statistics to models.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from recipe import CLOSE_UPS, collection, gather_photographs
from record import write_record
from sklearn.metrics import roc_auc_score

from workzone import progress
from workzone.data.images import read_bytes
from workzone.data.quality import fault
from workzone.decide.conformal import fit_conformal
from workzone.decide.distance import DistanceName
from workzone.decide.familiarity import MEASURES, Familiarity, fit_familiarity
from workzone.model.scene import PARTS
from workzone.report.selective import selective
from workzone.run.familiarise import add_familiarity
from workzone.run.images import encoded
from workzone.run.predictor import Predictor, load
from workzone.types import Sample
from workzone.views import preprocess

RATE = 0.04
"""Share of photographs of collections left out of the statistics that may be beyond the cut."""
KINDS: dict[str, Sequence[tuple[int, DistanceName]]] = {
    "together": MEASURES,
    "mahalanobis": ((0, "mahalanobis"),),
    "relative": ((0, "relative"),),
    "neighbours": ((0, "neighbours"),),
    "neighbours, lower part": ((1, "neighbours"),),
}
"""What is compared; the first ships."""
MADE = 24
"""Pictures that are made of each fault."""
NO_STREET = (*CLOSE_UPS, "rfbr")
Floats = npt.NDArray[np.float64]
Strings = npt.NDArray[np.str_]


@dataclasses.dataclass(frozen=True)
class Seen:
    """What the model says of pictures."""

    scene: npt.NDArray[np.float32]  # [n, D]
    penultimate: npt.NDArray[np.float32]  # [n, D']
    raw: Floats  # [n], before calibration
    probability: Floats  # [n]
    fault: Strings  # [n], "" where there is none

    def __getitem__(self, rows: npt.NDArray[np.bool_]) -> Seen:
        return Seen(*(getattr(self, f.name)[rows] for f in dataclasses.fields(self)))


def look(model: Predictor, pictures: Sequence[tuple[str, bytes]], kept: Path) -> Seen:
    """Of pictures by name; what was done is not done again."""
    names = [f.name for f in dataclasses.fields(Seen)]
    if not kept.is_file():
        answers = list(model.answers(pictures, lambda data: encoded(data, "picture")))
        bad = [n for (n, _), a in zip(pictures, answers, strict=True) if isinstance(a, Exception)]
        if bad:
            raise SystemExit(f"cannot be read: {bad}")
        layout = model.description.spec.layout
        faults = [fault(preprocess(data, layout).pixels[0]) or "" for _, data in pictures]
        told = [[getattr(a, name) for a in answers] for name in names[:-1]]
        values = dict(zip(names, [*map(np.array, told), np.array(faults)], strict=True))
        np.savez(kept, **values)
    with np.load(kept, allow_pickle=False) as held:
        return Seen(**{name: held[name] for name in names})


def made(streets: Sequence[bytes]) -> Iterator[tuple[str, list[bytes]]]:
    """Pictures that nothing can be told of, by set."""
    random = np.random.default_rng(0)
    photos = [Image.open(io.BytesIO(data)).convert("RGB") for data in streets]
    yield "noise", [jpeg(noise(random, number)) for number in range(MADE)]
    dark = [np.asarray(p) * 0.02 + random.normal(size=(p.height, p.width, 3)) for p in photos]
    yield "black", [jpeg(pixels) for pixels in dark]
    burnt = [np.asarray(p) * (3.0 + n % 3) + 120 for n, p in enumerate(photos)]
    yield "over-exposed", [jpeg(pixels) for pixels in burnt]
    soft = [
        p.filter(ImageFilter.GaussianBlur(min(p.size) / 60 * (1 + n % 3)))
        for n, p in enumerate(photos)
    ]
    yield "blurred", [jpeg(np.asarray(p)) for p in soft]
    yield "covered", [jpeg(covered(p, n)) for n, p in enumerate(photos)]
    yield "dirty", [jpeg(dirty(random, p, n)) for n, p in enumerate(photos)]


def noise(random: np.random.Generator, number: int) -> Floats:
    """Of four kinds in turn: in each pixel, normal, coarse, grey."""
    shape, kind = (576, 1024, 3), number % 4
    if kind == 1:
        return 128 + 60 * random.normal(size=shape)
    if kind == 2:
        coarse = random.integers(0, 256, (9, 16, 3)).astype(np.uint8)
        return np.asarray(Image.fromarray(coarse).resize((1024, 576)), dtype=np.float64)
    pixels = random.integers(0, 256, shape if kind == 0 else (576, 1024, 1))
    return np.broadcast_to(pixels, shape).astype(np.float64)


def covered(photo: Image.Image, number: int) -> Floats:
    """A street with something large and dark before its middle."""
    across, down = np.linspace(-1, 1, photo.width)[None], np.linspace(-1, 1, photo.height)[:, None]
    free = across**2 + down**2 > 0.15 * (1 + number % 3)
    mask = Image.fromarray(255 * (~free).astype(np.uint8))
    mask = mask.filter(ImageFilter.GaussianBlur(min(photo.size) / 12))
    colour = ((25, 18, 15), (60, 40, 30), (90, 90, 95))[number % 3]
    return np.asarray(Image.composite(Image.new("RGB", photo.size, colour), photo, mask), float)


def dirty(random: np.random.Generator, photo: Image.Image, number: int) -> Floats:
    """A street through smears on half of the lens and more."""
    small = Image.fromarray((random.random((9, 16)) * 255).astype(np.uint8))
    smears = np.asarray(small.resize(photo.size, Image.Resampling.BICUBIC), dtype=float)
    dirt = smears > np.quantile(smears, 0.5 - 0.1 * (number % 3))
    mask = Image.fromarray((235 * dirt).astype(np.uint8))
    mask = mask.filter(ImageFilter.GaussianBlur(min(photo.size) / 50))
    soft = photo.filter(ImageFilter.GaussianBlur(min(photo.size) / 25))
    soft = Image.blend(soft, Image.new("RGB", photo.size, (120, 110, 95)), 0.45)
    return np.asarray(Image.composite(soft, photo, mask), dtype=float)


def jpeg(pixels: Floats) -> bytes:
    """As a file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=92)
    return bytes(buffer.getvalue())


def vectors_of(seen: Seen, kind: str) -> npt.NDArray[np.float32]:
    """What distances are told by: the whole scene, or what the last layer sees."""
    return seen.scene if kind == "scene" else seen.penultimate


def maximum_probability(seen: Seen) -> Floats:
    """The peer: how little sure of either answer (Hendrycks & Gimpel, arXiv 1610.02136)."""
    return np.asarray(-np.maximum(seen.probability, 1 - seen.probability))


def auroc(streets: Floats, others: Floats) -> float:
    """Of telling others from streets, the higher the further."""
    truth = np.repeat([0, 1], [len(streets), len(others)])
    return round(float(roc_auc_score(truth, np.concatenate([streets, others]))), 4)


def judged(
    streets: Floats, sets: dict[str, Floats], cut: float | None, collections: Strings
) -> dict[str, Any]:
    """By set, and false alarms where there is a cut, by collection too."""
    together = np.concatenate(list(sets.values()))
    row: dict[str, Any] = {
        "auroc": {name: auroc(streets, scores) for name, scores in sets.items()}
        | {"all": auroc(streets, together)}
    }
    if cut is None:
        return row
    beyond = streets > cut
    return row | {
        "found": {n: float(np.mean(s > cut)) for n, s in sets.items()}
        | {"all": float(np.mean(together > cut))},
        "false alarms": float(beyond.mean()),
        "false alarms by collection": {
            str(n): [int(beyond[collections == n].sum()), int((collections == n).sum())]
            for n in np.unique(collections)
        },
    }


def faults_told(streets: Seen, sets: dict[str, Seen]) -> dict[str, Any]:
    """How many pictures of each set have each fault."""
    parts = {"streets": streets} | sets
    return {
        name: {str(f) or "none": int((part.fault == f).sum()) for f in np.unique(part.fault)}
        for name, part in parts.items()
    }


def by_coverage(labels: npt.NDArray[np.int64], seen: Seen, doubtful: Any) -> list[dict[str, Any]]:
    """Figures by how many are decided."""
    doubts = None if doubtful is None else {"in doubt": doubtful}
    found = selective(labels, seen.probability, doubts=doubts)
    return [dataclasses.asdict(part) for part in found.at]


def conformal_road(
    labels: npt.NDArray[np.int64], seen: Seen, web: npt.NDArray[np.bool_], coverage: float
) -> dict[str, Any] | None:
    """Fitted on all sources but one, judged on that one."""
    sets = fit_conformal(labels[~web], seen.raw[~web], coverage=coverage)
    if sets is None:
        return None
    undecided = sets.undecided(seen.raw[web])
    wrong = (seen.probability[web] > 0.5) != (labels[web] == 1)
    return {
        "coverage": coverage,
        "undecided": int(undecided.sum()),
        "rows": len(undecided),
        "mistakes": int(wrong.sum()),
        "mistakes among the decided": int(wrong[~undecided].sum()),
        "in its set, road work": float(
            (seen.raw[web & (labels == 1)] >= sets.roadwork_from).mean()
        ),
        "in its set, none": float((seen.raw[web & (labels == 0)] <= sets.none_to).mean()),
    }


def main() -> None:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", type=Path, nargs="+", help="folders with labels.csv")
    parser.add_argument(
        "--sets", type=Path, required=True, help="a folder of pictures for each set"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, help="JSON file to write")
    parser.add_argument("--ship", type=Path, nargs="*", default=[], help="models to add them to")
    parser.add_argument("--work", type=Path, default=Path("runs/unsure"))
    parser.add_argument("--no-made", action="store_true", help="judge the sets of --sets alone")
    options = parser.parse_args()
    progress.enabled = False
    options.work.mkdir(parents=True, exist_ok=True)
    samples: list[Sample] = []
    allowed: set[str] = set()
    for folder in options.photos:
        inside = options.work / folder.name
        inside.mkdir(exist_ok=True)
        found, permitted = gather_photographs(folder, inside)
        samples += found
        allowed |= permitted
    files = [read_bytes(s.image, Path()) for s in samples]
    model = load()
    photos = look(
        model, [(s.id, f) for s, f in zip(samples, files, strict=True)], options.work / "photos.npz"
    )
    learned = np.array([s.id in allowed for s in samples])
    collections = np.array([collection(s) for s in samples])
    street = ~learned & ~np.array([(s.group or "").startswith(NO_STREET) for s in samples])
    places = np.flatnonzero(street)
    bases = [files[place] for place in places[:: len(places) // MADE][:MADE]]
    pictures = {
        folder.name: [path.read_bytes() for path in sorted(folder.iterdir())]
        for folder in sorted(options.sets.iterdir())
    } | ({} if options.no_made else dict(made(bases)))
    kept = options.work / options.sets.name
    kept.mkdir(exist_ok=True)
    sets = {
        name: look(model, [(str(n), data) for n, data in enumerate(of)], kept / f"{name}.npz")
        for name, of in pictures.items()
    }
    lens = ("blurred", "covered", "dirty")  # a case of their own
    unlike = {name: seen for name, seen in sets.items() if name not in lens}
    labels = np.array([s.label for s in samples])
    own: dict[str, Familiarity] = {}
    table: dict[str, Any] = {
        "maximum probability": judged(
            maximum_probability(photos[street]),
            {name: maximum_probability(seen) for name, seen in unlike.items()},
            None,
            collections[street],
        )
    }
    for kind, parts in (("scene", PARTS), ("penultimate", 1)):
        for name, measures in KINDS.items():
            if measures[0][0] >= parts:
                continue
            own[f"{kind}, {name}"] = known = fit_familiarity(
                vectors_of(photos[learned], kind),
                labels[learned],
                collections[learned].tolist(),
                parts=parts,
                measures=measures,
                rate=RATE,
            )
            table[f"{kind}, {name}"] = judged(
                known.score(vectors_of(photos[street], kind)),
                {n: known.score(vectors_of(seen, kind)) for n, seen in unlike.items()},
                1.0,
                collections[street],
            )
    chosen = own["scene, together"]
    beyond = chosen.score(photos.scene) > 1
    faulty = photos.fault != ""
    table["both, as shipped"] = {
        "found": {
            name: float(np.mean((chosen.score(seen.scene) > 1) | (seen.fault != "")))
            for name, seen in sets.items()
        },
        "false alarms": float((beyond | faulty)[street].mean()),
    }
    unseen = ~learned
    web = collections[unseen] == "web"
    results = {
        "rate": RATE,
        "pictures": {name: len(of) for name, of in pictures.items()},
        "learned from": int(learned.sum()),
        "streets": int(street.sum()),
        "table": table,
        "quality": faults_told(photos[street], sets),
        "coverage": {
            "by probability": by_coverage(labels[unseen], photos[unseen], None),
            "in doubt first": by_coverage(
                labels[unseen], photos[unseen], (beyond | faulty)[unseen]
            ),
        },
        "conformal": [conformal_road(labels[unseen], photos[unseen], web, c) for c in (0.9, 0.95)],
        "familiarity": {"rows": chosen.rows, "groups": chosen.groups, "rate": chosen.rate},
    }
    for folder in options.ship:
        add_familiarity(folder, chosen)
    write_record(options.output, results)


if __name__ == "__main__":
    main()
