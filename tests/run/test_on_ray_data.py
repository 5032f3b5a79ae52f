"""Bulk scoring on Ray Data: what Ray is asked, and a whole job with its processes killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq
import pytest

from made_images import blob_image
from means import Mean
from workzone.errors import ImageError, MissingExtraError, UsageError, WorkzoneError
from workzone.run import on_ray
from workzone.run.bulk import predict_many
from workzone.run.on_ray import Actors, RayScorer
from workzone.run.ray_actor import Judge, OfActor
from workzone.run.sources import Item, find_images
from workzone.types import ImageRef

JOB = """
    import sys
    from pathlib import Path
    from stand_in import StandIn as Mean
    from workzone.run import bulk
    from workzone.run.on_ray import Actors, RayScorer

    bulk.FLUSH_EVERY = 4
    model = Mean(seconds=0.05)
    scorer = RayScorer(model, model, Actors("local", 2, 2), seconds_each=1.0)
    summary = bulk.predict_many(scorer, Path(sys.argv[1]), Path(sys.argv[2]), part_rows=40)
    print(summary.scored, summary.quarantined, summary.resumed)
"""


def scorer(model: Any = None, **options: Any) -> RayScorer:
    model = model or Mean()
    return RayScorer(model, model, options.pop("actors", Actors()), seconds_each=1.0, **options)


def test_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"workzone\[ray\]"):
        scorer()


def test_workers_that_cannot_be() -> None:
    for few, most in ((0, 1), (3, 2)):
        with pytest.raises(UsageError, match="--workers"):
            scorer(actors=Actors("local", few, most))


def ray_in_this_process(self: RayScorer, chunks: Any, load: Any, sample_of: Any, _: Any) -> Any:
    """What `RayScorer._rows` does, by one actor in this process."""
    from ray.cloudpickle import dumps

    job = {"choice": self._choice, "identity": self._identity, "folders": self._folders}
    job |= {"load": load, "sample_of": sample_of, "remote": self._remote}
    actor = Judge(dumps(job))
    for chunk in chunks:
        yield from actor({"chunk": [dumps(chunk)]})["results"]


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for number in range(12):
        blob_image(number, number % 2).save(folder / f"{number:02}.png")
    (folder / "bad.jpg").write_bytes(b"no image")
    return folder


@pytest.fixture
def no_cluster(monkeypatch: pytest.MonkeyPatch) -> Callable[[RayScorer], list[tuple[str, Any]]]:
    monkeypatch.setattr(RayScorer, "_rows", ray_in_this_process)

    def results(one: RayScorer, photos: Path) -> list[tuple[str, Any]]:
        one._size = (1, 1, 1)  # as if it ran
        return list(one.score(find_images(photos).images, Item.load, sample_of=Item.known))

    return results  # type: ignore[return-value]


def test_actors_say_what_a_predictor_says(photos: Path, no_cluster: Any) -> None:
    expected = dict(Mean().score(find_images(photos).images, Item.load))
    for remote in (False, True):
        got = dict(no_cluster(scorer(remote=remote), photos))
        assert got.keys() == expected.keys()
        for name, result in got.items():
            if name == "bad.jpg":
                assert isinstance(result, ImageError)
                assert (result.code, str(result)) == (expected[name].code, str(expected[name]))
            else:
                assert isinstance(result, OfActor)
                assert result.prediction == expected[name].prediction


def test_another_model_or_an_unseen_folder_ends_the_job(photos: Path, no_cluster: Any) -> None:
    other = scorer()
    other._identity = "another"
    with pytest.raises(WorkzoneError, match="is not the one here: install the same version"):
        no_cluster(other, photos)
    with pytest.raises(WorkzoneError, match=r"/nowhere is not on the machine .*all machines"):
        no_cluster(scorer(folders=["/nowhere"]), photos)


def test_a_model_that_a_machine_cannot_load_ends_the_job(photos: Path, no_cluster: Any) -> None:
    here = scorer()
    here._choice = Unloadable()
    with pytest.raises(WorkzoneError, match=r"could not be loaded: ImportError on .*no libgomp"):
        no_cluster(here, photos)


class Unloadable:
    def load(self) -> Any:
        raise ImportError("no libgomp")


class Failing(Mean):
    def score(self, *arguments: Any, **options: Any) -> Any:
        raise WorkzoneError("the model gave no finite number")


def test_a_model_that_fails_ends_the_job(photos: Path, no_cluster: Any) -> None:
    with pytest.raises(WorkzoneError, match="no finite number"):
        no_cluster(scorer(Failing()), photos)


def test_what_is_lost_is_asked_again_and_what_comes_twice_is_taken_once(
    photos: Path, no_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A chunk whose actors die does not come out of Ray; an image that kills them never does."""
    sizes: list[int] = []

    def lossy(self: RayScorer, chunks: Any, *rest: Any) -> Any:
        sizes.append(max(map(len, chunks)))
        alive = [chunk for chunk in chunks if "03.png" not in dict(chunk)]
        for row in ray_in_this_process(self, alive, *rest):
            yield row
            yield row

    monkeypatch.setattr(RayScorer, "_rows", lossy)
    monkeypatch.setattr(on_ray, "_TURNS", 3)
    results = no_cluster(scorer(), photos)
    assert sizes == [4, 1, 1]  # in chunks first, then alone
    assert sorted(name for name, _ in results) == sorted(n for n, _ in find_images(photos).images)
    error = dict(results)["03.png"]
    assert isinstance(error, ImageError) and error.code == "worker-died"


