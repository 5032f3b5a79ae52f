"""What a validator's client makes of miners that hang up, drip, or say what no miner says."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest

from workzone.subnet.keys import new_key
from workzone.subnet.wire.posting import NO_ANSWER, Answered, Poster

Line = Callable[[socket.socket], None]

HEAD = b"HTTP/1.1 200 OK\r\nbt_header_axon_status_code: 200\r\n"


def right(prediction: str = "0.25") -> bytes:
    body = f'{{"prediction": {prediction}}}'.encode()
    return HEAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


def read_one(line: socket.socket) -> bytes:
    """One request, or nothing where the client has hung up."""
    said = b""
    while part := line.recv(65536):
        said += part
        head, found, body = said.partition(b"\r\n\r\n")
        if found:
            length = next(v for v in head.lower().split(b"\r\n") if v.startswith(b"content-length"))
            if len(body) >= int(length.split(b":")[1]):
                break
    return said


@contextmanager
def miner(*lines: Line, seconds: float = 600.0) -> Iterator[tuple[Poster, list[bytes]]]:
    """A miner that treats its connections so, one after the other; its client, and what it read."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(30)  # where nobody comes, the test ends nevertheless

        def accept() -> None:
            for treat in lines:
                with contextlib.suppress(OSError), server.accept()[0] as line:
                    asked.append(read_one(line))
                    treat(line)

        thread = threading.Thread(target=accept)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        poster = Poster(url, new_key().ss58_address, new_key(), seconds=seconds)
        try:
            yield poster, asked
        finally:
            poster.close()
            thread.join()


def answers(line: socket.socket) -> None:
    line.sendall(right())


def hangs_up(line: socket.socket) -> None:
    """Without a word."""


def answers_then_hangs_up_when_asked(line: socket.socket) -> None:
    line.sendall(right())
    read_one(line)


@pytest.mark.parametrize("first", [answers, answers_then_hangs_up_when_asked])
def test_a_kept_connection_that_ended_is_no_refusal(first: Line) -> None:
    with miner(first, answers) as (poster, asked):
        assert [poster.ask(b"x").status for _ in range(2)] == [200, 200]
    nonces = {line for one in asked for line in one.split(b"\r\n") if b"nonce" in line}
    assert len(asked) == len(nonces) == 2  # signed anew: it is no replay


def test_a_miner_that_hangs_up_at_once_is_asked_once() -> None:
    with miner(hangs_up, answers) as (poster, asked):
        said = poster.ask(b"x")
        assert (said.status, said.prediction) == (0, NO_ANSWER) and said.message
        assert poster.ask(b"x").status == 200
    assert len(asked) == 2


@pytest.mark.parametrize(
    ("begin", "drop"),
    [
        (b"HTTP/1.1 200 OK\r\nX-Slow: ", b"a"),
        (HEAD + b"Content-Length: 1000000\r\n\r\n", b" "),
        (HEAD + b"Connection: close\r\n\r\n" + b'{"prediction": 0.5}', b" "),
        (HEAD + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
    ],
    ids=["headers", "body", "until-it-closes", "chunks"],
)
def test_an_answer_that_drips_has_no_more_time_than_others(begin: bytes, drop: bytes) -> None:
    def drips(line: socket.socket) -> None:
        line.sendall(begin)
        while not stop.wait(0.02):
            line.sendall(drop)

    stop = threading.Event()
    with miner(drips, seconds=0.3) as (poster, _):
        rescue = threading.Timer(30, stop.set)  # of a client that would wait for ever
        rescue.start()
        said = poster.ask(b"x")
        assert not stop.is_set()
        rescue.cancel()
    assert said.message == "no answer within 0.3 s"
    assert (said.status, said.prediction) == (0, NO_ANSWER)


def asked_for(body: bytes, status: str = "200 OK") -> Answered:
    def says(line: socket.socket) -> None:
        head = HEAD.replace(b"200 OK", status.encode())
        line.sendall(head + b"Content-Length: %d\r\n\r\n" % len(body) + body)

    with miner(says) as (poster, _):
        return poster.ask(b"x")


@pytest.mark.parametrize(
    "prediction",
    ["1" + "0" * 400, "-1" + "0" * 400, "1" * 5000, "1e999", "NaN", "null", '"1"', "[1]"],
    ids=lambda text: text[:5],
)
def test_what_is_no_number_is_a_refusal(prediction: str) -> None:
    said = asked_for(f'{{"prediction": {prediction}}}'.encode())
    assert (said.status, said.prediction, said.message) == (
        200,
        NO_ANSWER,
        "the answer holds no number",
    )


def test_bodies_and_words_that_would_end_a_run() -> None:
    assert asked_for(b"[" * 100_000).message == "the answer holds no number"
    refusal = json.dumps({"message": "\ud800\x1b[31m" + "a" * 10_000}).encode()
    said = asked_for(refusal, "403 Forbidden")
    assert (said.status, said.message[:10]) == (403, "  [31maaaa")
    assert said.message.isprintable() and len(said.message) == 500


def test_an_answer_without_end_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workzone.subnet.wire.posting._LONGEST_BODY", 1000)
    said = asked_for(right().partition(b"\r\n\r\n")[2].ljust(1001))
    assert (said.status, said.message) == (0, "the answer has more than 1,000 bytes")
