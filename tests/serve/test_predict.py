"""Every way to send an image gives the answer that `predict` gives; all else gets a problem."""

from __future__ import annotations

import base64
import http.client
import io
import json
import math
from dataclasses import asdict

import pytest
from PIL import Image

from serving import Running, form, picture
from workzone.run.predictor import Predictor
from workzone.serve import schema
from workzone.serve.problems import TITLES


def in_json(data: bytes, **more: object) -> bytes:
    return json.dumps({"image": base64.b64encode(data).decode(), **more}).encode()


JSON = {"Content-Type": "application/json"}


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "BMP"])
def test_raw_form_and_json_give_what_predict_gives(
    service: Running, local: Predictor, kind: str
) -> None:
    data = picture(3, kind, width=200, height=120)
    (expected,) = local.predict(data)
    body, headers = form(("street", data))
    answers = [
        service.predict(data, "?id=street", **{"Content-Type": f"image/{kind.lower()}"}),
        service.ask("POST", "/v1/predict", body, headers),
        service.ask("POST", "/v1/predict", in_json(data, id="street"), JSON),
        service.ask("POST", "/v1/predict", in_json(data, id="street", explain=False), JSON),
    ]
    for answer in answers:
        assert answer.status == 200, answer.body
        schema.Answer.model_validate(answer.json)
        for name, value in asdict(expected).items():
            if name == "probability":
                assert answer.json[name] == pytest.approx(value, abs=1e-5)
            elif name != "id":
                assert answer.json[name] == pytest.approx(value, abs=1e-5), name
        assert answer.json["id"] == "street"


def test_neighbours_in_a_batch_change_nothing(service: Running, local: Predictor) -> None:
    pictures = [picture(number, width=96 + 8 * number) for number in range(6)]
    alone = [service.predict(data).json["probability"] for data in pictures]
    body, headers = form(*((f"{n}.jpg", data) for n, data in enumerate(pictures)))
    said = service.ask("POST", "/v1/predict/batch", body, headers)
    schema.BatchAnswer.model_validate(said.json)
    together = [item["answer"]["probability"] for item in said.json["results"]]
    assert together == pytest.approx(alone, abs=1e-5)
    expected = [prediction.probability for prediction in local.predict(pictures)]
    assert together == pytest.approx(expected, abs=1e-5)
    assert [item["id"] for item in said.json["results"]] == [f"{n}.jpg" for n in range(6)]


def test_a_batch_tells_what_is_wrong_image_by_image(service: Running) -> None:
    good = picture(1)
    body, headers = form(("a", good), ("b", b"nothing"), ("c", good[:200]), ("d", good))
    said = service.ask("POST", "/v1/predict/batch", body, headers)
    schema.BatchAnswer.model_validate(said.json)
    told = [item.get("problem", {}).get("code") for item in said.json["results"]]
    assert told == [None, "unsupported-format", "image-unusable", None]
    images = [{"image": "?"}, {"image": base64.b64encode(good).decode(), "id": "good"}, 5]
    said = service.ask("POST", "/v1/predict/batch", json.dumps({"images": images}).encode(), JSON)
    told = [item.get("problem", {}).get("code") for item in said.json["results"]]
    assert told == ["bad-request", None, "bad-request"]


def test_explain_gives_an_overlay_and_a_layer(service: Running, local: Predictor) -> None:
    data = picture(11, width=200, height=120)
    explanation = service.predict(data, "?explain=true").json["explanation"]
    overlay, layer = (
        Image.open(io.BytesIO(base64.b64decode(explanation[name]["data"])))
        for name in ("overlay", "layer")
    )
    _, expected = local.explain(data)
    assert overlay.format == "JPEG" and overlay.size == expected.size
    assert layer.mode == "RGBA" and layer.getextrema()[3] == (0, 255)
    assert layer.width / layer.height == pytest.approx(200 / 120, rel=0.01)


def test_unsure_says_why_and_changes_no_neighbour(service: Running) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (200, 120)).save(buffer, "JPEG")
    black, street = buffer.getvalue(), picture(11, width=200, height=120)
    plain = service.predict(black).json
    doubted = service.predict(black, "?unsure=true").json
    schema.Answer.model_validate(doubted)
    assert plain["decision"] in ("roadwork", "none") and plain["reason"] == ""
    assert doubted["decision"] == "unsure" and "black" in doubted["reason"]
    assert doubted["probability"] == pytest.approx(plain["probability"], abs=1e-5)
    images = [
        {"image": base64.b64encode(data).decode(), "unsure": unsure}
        for data, unsure in ((black, True), (street, False), (black, False))
    ]
    said = service.ask("POST", "/v1/predict/batch", json.dumps({"images": images}).encode(), JSON)
    decisions = [item["answer"]["decision"] for item in said.json["results"]]
    assert decisions == ["unsure", service.predict(street).json["decision"], plain["decision"]]