def test_a_job_whose_driver_and_worker_are_killed(tmp_path: Path) -> None:
    """On a real Ray: the driver is killed in the middle, then a worker; each image comes once."""
    folder, output = tmp_path / "images", tmp_path / "scores"
    folder.mkdir()
    for number in range(160):
        blob_image(number, number % 2).save(folder / f"{number:03}.png")
    for number in range(3):
        (folder / f"bad-{number}.jpg").write_bytes(b"no image")
    paths = os.pathsep.join(sys.path)  # the stand-in's among them; workers inherit it
    environment = os.environ | {"PYTHONPATH": paths}
    command = [sys.executable, "-c", textwrap.dedent(JOB), str(folder), str(output)]
    first = subprocess.Popen(command, env=environment)
    held = _wait_for(output, 20, first)
    first.send_signal(signal.SIGKILL)
    first.wait()
    second = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)
    _wait_for(output, held + 12, second)
    workers = [p for p in psutil.process_iter() if _judges(p, below=second.pid)]
    assert workers
    workers[0].kill()
    said, _ = second.communicate(timeout=300)
    scored, quarantined, resumed = map(int, said.split()[-3:])
    assert (scored, quarantined) == (160, 3)
    assert held <= resumed < 160
    ids = pq.read_table(output, columns=["id"])["id"].to_pylist()
    assert sorted(ids) == [f"{number:03}.png" for number in range(160)]
    again = Mean()
    assert predict_many(again, folder, output).scored == 160
    assert again.judged == []


def _wait_for(output: Path, images: int, job: subprocess.Popen[Any]) -> int:
    """Until so many images are in the ledger or in parts; how many those are."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline and job.poll() is None:
        ledger = output / "_ledger.jsonl"
        held = len(ledger.read_bytes().splitlines()) - 1 if ledger.exists() else 0
        held += sum(pq.read_metadata(part).num_rows for part in output.glob("part-*.parquet"))
        if held >= images:
            return held
        time.sleep(0.05)
    raise AssertionError(f"never came to {images} images; exit code {job.poll()}")


def _judges(process: psutil.Process, *, below: int) -> bool:
    try:
        command = " ".join(process.cmdline())
        return "Judge" in command and "ray::" in command and below in _above(process)
    except psutil.Error:
        return False


def _above(process: psutil.Process) -> list[int]:
    return [parent.pid for parent in process.parents()]


class Odd(Mean):
    def score(self, *arguments: Any, **options: Any) -> Any:
        raise RuntimeError("out of memory on the device")


def test_any_fault_of_the_model_ends_the_job(photos: Path, no_cluster: Any) -> None:
    """Not the images are to blame: none of them is listed as bad."""
    with pytest.raises(WorkzoneError, match=r"RuntimeError on the machine .*out of memory on the"):
        no_cluster(scorer(Odd()), photos)


def test_where_every_process_dies_no_image_is_blamed(
    photos: Path, no_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(RayScorer, "_rows", lambda *_: iter(()))
    with pytest.raises(WorkzoneError, match="no process that judges came up"):
        no_cluster(scorer(), photos)


def test_the_last_image_that_kills_is_listed(
    photos: Path, no_cluster: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of nothing but images that end their processes each is to blame, as an actor comes up."""

    def deadly(self: RayScorer, chunks: Any, *rest: Any) -> Any:
        return ray_in_this_process(self, [chunk for chunk in chunks if not chunk], *rest)

    monkeypatch.setattr(RayScorer, "_rows", deadly)
    results = no_cluster(scorer(), photos)
    assert len(results) == 13
    assert {result.code for _, result in results} == {"worker-died"}


def test_folders_that_all_machines_must_see(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    items = [Item(ImageRef(f"{n}/0.jpg"), tmp_path) for n in range(3)] + [
        Item(ImageRef("all.tar", "0.jpg"), tmp_path),
        Item(ImageRef("s3://b/0.jpg"), tmp_path),
    ]
    expected = [str(tmp_path / name) for name in ("0", "1", "2", "all.tar")]
    assert on_ray.folders_to_see(items) == expected
    monkeypatch.setattr(on_ray, "_MOST_FOLDERS", 2)
    assert on_ray.folders_to_see(items) == [str(tmp_path)]
