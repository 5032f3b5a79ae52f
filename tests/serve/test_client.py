"""The client writes what local scoring writes, asks again where that helps, and says why not."""

from __future__ import annotations

import csv
import dataclasses
import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from serving import Running, form, picture, running
from workzone.cli import app
from workzone.errors import BundleError, ImageError, UsageError, WorkzoneError
from workzone.run.images import Encoded
from workzone.run.predictor import Predictor
from workzone.serve.client import Client, ServerError
from workzone.serve.remote import RemotePredictor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "street"
    (place / "deep").mkdir(parents=True)
    for number in range(20):
        where = place / "deep" if number % 3 else place
        (where / f"{number:02} ä.jpg").write_bytes(picture(number, width=96 + number))
    (place / "broken.jpg").write_bytes(picture(1)[:300])
    (place / "nothing.png").write_bytes(b"")
    return place


def rows_of(file: Path) -> list[dict]:
    """Of a table in any of the three formats."""
    if file.suffix == ".parquet":
        return pq.read_table(file).to_pylist()
    with file.open(encoding="utf-8") as lines:
        return list(map(json.loads, lines) if file.suffix == ".jsonl" else csv.DictReader(lines))


def predict(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["predict", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.stdout + result.stderr


LOCAL = ("--engine", "onnx", "--size", "128")


def test_the_files_are_those_of_local_scoring(
    service: Running, folder: Path, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{service.port}"
    for suffix in ("csv", "jsonl", "parquet"):
        here, there = tmp_path / f"here.{suffix}", tmp_path / f"there.{suffix}"
        predict(folder, *LOCAL, "-o", here)
        predict(folder, "--server", url, "-o", there)
        rows, others = rows_of(here), rows_of(there)
        assert len(rows) == 20
        for row, other in zip(rows, others, strict=True):
            numbers = [float(values.pop("probability")) for values in (row, other)]
            assert numbers[0] == pytest.approx(numbers[1], abs=1e-5)
            assert row == other
        lists = [rows_of(Path(f"{file}.quarantine.csv")) for file in (here, there)]
        assert lists[0] == lists[1] and len(lists[0]) == 2


def test_overlays_are_those_of_local_scoring(
    service: Running, folder: Path, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{service.port}"
    picture_file = folder / "00 ä.jpg"
    here = predict(picture_file, *LOCAL, "--explain", tmp_path / "here", "--json")
    there = predict(picture_file, "--server", url, "--explain", tmp_path / "there", "--json")
    (one,), (two,) = (list((tmp_path / name).rglob("*.jpg")) for name in ("here", "there"))
    assert one.name == two.name and one.read_bytes() == two.read_bytes()
    mine, other = (
        next(json.loads(line) for line in said.splitlines() if line.startswith("{"))
        for said in (here, there)
    )
    assert mine == other


def test_a_job_goes_on_with_the_same_service(
    service: Running, folder: Path, tmp_path: Path
) -> None:
    url = f"http://127.0.0.1:{service.port}"
    output = tmp_path / "scores.csv"
    predict(folder, "--server", url, "-o", output)
    text = output.read_text()
    predict(folder, "--server", url, "-o", output)
    assert output.read_text() == text


def test_options_that_are_the_services_are_refused(service: Running, folder: Path) -> None:
    url = f"http://127.0.0.1:{service.port}"
    said = predict(folder, "--server", url, "--size", "128", "--share", "0.1", code=2)
    assert "--size, --share" in said


def test_no_service_and_no_address(folder: Path) -> None:
    with pytest.raises(UsageError, match="name an address"):
        Client("localhost:8080")
    with pytest.raises(UsageError, match="name an address"):
        Client("http://localhost:99999999")
    with pytest.raises(ServerError, match="does `workzone serve` run") as told:
        Client("http://127.0.0.1:9", tries=1).model()
    assert told.value.code == "unreachable" and isinstance(told.value, WorkzoneError)


def test_what_is_wrong_with_an_image_is_its_own_error(service: Running) -> None:
    client = Client(f"http://127.0.0.1:{service.port}")
    for data, code in (
        (picture(1)[:300], "unreadable"),
        (b"nothing", "unreadable"),
        (bytes(9_000_000), "too-large"),
        (picture(1, width=8, height=8), "too-small"),
    ):
        with pytest.raises(ImageError, match="a street") as told:
            client.predict(data, name="a street")
        assert told.value.code in (code, "truncated", "damaged")
    with pytest.raises(ServerError, match="did you mean 'weather'"):
        client.predict(picture(1), metadata={"wether": "rain"})


def test_tokens_are_sent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tokens").write_text("a-token-of-the-fleet\n")
    (tmp_path / "a.jpg").write_bytes(picture(1))
    with running(tokens=tmp_path / "tokens") as service:
        url = f"http://127.0.0.1:{service.port}"
        assert "bearer" in predict(tmp_path / "a.jpg", "--server", url, code=1).lower()
        monkeypatch.setenv("WORKZONE_TOKEN", "a-token-of-the-fleet")
        assert "a.jpg: " in predict(tmp_path / "a.jpg", "--server", url)


def test_many_threads_get_their_own_answers(service: Running, local: Predictor) -> None:
    client = Client(f"http://127.0.0.1:{service.port}")
    pictures = [picture(number, width=96 + number) for number in range(24)]
    with ThreadPoolExecutor(8) as threads:
        said = list(threads.map(client.predict, pictures))
    expected = [prediction.probability for prediction in local.predict(pictures)]
    assert [r.prediction.probability for r in said] == pytest.approx(expected, abs=1e-5)


@contextmanager
def scripted(*answers: tuple[int, dict[str, str], dict]) -> Iterator[tuple[str, list[str]]]:
    """A server that gives these answers in turn, then hangs up; its address, and what was asked."""
    asked: list[str] = []
    left = list(answers)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            asked.append(self.path)
            if not left:
                self.close_connection = True
                return
            status, headers, body = left.pop(0)
            text = json.dumps(body).encode()
            self.send_response(status)
            for name, value in ({"Content-Length": str(len(text))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


GOOD = {
    "id": "a", "probability": 0.25, "decision": "none", "view": 0, "view_weight": 1.0,
    "box": [0, 0, 1, 1], "inputs": "image", "engine": "onnx", "precision": "float32",
    "model": "one",
}  # fmt: skip


def test_it_asks_again_where_that_may_help(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr("workzone.serve.client.time.sleep", pauses.append)
    busy = (429, {"Retry-After": "3"}, {"code": "overloaded", "detail": "full"})
    with scripted(busy, DIED, (200, {}, GOOD)) as (url, asked):
        assert Client(url).predict(b"x", name="a b").prediction.probability == 0.25
    assert asked == ["/v1/predict?id=a%20b"] * 3
    assert len(pauses) == 2 and 2 < pauses[0] < 4
    with scripted((200, {}, GOOD)) as (url, asked):
        client = Client(url, tries=3)
        client.predict(b"x")
        with pytest.raises(ServerError, match="does not answer"):
            client.predict(b"x")  # the server hangs up
    assert len(asked) == 4
    with scripted(*[busy] * 2) as (url, asked), pytest.raises(ServerError, match="full") as told:
        Client(url, tries=2).predict(b"x")
    assert told.value.code == "overloaded"


BUSY = (429, {}, {"code": "overloaded", "detail": "full"})
DIED = (503, {}, {"code": "worker-died", "detail": "gone"})
ABOUT = {"identity": "one", "engine": "onnx", "precision": "float32", "takes_metadata": False}


def test_an_image_that_workers_die_of_is_left_out_and_the_job_goes_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workzone.serve.client.time.sleep", lambda _: None)
    with scripted(DIED, BUSY, DIED, BUSY, DIED, (200, {}, GOOD)) as (url, asked):
        client = Client(url)
        client.model = lambda: ABOUT  # type: ignore[method-assign]
        inputs = [(name, Encoded(b"x", name)) for name in ("poison", "street")]
        results = list(RemotePredictor(client, concurrent=1).score(inputs, lambda file: file))
    (_, bad), (_, good) = results
    assert isinstance(bad, ImageError) and bad.code == "worker-died"
    assert str(bad) == "poison: 3 workers of the service ended over it, one at each try"
    assert not isinstance(good, ImageError) and good.prediction.probability == 0.25
    assert len(asked) == 6
    with scripted(DIED, DIED, *[BUSY] * 5, (200, {}, GOOD)) as (url, asked):
        assert Client(url).predict(b"x").prediction.probability == 0.25
    assert len(asked) == 8  # overload is waited for


def test_a_model_that_fails_is_no_fault_of_the_image() -> None:
    """The error is that of scoring here."""
    said = "a.jpg: the model gave a probability that is not a finite number"
    failed = (500, {}, {"code": "model-failed", "detail": said})
    with scripted(failed) as (url, asked), pytest.raises(BundleError) as told:
        Client(url).predict(b"x", name="a.jpg")
    assert str(told.value) == said and len(asked) == 1


def test_long_metadata_are_sent(service: Running) -> None:
    client = Client(f"http://127.0.0.1:{service.port}")
    said = client.predict(picture(1), name="a b", metadata={"text": "\u5de5" * 9_000})
    assert said.prediction == client.predict(picture(1), name="a b").prediction


def test_answers_of_another_model_are_no_part_of_a_job() -> None:
    with scripted((200, {}, GOOD), (200, {}, GOOD | {"model": "two"})) as (url, _):
        client = Client(url)
        client.model = lambda: ABOUT  # type: ignore[method-assign]
        service = RemotePredictor(client, concurrent=1)
        inputs = [(name, Encoded(b"x", name)) for name in ("a", "b", "c")]
        results = service.score(inputs, lambda file: file)
        assert next(results)[0] == "a"
        with pytest.raises(ServerError, match="the model two, it began with one"):
            list(results)


def test_a_long_path_and_a_token_with_a_line_end_are_sent_as_they_can_be() -> None:
    with scripted((200, {}, GOOD)) as (url, asked):
        Client(url, token="of-the-fleet\n").predict(b"x", name="a" * 1500)
    assert asked == ["/v1/predict?id=" + "a" * 1000]
    with pytest.raises(UsageError, match="no header may hold"):
        Client("http://localhost:8080", token="two\nlines")


def test_it_does_not_ask_again_in_vain() -> None:
    refused = (401, {}, {"code": "unauthorised", "detail": "no token"})
    with scripted(refused, (200, {}, GOOD)) as (url, asked):
        with pytest.raises(ServerError, match="no token"):
            Client(url).predict(b"x")
        assert len(asked) == 1
    broken = (500, {}, {})
    with scripted(broken) as (url, _), pytest.raises(ServerError, match="status 500"):
        Client(url).predict(b"x")


def test_a_prediction_passes_the_wire_unchanged(service: Running) -> None:
    client = Client(f"http://127.0.0.1:{service.port}")
    data = picture(3)
    body, headers = form(("image", data))
    said = service.ask("POST", "/v1/predict", body, headers).json
    prediction = dataclasses.asdict(client.predict(data).prediction)
    assert {**prediction, "box": list(prediction["box"])}.items() <= said.items()