METADATA = '?metadata={"latitude":40.4,"weather":"rain","text":null}'


def test_metadata_is_taken_from_query_form_and_json(service: Running) -> None:
    data = picture(1)
    for said in (
        service.predict(data, METADATA.replace('"', "%22")),
        service.ask("POST", "/v1/predict", *form(("a", data), metadata='{"weather": "rain"}')),
        service.ask("POST", "/v1/predict", in_json(data, metadata={"weather": "rain"}), JSON),
    ):
        assert said.status == 200 and said.json["inputs"] == "image"  # this model takes none


def damaged(data: bytes) -> bytes:
    return data[: len(data) // 2]


@pytest.mark.parametrize(
    ("body", "headers", "query", "status", "code", "told"),
    [
        (b"", {}, "", 422, "image-unusable", "zero bytes"),
        (b"GIF89a" + bytes(20), {}, "", 415, "unsupported-format", "JPEG, PNG, WebP or BMP"),
        (picture(1, "PNG")[:20], {}, "", 422, "image-unusable", "damaged or cut off"),
        (damaged(picture(1)), {}, "", 422, "image-unusable", "fetch it again"),
        (picture(1, width=8, height=8), {}, "", 422, "image-unusable", "at least 16"),
        (picture(1), {"Content-Type": "image/gif"}, "", 415, "unsupported-type", "image/gif"),
        (picture(1), {"Content-Encoding": "gzip"}, "", 415, "unsupported-encoding", "gzip"),
        (picture(1), {}, "?explan=1", 422, "option", "did you mean 'explain'"),
        (picture(1), {}, "?explain=perhaps", 422, "option", "true or false"),
        (picture(1), {}, "?masks=1", 422, "option", "the loaded model gives none"),
        (picture(1), {}, "?unsure=perhaps", 422, "option", "true or false"),
        (picture(1), {}, "?metadata=%7B%22wether%22%3A1%7D", 422, "metadata", "'weather'"),
        (picture(1), {}, "?metadata=%5B%5D", 422, "metadata", "list"),
        (picture(1), {}, "?metadata=%7B%22latitude%22%3A1e999%7D", 400, "bad-request", "1e999"),
        (
            picture(1),
            {},
            f"?metadata=%7B%22latitude%22%3A{'9' * 400}%7D",
            422,
            "metadata",
            "finite",
        ),
        (picture(1), {}, "?metadata=%7B", 400, "bad-request", "no JSON"),
        (picture(1), {}, f"?metadata={'x' * 16_000}", 414, "query-too-long", "field of a form"),
        (picture(1), {"X-Deadline-Ms": "soon"}, "", 422, "option", "milliseconds"),
        (b"{", JSON, "", 400, "bad-request", "no JSON"),
        (b"[" * 100_000, JSON, "", 400, "bad-request", "no JSON"),
        (b'{"image": NaN}', JSON, "", 400, "bad-request", "NaN"),
        (b'{"image": "", "id": 1e999}', JSON, "", 400, "bad-request", "no finite number"),
        (b"[]", JSON, "", 400, "bad-request", "base64"),
        (b'{"image": "http://example.org/a.jpg"}', JSON, "", 400, "bad-request", "no address"),
        (b"x", {"Content-Type": "multipart/form-data"}, "", 400, "bad-request", "boundary"),
        (*form(), "", 400, "bad-request", "no file"),
        (*form(("a", b"1"), ("b", b"2")), "", 400, "bad-request", "Too many files"),
    ],
    ids=lambda value: str(value)[:24] if isinstance(value, str | int) else "",
)
def test_what_is_wrong_is_told(
    service: Running, body: bytes, headers: dict, query: str, status: int, code: str, told: str
) -> None:
    said = service.predict(body, query, **headers)
    assert (said.status, said.code) == (status, code), said.body
    assert said.headers["Content-Type"] == "application/problem+json"
    schema.ProblemDocument.model_validate(said.json)
    assert told in said.json["detail"]
    assert said.json["request_id"] == said.headers["X-Request-ID"]


def test_a_batch_that_is_wrong_as_a_whole(service: Running) -> None:
    many = form(*((f"{n}", b"x") for n in range(33)))
    for body, headers, told in (
        (*form(), "no file"),
        (*many, "Too many files"),
        (b'{"images": []}', JSON, "0 images"),
        (b'{"images": [' + b"0," * 33 + b"0]}", JSON, "34 images: send 1 to 32"),
        (b'{"images": [' + b"[]," * 500_001 + b"0]}", JSON, "more than 1,000,000 values"),
        (b'{"image": ""}', JSON, "images"),
        (picture(1), {"Content-Type": "image/jpeg"}, "multipart/form-data"),
        (*form(("a", b"x"), metadata="[]"), "one mapping or null for each"),
    ):
        said = service.ask("POST", "/v1/predict/batch", body, headers)
        assert said.status in (400, 415, 422) and told in said.json["detail"], said.body


def test_the_model_tells_of_itself(service: Running, local: Predictor) -> None:
    about = service.ask("GET", "/v1/model").json
    schema.About.model_validate(about)
    assert about["identity"] == local.identity()
    assert (about["engine"], about["precision"]) == ("onnx", "float32")
    assert about["calibration"] == json.loads(json.dumps(asdict(local.description.calibration)))
    assert about["card"].startswith("# The default model")
    assert about["options"] == ["explain", "unsure"] and about["limits"]["queue"] == 64


def test_the_description_has_examples_that_run(service: Running) -> None:
    api = service.ask("GET", "/openapi.json").json
    ran = 0
    for path, methods in api["paths"].items():
        for method, operation in methods.items():
            contents = operation.get("requestBody", {}).get("content", {})
            examples = [c["example"] for c in contents.values() if "example" in c]
            for example in examples or [None]:
                body = None if example is None else json.dumps(example).encode()
                said = service.ask(method.upper(), path, body, JSON if body else {})
                assert said.status == 200, (path, said.body)
                ran += 1
    assert ran == 6
    codes = {str(status) for status, _ in TITLES.values()} - {"404", "405"}
    assert codes <= set(api["paths"]["/v1/predict"]["post"]["responses"])


def test_health_headers_and_unknown_addresses(service: Running) -> None:
    assert service.ask("GET", "/livez").json == {"status": "live"}
    assert service.ask("GET", "/readyz").json == {"status": "ready", "workers": 1, "wanted": 1}
    lost = service.ask("GET", "/v2/predict", headers={"X-Request-ID": "mine-1"})
    assert (lost.status, lost.code, lost.json["request_id"]) == (404, "not-found", "mine-1")
    wrong = service.ask("GET", "/v1/predict", headers={"X-Request-ID": "no\tgood"})
    assert (wrong.status, wrong.code) == (405, "method-not-allowed")
    assert wrong.headers["X-Request-ID"] != "no\tgood"
    for said in (lost, wrong):
        assert said.headers["X-Content-Type-Options"] == "nosniff"
        assert said.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "Access-Control-Allow-Origin" not in said.headers and "Server" not in said.headers


@pytest.mark.parametrize("path", ["/livez", "/v1/model", "/", "/nowhere", "/v1/predict"])
def test_head_is_get_without_the_body(service: Running, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=600)
    found = []
    for method in ("HEAD", "GET", "HEAD"):  # on one connection, which a body would spoil
        connection.request(method, path)
        answer = connection.getresponse()
        body = answer.read()
        assert bool(body) == (method == "GET")
        found.append((answer.status, answer.headers["Content-Length"]))
    connection.close()
    assert found[0] == found[1] == found[2]


def test_what_happened_is_counted(service: Running) -> None:
    def counted() -> dict[str, float]:
        lines = service.ask("GET", "/metrics").body.decode().splitlines()
        pairs = (line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
        return {name: float(value) for name, value in pairs}

    before = counted()
    service.predict(picture(1))
    service.predict(b"nothing")
    after = counted()
    ok = 'workzone_requests_total{outcome="ok",route="/v1/predict",status="200"}'
    bad = 'workzone_requests_total{outcome="unsupported-format",route="/v1/predict",status="415"}'
    assert after[ok] - before.get(ok, 0) == after[bad] - before.get(bad, 0) == 1
    batches = "workzone_batch_size_count"
    assert after[batches] - before[batches] == 1
    assert after["workzone_workers_alive"] == 1 and after["workzone_held_bytes"] == 0
    assert all(math.isfinite(value) for value in after.values())
    assert sum("workzone_model_info" in name and "onnx" in name for name in after) == 1
