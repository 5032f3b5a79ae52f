"""How fast models are on this machine: engines side by side, timed in turns.

Every round times every engine once, so that whatever else the machine does meets all of them. What
differs too much between rounds is not reported.
"""

from __future__ import annotations

import io
import multiprocessing
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from PIL import Image

from workzone.cores import core_count
from workzone.data.images import decode_pixels
from workzone.engine.choose import PRECISIONS, engines_for
from workzone.engine.folder import ExportedModel
from workzone.engine.int8 import INT8
from workzone.errors import UsageError, WorkzoneError
from workzone.progress import bar
from workzone.run.images import Encoded, encoded
from workzone.run.predictor import Predictor, load
from workzone.run.sources import find_images
from workzone.views import ViewLayout, enough_side, halved, make_views

WIDTH, HEIGHT = 1280, 720
"""Of the drawn photographs that are scored where no others are named."""
FRAMES = 8
"""Of these."""
MOST_SPREAD = 0.15
"""Half of the rounds lie within so much of each other, as a share of their median, or nothing is
reported."""
ROUNDS = (5, 15)
"""The fewest rounds, and the most."""

LEAST_SHARE = 0.9
"""Of the time of its cores that the machine must give to who asks for all of it."""

_SIDE = 1536  # of the matrices that are multiplied
_SINGLES = 3  # photographs one by one in a round


@dataclass(frozen=True)
class Speed:
    """Medians over the rounds, of one model on one engine in one precision."""

    model: str
    engine: str
    precision: str
    images_per_second: float  # of a folder, all cores at work
    photo: float  # ms, one photograph from its bytes to the decision, nothing else to do
    photo_beside: float  # ms, the same beside as many busy processes as there are cores
    image_side: float  # ms of one core for each image: decoding and views
    matrix_share: float | None  # of the rate of matrix products in this precision that is reached
    spread: float  # of images_per_second: the middle half of the rounds over their median


@dataclass(frozen=True)
class Bench:
    """All rows, and what they were taken on."""

    rows: tuple[Speed, ...]
    cores: int
    images: int  # different ones
    rounds: int
    matrix_rates: dict[str, float]  # operations a second of matrix products, by precision


class NoisyMachineError(WorkzoneError):
    """Rounds differ too much for a figure to mean anything."""


def bench(
    models: Sequence[Path | None],
    images: Path | None = None,
    *,
    seconds: float = 60.0,
    most_spread: float = MOST_SPREAD,
    least_share: float = LEAST_SHARE,
) -> Bench:
    """Time every model on every installed engine and precision that runs it as it is.

    Args:
        models: folders of bundles or programs; None: the model that comes with workzone.
        images: a photograph, a folder or a manifest; None: drawn frames of 1280 x 720.
        seconds: to spend on the rounds; of slow models fewer images are scored in each.
        most_spread: see `MOST_SPREAD`.
        least_share: see `LEAST_SHARE`.

    Raises:
        NoisyMachineError: the machine is too busy to measure on.
        UsageError: no images there.
        ImageError: one of the images cannot be read; the message names it.
        WorkzoneError: see :func:`workzone.load`.
    """
    files = _files(images)
    entries = [entry for model in models for entry in _contenders(model)]
    free = _share_of_cores()
    if free < least_share:
        raise NoisyMachineError(
            f"this machine is too busy to measure on: other programs leave {free:.0%} of its "
            f"{core_count()} cores, and {least_share:.0%} is the least. Stop what else runs, and "
            "try again"
        )
    rates = {precision: matrix_rate(precision) for precision in {p for *_, p, _ in entries}}
    for *_, predictor in entries:  # first calls allocate and compile
        _folder(predictor, files[:1] * 2)
        predictor.predict(files[0].data)
    once = sum(_milliseconds(_folder, predictor, files) for *_, predictor in entries) / 1000
    files = files[: max(1, int(len(files) * seconds / (ROUNDS[0] * once)))]
    rounds = _rounds(entries, files, seconds)
    with busy():
        beside = [
            statistics.median(_milliseconds(p.predict, files[0].data) for _ in range(5))
            for *_, p in entries
        ]
    rows = []
    for number, (model, engine, precision, predictor) in enumerate(entries):
        speeds = [of_all[number].images_per_second for of_all in rounds]
        low, middle, high = statistics.quantiles(speeds, n=4)
        # Operations are counted for a photograph of the drawn ones' size.
        operations = _operations(predictor) if images is None else None
        rate = rates[precision]
        share = None if rate is None or operations is None else operations * middle / rate
        rows.append(
            Speed(
                model=model,
                engine=engine,
                precision=precision,
                images_per_second=middle,
                photo=statistics.median(of_all[number].photo for of_all in rounds),
                photo_beside=beside[number],
                image_side=image_side(predictor.description.spec.layout, files),
                matrix_share=share,
                spread=(high - low) / middle,
            )
        )
    worst = max(rows, key=lambda row: row.spread)
    if worst.spread > most_spread:
        raise NoisyMachineError(
            f"this machine is too busy to measure on: half of the {len(rounds)} rounds of "
            f"{worst.engine} {worst.precision} lie {worst.spread:.0%} apart, and "
            f"{most_spread:.0%} is the most that means anything. Stop what else runs, plug it in, "
            "and try again; more rounds (--seconds) help against short disturbances"
        )
    known = {precision: rate for precision, rate in rates.items() if rate is not None}
    return Bench(tuple(rows), core_count(), len(files), len(rounds), known)


@dataclass(frozen=True)
class _Round:
    images_per_second: float
    photo: float  # ms


