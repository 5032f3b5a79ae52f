"""One contender of `pipeline.py`, in a process and an environment of its own.

    python pipeline_worker.py FOLDER workzone [MODEL ENGINE PRECISION]
    python pipeline_worker.py FOLDER naive squares|frame

Answers each line of standard input, ``folder`` or ``photo``, with a line of JSON. It must run with
older versions of workzone too.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

SINGLES = 7
Score = Callable[[Path], object]


def of_workzone(arguments: list[str]) -> tuple[Callable[[Path], object], Score]:
    """Scores a folder by `predict_many`, a photograph from its bytes by `predict`."""
    import workzone
    from workzone.run.bulk import predict_many

    options = {}
    if arguments:
        folder, engine, precision = arguments
        options = {"path": folder, "engine": engine, "precision": precision}
    model = workzone.load(**options)

    def score_folder(folder: Path) -> object:
        with tempfile.TemporaryDirectory() as place:
            return predict_many(model, folder, Path(place) / "scores.jsonl")

    return score_folder, lambda file: model.predict(file.read_bytes())


def naive(arguments: list[str]) -> tuple[Callable[[Path], object], Score]:
    """The same network and views as one would write it with timm, Pillow and torchvision."""
    import timm
    import torch
    from PIL import Image
    from torchvision.transforms.v2.functional import normalize, pil_to_tensor

    (layout,) = arguments
    network = timm.create_model("tf_efficientnet_lite0", pretrained=False).eval()
    classify = torch.nn.Linear(1280, 1)
    side = 512

    def squares(image: Image.Image) -> list[Image.Image]:
        width, height = image.size
        whole = Image.new("RGB", (side, side), (128, 128, 128))
        scale = side / max(width, height)
        whole.paste(image.resize((round(width * scale), round(height * scale)), Image.BILINEAR))
        short = min(width, height)
        corners = ((0, 0), (width - short, height - short))
        return [
            whole,
            *(
                image.resize((side, side), Image.BILINEAR, (x, y, x + short, y + short))
                for x, y in corners
            ),
        ]

    def frame(image: Image.Image) -> list[Image.Image]:
        return [image.resize((896, side), Image.BILINEAR)]

    def score(file: Path) -> float:
        image = Image.open(file).convert("RGB")
        views = squares(image) if layout == "squares" else frame(image)
        halves = [
            view.resize((view.width // 2, view.height // 2), Image.BILINEAR) for view in views
        ]
        logits = []
        for scale in (views, halves):
            batch = torch.stack([pil_to_tensor(view) for view in scale]).float() / 255
            batch = normalize(batch, [0.5] * 3, [0.5] * 3)
            with torch.no_grad():
                cells = classify(network.forward_features(batch).movedim(1, -1)).flatten()
            logits.append(cells.topk(4).values.mean())
        return float(torch.sigmoid(torch.stack(logits).mean()))

    def score_folder(folder: Path) -> object:
        return [score(file) for file in sorted(folder.iterdir())]

    return score_folder, score


def main() -> None:
    """Answer until there is no more to answer."""
    folder, kind, *arguments = sys.argv[1:]
    make = {"workzone": of_workzone, "naive": naive}[kind]
    score_folder, score = make(arguments)
    files = sorted(Path(folder).iterdir())

    def timed(work: Callable[[], object]) -> tuple[float, float]:
        started, spent = time.perf_counter(), time.process_time()
        work()
        return time.perf_counter() - started, time.process_time() - spent

    for line in sys.stdin:
        answer: dict[str, Any] = {}
        if line.strip() == "folder":
            seconds, core_seconds = timed(lambda: score_folder(Path(folder)))
            answer = {
                "images per second": len(files) / seconds,
                "core ms per image": 1000 * core_seconds / len(files),
            }
        else:
            singles = [timed(lambda file=file: score(file))[0] for file in files[:SINGLES]]
            answer = {"photo, ms": 1000 * statistics.median(singles)}
        status = Path("/proc/self/status").read_text()
        peak = int(status.partition("VmHWM:")[2].split()[0]) / 1e3
        print(json.dumps(answer | {"peak memory, MB": peak}), flush=True)


if __name__ == "__main__":
    main()
