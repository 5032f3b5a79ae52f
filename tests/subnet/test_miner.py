"""The miner over real HTTP, asked on both wires: right answers, and the right refusals."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import io
import json
import math
import socket
import threading
import time
from pathlib import Path

import pytest
from PIL import Image

from mining import OPEN, Mining, as_json, at_once, in_base64, mining
from serving import picture
from workzone.run.model_choice import ModelChoice
from workzone.run.predictor import load
from workzone.subnet.keys import new_key
from workzone.subnet.miner import SQUARE_SIZE, miner_model
from workzone.subnet.wire.asking import WIRES, Asked, synapse
from workzone.subnet.wire.claim import SECOND
from workzone.subnet.wire.posting import NO_ANSWER

BOTH = pytest.mark.parametrize("wire", WIRES)


def changed(asked: Asked, **headers: str | None) -> Asked:
    """A request with other headers; None: without."""
    kept = {k: v for k, v in asked.headers.items() if k not in headers}
    new = {k: v for k, v in headers.items() if v is not None}
    return dataclasses.replace(asked, headers=kept | new)


@BOTH
def test_a_challenge_is_answered_as_predict_does(miner: Mining, wire: str) -> None:
    said = miner.ask(synapse(picture(3)), wire=wire)
    assert said.status == 200, said.body
    predictor = load(engine="onnx")
    predictor = predictor.described(predictor.description.with_view_size(128))
    assert said.json["prediction"] == predictor.predict(picture(3))[0].probability
    assert said.json["image"] == in_base64(picture(3))  # the fields come back as they went


def test_a_dendrite_finds_what_it_reads_in_the_headers(miner: Mining) -> None:
    headers = miner.ask().headers
    assert headers["bt_header_axon_status_code"] == "200"
    assert headers["bt_header_axon_status_message"] == "Success"
    assert 0 < float(headers["bt_header_axon_process_time"]) < 600
    assert not [name for name in miner.ask(wire="btauth/1").headers if name.startswith("bt_")]


def test_the_extended_synapse_has_the_models_address(miner: Mining) -> None:
    said = miner.ask(synapse(picture(1), model_url=""), target="/ExtendedImageSynapse").json
    assert said["model_url"] == "https://example.org/m"
    assert ("explanation" in said) == (said["prediction"] > 0.5)
    assert "model_url" not in miner.ask().json


@BOTH
@pytest.mark.parametrize(
    ("how", "status", "message"),
    [
        ({"receiver": "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY"}, 401, "another hotkey"),
        ({"nonce": time.time_ns() - 3600 * SECOND}, 401, "s old"),
        ({"nonce": time.time_ns() + 3600 * SECOND}, 401, "s ahead"),
        ({"signer": None}, 403, "not known"),
    ],
)
def test_callers_that_are_refused(miner: Mining, wire: str, how, status, message) -> None:
    if "signer" in how:
        how = {"signer": new_key()}
    said = miner.ask(wire=wire, **how)
    assert (said.status, list(said.json)) == (status, ["message"])
    assert message in said.json["message"]
    if wire == "legacy":
        assert said.headers["bt_header_axon_status_code"] == str(status)
        assert said.headers["bt_header_axon_status_message"] == said.json["message"]


@BOTH
def test_a_signature_by_another_key_is_refused(miner: Mining, wire: str) -> None:
    right, wrong = miner.signed(wire=wire), miner.signed(wire=wire, signer=new_key())
    name = "X-Bittensor-Signature" if wire == "btauth/1" else "bt_header_dendrite_signature"
    said = miner.post(changed(right, **{name: wrong.headers[name]}))
    assert (said.status, said.json["message"].split()[:2]) == (401, ["the", "signature"])


@BOTH
def test_a_replay_is_refused_and_another_nonce_is_not(miner: Mining, wire: str) -> None:
    asked = miner.signed(wire=wire)
    assert [miner.post(asked).status for _ in range(3)] == [200, 401, 401]
    assert miner.ask(wire=wire).status == 200


def test_of_the_same_request_sent_at_once_one_is_answered(miner: Mining) -> None:
    asked = miner.signed()
    statuses = at_once(8, lambda _: miner.post(asked).status)
    assert sorted(statuses) == [200] + [401] * 7


LEGACY = ("hotkey", "nonce", "uuid", "signature")
BTAUTH = ("Version", "Hotkey", "Receiver", "Nonce", "Signature")


@pytest.mark.parametrize(
    ("wire", "name"),
    [("legacy", f"bt_header_dendrite_{name}") for name in LEGACY]
    + [("btauth/1", f"X-Bittensor-{name}") for name in BTAUTH],
)
def test_headers_that_are_missing_or_strange(miner: Mining, wire: str, name: str) -> None:
    for value in (None, "", "\xff\xfe", "0", "-1", "9" * 400):
        said = miner.post(changed(miner.signed(wire=wire), **{name: value}))
        assert said.status in (401, 403), (name, value)
        assert said.json["message"].isprintable()


def test_no_headers_at_all(miner: Mining) -> None:
    assert miner.post(Asked("/ImageSynapse", {}, b"{}")).status == 401


def test_btauth_signs_the_body_and_the_target(miner: Mining) -> None:
    asked = miner.signed(wire="btauth/1")
    assert miner.post(dataclasses.replace(asked, body=asked.body + b" ")).status == 401
    assert miner.post(dataclasses.replace(asked, target="/ImageSynapse?a=1")).status == 401
    assert miner.post(dataclasses.replace(asked, target="/ExtendedImageSynapse")).status == 401
    assert miner.ask(wire="btauth/1", target="/ImageSynapse?a=%20b").status == 200


def test_the_legacy_body_hash_is_compared_with_the_body(miner: Mining) -> None:
    hashed = miner.signed(hashed=("image",))
    other = dataclasses.replace(hashed, body=as_json(synapse(picture(2))))
    said = miner.post(other)
    assert (said.status, "hashed" in said.json["message"]) == (401, True)
    assert miner.post(hashed).status == 200  # which the changed one has not used up
    assert miner.ask(hashed=("testnet_label", "image", "prediction")).status == 200
    for value in ("", "0" * 64, hashed.headers["computed_body_hash"]):
        changed_hash = changed(miner.signed(), computed_body_hash=value)
        assert miner.post(changed_hash).status == 401  # it is signed


def test_the_legacy_hash_of_nothing_covers_no_image(miner: Mining) -> None:
    """The subnet's own classes hash no field: such a request's image can be changed unseen."""
    asked = dataclasses.replace(miner.signed(), body=as_json(synapse(picture(2))))
    assert miner.post(asked).status == 200


def test_a_long_time_to_wait_does_not_make_old_nonces_fresh(miner: Mining) -> None:
    old = time.time_ns() - 60 * SECOND
    assert miner.ask(nonce=old, seconds=1e9).status == 401
    for text in ("nan", "inf", "-1", "soon"):
        assert miner.post(changed(miner.signed(nonce=old), timeout=text)).status == 401


def animated(kind: str) -> bytes:
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue", "green")]
    buffer = io.BytesIO()
    frames[0].save(buffer, kind, save_all=True, append_images=frames[1:])
    return buffer.getvalue()


def sized(side: int, kind: str = "JPEG") -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (side, side)).save(buffer, kind)
    return buffer.getvalue()


@BOTH
@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"no json", 422),
        (b'{"image": NaN}', 422),
        (b"[]", 422),
        (b"{}", 422),
        (as_json({"image": 5}), 422),
        (as_json({"image": "no base64!"}), 422),
        (as_json({"image": ""}), 422),
        (as_json({"image": in_base64(b"no image")}), 422),
        (as_json({"image": in_base64(sized(1))}), 422),
        (as_json({"image": in_base64(picture(1)[:300])}), 422),
        (as_json({"image": in_base64(animated("GIF"))}), 422),
        (as_json({"image": in_base64(animated("PNG"))}), 422),
        (as_json({"image": in_base64(animated("WEBP"))}), 422),
        (as_json({"image": in_base64(sized(2100, "PNG"))}), 422),
        (as_json({"image": "A" * 9_000_000}), 413),
        (as_json({"image": in_base64(sized(224, "PNG"))}), 200),
    ],
    ids=lambda value: str(value)[:20],
)
def test_bodies(miner: Mining, wire: str, body: bytes, status: int) -> None:
    limited = dataclasses.replace(miner.signed(body, wire=wire))
    said = miner.post(limited)
    assert said.status == status, said.body[:300]
    if status != 200:
        assert list(said.json) == ["message"]


@BOTH
@pytest.mark.parametrize("number", ["1e999", "-1e999", "1" * 400 + ".0"])
def test_numbers_that_no_float_can_hold(miner: Mining, wire: str, number: str) -> None:
    right = as_json(synapse(picture(1), prediction=0))
    for field in ("prediction", "testnet_label", "dendrite"):
        body = right[:-1] + f', "{field}": {{"timeout": {number}}}}}'.encode()
        said = miner.post(miner.signed(body, wire=wire))
        assert (said.status, list(said.json)) == (422, ["message"])
        assert "no finite number" in said.json["message"]


def test_what_comes_back_is_json_that_everybody_reads(miner: Mining) -> None:
    odd = synapse(picture(1), dendrite={"a": 1, "b": None}, axon={"c": []}, deep=[[1]])
    said = miner.ask(odd).json
    assert said["dendrite"] == {"a": 1, "b": None}
    assert "axon" not in said and "deep" not in said
    assert math.isfinite(said["prediction"])


def test_http_1_0_and_connections_that_stay(miner: Mining) -> None:
    asked = miner.signed()
    lines = [f"POST {asked.target} HTTP/1.0", f"Content-Length: {len(asked.body)}"]
    lines += [f"{name}: {value}" for name, value in asked.headers.items()]
    raw = miner.running.send("\r\n".join([*lines, "", ""]).encode() + asked.body)
    assert raw.split(b"\r\n")[0].split()[1] == b"200"
    connection = http.client.HTTPConnection("127.0.0.1", miner.running.port, timeout=600)
    with contextlib.closing(connection):
        ports = set()
        for _ in range(3):
            again = miner.signed()
            connection.request("POST", again.target, again.body, again.headers)
            answer = connection.getresponse()
            assert (answer.status, bool(json.loads(answer.read())["prediction"] >= 0)) == (
                200,
                True,
            )
            assert isinstance(connection.sock, socket.socket)
            ports.add(connection.sock.getsockname()[1])
    assert len(ports) == 1


def test_other_addresses_are_closed(miner: Mining) -> None:
    for method, path in (("POST", "/v1/predict"), ("GET", "/metrics"), ("GET", "/v1/model")):
        assert miner.running.ask(method, path).status == 404
    assert miner.running.ask("GET", "/ImageSynapse").status == 405
    for path in ("/openapi.json", "/docs", "/redoc", "/"):
        said = miner.running.ask("GET", path)
        assert said.status == 404 and "see /" not in said.json["detail"]
    assert miner.running.ask("GET", "/livez").status == 200
    assert miner.running.ask("GET", "/readyz").status == 200


def test_with_tokens_the_service_is_there_too(tmp_path: Path) -> None:
    tokens = tmp_path / "tokens.txt"
    tokens.write_text("a-token-of-some-length\n")
    with mining(tmp_path, tokens=tokens) as found:
        assert found.ask().status == 200
        assert found.running.ask("GET", "/metrics").status == 401
        right = {"Authorization": "Bearer a-token-of-some-length"}
        text = found.running.ask("GET", "/metrics", headers=right).body.decode()
        assert 'route="/ImageSynapse",status="200"' in text


@BOTH
def test_past_the_deadline_the_answer_is_the_one_that_costs_nothing(
    tmp_path: Path, wire: str
) -> None:
    with mining(tmp_path, deadline_seconds=1.0) as found, found.running.halted():
        said = found.ask(wire=wire)
    assert (said.status, said.json["prediction"]) == (200, NO_ANSWER)


def test_a_caller_that_waits_less_has_its_answer_before(tmp_path: Path) -> None:
    with mining(tmp_path) as found, found.running.halted():
        assert found.ask(seconds=0.5).json["prediction"] == NO_ANSWER


def test_a_slow_body_is_cut_off(tmp_path: Path) -> None:
    with mining(tmp_path, body_seconds=0.5) as found:
        asked = found.signed()
        raw = found.running.send(lines_of(asked, len(asked.body)) + asked.body[:100])
    assert raw.split(b"\r\n")[0].split()[1] == b"408"
    assert b"bt_header_axon_status_code: 408" in raw


def lines_of(asked: Asked, length: int, **more: str) -> bytes:
    """The head of a request, as it goes over the wire."""
    head = [f"POST {asked.target} HTTP/1.1", "Host: a", f"Content-Length: {length}"]
    head += [f"{name}: {value}" for name, value in (asked.headers | more).items()]
    return "\r\n".join([*head, "", ""]).encode()


def test_strangers_are_not_listened_to(miner: Mining) -> None:
    """Neither is their body asked for, nor is all of a long one taken."""
    stranger = miner.signed(signer=new_key())
    waiting = miner.running.send(lines_of(stranger, 1_000_000, Expect="100-continue"))
    talking = miner.running.send(lines_of(stranger, 10_000_000) + bytes(300_000))
    for raw in (waiting, talking):
        head = raw.partition(b"\r\n\r\n")[0].lower().split(b"\r\n")
        assert head[0].split()[1] == b"403" and b"connection: close" in head
    known = miner.signed()
    raw = miner.running.send(lines_of(known, 9_000_000, Expect="100-continue"))
    assert raw.split(b"\r\n")[0].split()[1] == b"413"


def test_a_refusal_leaves_the_connection_open(miner: Mining) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", miner.running.port, timeout=600)
    with contextlib.closing(connection):
        ports = []
        forged = dataclasses.replace(miner.signed(wire="btauth/1"), body=b"other")
        for asked in (miner.signed(signer=new_key()), forged, miner.signed()):
            connection.request("POST", asked.target, asked.body, asked.headers)
            answer = connection.getresponse()
            answer.read()
            ports.append((answer.status, connection.sock and connection.sock.getsockname()[1]))
    assert [status for status, _ in ports] == [403, 401, 200]
    assert len({port for _, port in ports}) == 1


def test_unproven_bodies_have_half_of_the_memory(tmp_path: Path) -> None:
    length = len(miner_body := as_json(synapse(picture(1))))
    with mining(tmp_path, held_bytes=4 * length) as found:
        held = found.running.service._held
        address = ("127.0.0.1", found.running.port)
        with socket.create_connection(address) as stranger:  # who names a caller, and signs nothing
            stranger.sendall(lines_of(found.signed(), 10 * length) + bytes(length * 3 // 2))
            found.running.until(lambda: held.bytes == length * 3 // 2)
            assert found.ask(miner_body).status == 429
        found.running.until(lambda: held.bytes == 0)
        with found.running.halted():  # what is proven counts with all others
            asked = [threading.Thread(target=found.ask, args=(miner_body,)) for _ in range(3)]
            for one in asked:
                one.start()
            found.running.until(lambda: held.bytes == 3 * length)
        for one in asked:
            one.join()
        assert found.running.service._unproven.bytes == held.bytes == 0


def test_a_caller_spends_its_own_share_alone(tmp_path: Path) -> None:
    rates = dataclasses.replace(OPEN, per_second=1e-6, burst=3)
    with mining(tmp_path, rates=rates) as found:
        replayed = found.signed()
        assert found.post(replayed).status == 200
        # Neither replays nor what others sign in its name count.
        forged = changed(found.signed(), bt_header_dendrite_signature="0x" + "00" * 64)
        assert {found.post(one).status for one in (replayed, forged) * 5} == {401}
        said = [found.ask() for _ in range(3)]
    assert [one.status for one in said] == [200, 200, 429]
    assert int(said[-1].headers["Retry-After"]) >= 1


def test_after_a_restart_no_replay_is_accepted(tmp_path: Path) -> None:
    with mining(tmp_path) as found:
        asked = found.signed(nonce=time.time_ns() + 12 * SECOND)  # fresh for a while
        assert found.post(asked).status == 200
    with mining(tmp_path, validator=found.validator, hotkey=found.hotkey) as again:
        said = again.post(asked)
        assert (said.status, "accepted before" in said.json["message"]) == (401, True)
        assert again.ask().status == 200


def test_the_default_model_sees_squares_at_a_size_of_their_own() -> None:
    assert miner_model(ModelChoice()).size == SQUARE_SIZE
    assert miner_model(ModelChoice(size=768)).size == 768
    assert miner_model(ModelChoice(model="mine")).size is None