_Entry = tuple[str, str, str, Predictor]


def _contenders(model: Path | None) -> Iterator[_Entry]:
    """A model on what runs it: name, engine, precision."""
    name = "default" if model is None else str(model)
    first = load(model)
    description, engine = first.description, first.program.engine
    yield name, engine.name, engine.precision, first
    if not isinstance(description, ExportedModel):
        return
    for other in engines_for(description):
        for precision in PRECISIONS[other]:
            same = (other, precision) == (engine.name, engine.precision)
            if same or {precision, description.precision} & {*INT8}:  # that of its export alone
                continue
            try:
                yield name, other, precision, load(model, engine=other, precision=precision)
            except UsageError:  # the processor lacks the precision
                continue


def _files(images: Path | None) -> list[Encoded]:
    if images is None:
        return [encoded(_drawn(number), f"drawn {number}") for number in range(FRAMES)]
    files = [item.load() for _, item in find_images([images]).images[: 4 * FRAMES]]
    for file in files:
        decode_pixels(file.data, name=file.name)
    return files


def _drawn(seed: int) -> bytes:
    """A JPEG of 1280 x 720 with edges, areas and grain."""
    random = np.random.default_rng(seed)
    coarse = random.integers(30, 220, (18, 32, 3), dtype=np.uint8)
    frame = np.asarray(Image.fromarray(coarse).resize((WIDTH, HEIGHT), Image.Resampling.NEAREST))
    grain = random.normal(0, 6, (HEIGHT, WIDTH, 1))
    file = io.BytesIO()
    Image.fromarray((frame + grain).clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def _rounds(
    entries: Sequence[_Entry], files: Sequence[Encoded], seconds: float
) -> list[list[_Round]]:
    rounds: list[list[_Round]] = []
    started = time.perf_counter()
    fewest, most = ROUNDS
    with bar("rounds", most) as shown:
        while len(rounds) < most:
            spent = time.perf_counter() - started
            if len(rounds) >= fewest and spent * (len(rounds) + 1) / len(rounds) > seconds:
                break
            rounds.append([_one_round(predictor, files) for *_, predictor in entries])
            shown.advance(1)
    return rounds


def _one_round(predictor: Predictor, files: Sequence[Encoded]) -> _Round:
    started = time.perf_counter()
    _folder(predictor, files)
    speed = len(files) / (time.perf_counter() - started)
    singles = [_milliseconds(predictor.predict, file.data) for file in files[:_SINGLES]]
    return _Round(speed, statistics.median(singles))


def _folder(predictor: Predictor, files: Sequence[Encoded]) -> None:
    """Score all images as a folder is scored."""
    for _ in predictor.score([(file.name, file) for file in files], lambda file: file):
        pass


def _milliseconds(work: Callable[..., object], *arguments: object) -> float:
    started = time.perf_counter()
    work(*arguments)
    return 1000 * (time.perf_counter() - started)


def image_side(layout: ViewLayout, files: Sequence[Encoded]) -> float:
    """Milliseconds of one core that decoding and views take of an image: the median."""

    def prepare(data: bytes) -> None:
        views = make_views(decode_pixels(data, enough_side=enough_side(layout)), layout)
        if layout.halves:
            for view in views.pixels:
                halved(view)

    return statistics.median(_milliseconds(prepare, file.data) for file in files for _ in range(3))


def _operations(predictor: Predictor) -> int | None:
    """Of the backbone on one photograph, where the model's folder says so."""
    description = predictor.description
    return description.operations if isinstance(description, ExportedModel) else None


def matrix_rate(precision: str) -> float | None:
    """Operations a second of one large matrix product on all cores; None: not measured."""
    product = {"float32": _float32_product, "bfloat16": _bfloat16_product}.get(precision)
    multiply = None if product is None else product()
    if multiply is None:
        return None
    multiply()
    seconds = min(_milliseconds(multiply) for _ in range(10)) / 1000
    return float(2 * _SIDE**3 / seconds)


def _random_matrix() -> npt.NDArray[np.float32]:
    return np.random.default_rng(0).random((_SIDE, _SIDE), dtype=np.float32)


def _float32_product() -> Callable[[], object]:
    left, right = _random_matrix(), _random_matrix()
    return lambda: left @ right


def _bfloat16_product() -> Callable[[], object] | None:
    """By OpenVINO, which computes in bfloat16 on processors that can."""
    try:
        from workzone.engine.openvino_engine import matrix_product
    except ModuleNotFoundError:
        return None
    return matrix_product(_random_matrix())


@contextmanager
def busy() -> Iterator[None]:
    """As many processes as there are cores, each of which keeps one busy."""
    context = multiprocessing.get_context("spawn")
    others = [context.Process(target=_spin, daemon=True) for _ in range(core_count())]
    for other in others:
        other.start()
    time.sleep(1.0)  # they have begun by then
    try:
        yield
    finally:
        for other in others:
            other.kill()
            other.join()


def _spin() -> None:
    while True:
        pass


def _share_of_cores() -> float:
    """What part of its time each of as many processes as there are cores gets, over a second."""
    with multiprocessing.get_context("spawn").Pool(core_count()) as pool:
        shares = pool.map(_time_got, [1.0] * core_count(), chunksize=1)
    return statistics.mean(shares)


def _time_got(seconds: float) -> float:
    started, spent = time.perf_counter(), time.process_time()
    while time.perf_counter() - started < seconds:
        pass
    return (time.process_time() - spent) / (time.perf_counter() - started)
