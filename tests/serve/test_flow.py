"""Limits, deadlines, refusals, slow and vanishing clients, dying workers, the drain."""

from __future__ import annotations

import json
import logging
import os
import signal
import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from serving import Running, Said, form, picture, running
from workzone.errors import UsageError
from workzone.run.model_choice import ModelChoice
from workzone.serve import workers
from workzone.serve.config import Limits, ServeConfig
from workzone.serve.gate import JsonLines, log_json
from workzone.serve.server import HEADER_BYTES, make_server


def chunked(data: bytes, step: int = 1000) -> bytes:
    parts = [data[start : start + step] for start in range(0, len(data), step)]
    body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    return (
        b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
        b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n" + body
    )


def status_of(said: bytes) -> int:
    return int(said.split(b" ", 2)[1])


def test_bodies_are_counted_while_they_come() -> None:
    data = picture(1)
    with running(body_bytes=len(data) + 10, batch_bytes=3 * len(data)) as service:
        assert status_of(service.send(chunked(data))) == 200
        assert status_of(service.send(chunked(data + bytes(11)))) == 413
        said = service.predict(data + bytes(11))
        assert (said.status, said.code, said.json["limit"]) == (
            413,
            "body-too-large",
            len(data) + 10,
        )
        body, headers = form(("a", data), ("b", data + bytes(20)))
        items = service.ask("POST", "/v1/predict/batch", body, headers).json["results"]
        assert "answer" in items[0] and items[1]["problem"]["code"] == "body-too-large"
        body, headers = form(*[("a", data)] * 3)
        assert service.ask("POST", "/v1/predict/batch", body, headers).code == "body-too-large"
        assert service.predict(data).status == 200


def test_bodies_in_memory_are_bounded() -> None:
    data = picture(1)
    with running(held_bytes=len(data) - 1) as service:
        said = service.predict(data)
        assert (said.status, said.code, said.headers["Retry-After"]) == (429, "overloaded", "1")
    with running(pixels=96 * 64 - 1) as service:
        assert service.predict(data).code == "too-many-pixels"


def test_surplus_is_refused_and_the_accepted_are_answered() -> None:
    data = picture(1)
    with running(queue=4) as service, ThreadPoolExecutor(16) as threads:
        with service.halted():
            first = threads.submit(service.predict, data)
            service.until(lambda: service.service.workers.queue.busy == 1)
            waiting = [threads.submit(service.predict, data) for _ in range(4)]
            service.until(lambda: len(service.service.workers.queue) == 4)
            refused = [service.predict(data) for _ in range(3)]
            body, headers = form(("a", data))
            refused.append(service.ask("POST", "/v1/predict/batch", body, headers))
            assert {(said.status, said.code) for said in refused} == {(429, "overloaded")}
            assert all(int(said.headers["Retry-After"]) >= 1 for said in refused)
            assert refused[0].json["limit"] == 4
        answers = [future.result() for future in (first, *waiting)]
        assert [said.status for said in answers] == [200] * 5
        assert len({said.json["probability"] for said in answers}) == 1


def test_a_batch_finds_room_as_a_whole_or_not_at_all() -> None:
    data = picture(1)
    with running(queue=2, batch_parts=2) as service, ThreadPoolExecutor(4) as threads:
        with service.halted():
            waiting = [threads.submit(service.predict, data)]
            service.until(lambda: service.service.workers.queue.busy == 1)
            waiting.append(threads.submit(service.predict, data))
            service.until(lambda: len(service.service.workers.queue) == 1)
            body, headers = form(("a", data), ("b", data))
            said = service.ask("POST", "/v1/predict/batch", body, headers)
            assert said.code == "overloaded" and len(service.service.workers.queue) == 1
        assert [future.result().status for future in waiting] == [200, 200]


def test_nobody_waits_past_the_deadline() -> None:
    data = picture(1)
    with running() as service:
        with service.halted():
            said = service.predict(data, **{"X-Deadline-Ms": "200"})
            assert (said.status, said.code) == (503, "deadline")
            late = service.predict(data, **{"X-Deadline-Ms": "100"})  # it never left the queue
            assert late.code == "deadline" and len(service.service.workers.queue) == 0
            body, headers = form(("a", data), ("b", b"nothing"))
            headers["X-Deadline-Ms"] = "100"
            items = service.ask("POST", "/v1/predict/batch", body, headers).json["results"]
            assert [i["problem"]["code"] for i in items] == ["deadline", "unsupported-format"]
        assert service.predict(data).status == 200
        said = service.send(
            b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
            b"X-Deadline-Ms: 50\r\nContent-Length: 100\r\n\r\nabc"
        )
        assert status_of(said) == 408  # a body has to be there by then, too
        service.until(lambda: service.service.accepted == 0)


def test_a_client_that_hangs_up_takes_its_work_away() -> None:
    head = b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
    data = picture(1)
    request = head + b"Content-Length: %d\r\n\r\n" % len(data) + data
    with running() as service, ThreadPoolExecutor(1) as threads:
        queue = service.service.workers.queue
        with service.halted():
            first = threads.submit(service.predict, data)
            service.until(lambda: queue.busy == 1)
            with socket.create_connection(("127.0.0.1", service.port)) as client:
                client.sendall(request)
                service.until(lambda: len(queue) == 1)
            service.until(lambda: len(queue) == 0)
            with socket.create_connection(("127.0.0.1", service.port)) as client:
                client.sendall(request[:-10])  # half a body
            service.until(lambda: service.service.accepted == 1)
        assert first.result().status == 200
        assert service.service._held.bytes == 0


def test_slow_clients_are_cut_off() -> None:
    with running(header_seconds=1, body_seconds=1) as service:
        assert service.send(b"") == b""
        assert service.send(b"POST /v1/predict HTTP/1.1\r\nHost:") == b""
        said = service.send(
            b"POST /v1/predict HTTP/1.1\r\nHost: x\r\nContent-Type: image/png\r\n"
            b"Content-Length: 100\r\n\r\nabc"
        )
        assert status_of(said) == 408 and b'"code": "slow-body"' in said
        assert service.predict(picture(1)).status == 200


def test_connections_that_say_no_more_are_cut_off() -> None:
    """Also after an answer: neither a line's end nor a byte of a refused body keeps one open."""
    asked = b"GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"
    refused = b"POST /none HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n"
    with running(header_seconds=1, body_seconds=1) as service:
        for request, status, more in ((asked, 200, b"\r\n"), (refused, 404, b"x")):
            with socket.create_connection(("127.0.0.1", service.port), timeout=60) as client:
                client.sendall(request)
                said = client.recv(65536)
                assert status_of(said) == status
                client.sendall(more)
                while said:
                    try:
                        said = client.recv(65536)
                    except ConnectionResetError:
                        break


def test_clients_that_take_no_answer_are_cut_off() -> None:
    request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
    with running(send_seconds=1) as service, socket.socket() as client:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        client.connect(("127.0.0.1", service.port))
        client.sendall(request * 300)  # their answers are more than the kernel keeps
        connections = service.server.server_state.connections
        service.until(lambda: connections)
        service.until(lambda: not connections, seconds=60)
        service.until(lambda: not service.server.server_state.tasks, seconds=60)


def test_who_waits_before_it_sends_is_refused_at_once(service: Running) -> None:
    """And hung up on: what comes next could be the body or another request."""
    head = b"POST %s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    for path, length, status in ((b"/none", 9, 404), (b"/v1/predict", 10**9, 413)):
        said = service.send(head % (path, length))
        assert status_of(said) == status and b"\r\nconnection: close\r\n" in said.lower()
    data = picture(1)
    head = head.replace(b"Host: x", b"Host: x\r\nContent-Type: image/jpeg")
    with socket.create_connection(("127.0.0.1", service.port), timeout=600) as client:
        client.sendall(head % (b"/v1/predict", len(data)))
        assert client.recv(65536).startswith(b"HTTP/1.1 100 Continue")
        client.sendall(data)
        said = client.recv(65536)
        assert status_of(said) == 200 and b"\r\nconnection: close\r\n" not in said.lower()


def test_headers_without_end_are_cut_off(service: Running) -> None:
    endless = b"GET /livez HTTP/1.1\r\nHost: x\r\nX-Long: " + b"a" * (HEADER_BYTES + 10)
    said = service.send(endless)
    assert status_of(said) == 431 and b'"code": "headers-too-large"' in said
    assert service.ask("GET", "/livez").status == 200


def test_no_more_connections_than_allowed() -> None:
    with running(connections=2) as service:
        clients = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(2)]
        service.until(lambda: len(service.server.server_state.connections) == 2)
        assert service.send(b"GET /livez HTTP/1.1\r\n\r\n") == b""
        for client in clients:
            client.close()
        service.until(lambda: not service.server.server_state.connections)
        assert service.ask("GET", "/livez").status == 200


def test_a_worker_that_is_killed_is_replaced() -> None:
    data = picture(1)
    with running() as service, ThreadPoolExecutor(1) as threads:
        before = service.predict(data).json["probability"]
        (pid,) = service.service.workers.pids
        with service.halted():
            asked = threads.submit(service.predict, data)
            service.until(lambda: service.service.workers.queue.busy == 1)
            os.kill(pid, signal.SIGKILL)
            said = asked.result()
            assert (said.status, said.code) == (503, "worker-died")
        service.until(lambda: service.service.workers.pids not in ([], [pid]))
        ready = service.ask("GET", "/readyz")
        assert ready.status == 200 and ready.json["workers"] == 1
        assert service.predict(data).json["probability"] == before
        assert service.service.workers.replaced == 1


def test_images_beside_one_that_ends_a_worker_are_judged_one_by_one() -> None:
    body, headers = form(*((f"{number}", picture(number)) for number in range(3)))
    with running() as service, ThreadPoolExecutor(1) as threads:
        workers = service.service.workers
        workers.about["batch"] = 8  # as on a GPU
        service.predict(picture(4))  # what waited for one image at a time has come back
        (pid,) = workers.pids
        with service.halted():
            asked = threads.submit(service.ask, "POST", "/v1/predict/batch", body, headers)
            service.until(lambda: workers.queue.busy == 3)
            os.kill(pid, signal.SIGKILL)
            together = [item["answer"]["probability"] for item in asked.result().json["results"]]
        alone = [service.predict(picture(number)).json["probability"] for number in range(3)]
        assert together == pytest.approx(alone, abs=1e-5)
        assert workers.replaced == 1
        sizes = service.ask("GET", "/metrics").body.decode()
        assert 'workzone_batch_size_bucket{le="1.0"} 7.0' in sizes  # none together


def test_without_a_worker_it_is_not_ready() -> None:
    with running() as service:
        workers = service.service.workers
        workers._config = ServeConfig(model=ModelChoice(model="/nowhere"))  # none comes back
        (pid,) = workers.pids
        os.kill(pid, signal.SIGKILL)  # while it is idle
        service.until(lambda: workers.alive == 0)
        assert service.ask("GET", "/readyz").status == 503
        said = service.predict(picture(1))
        assert (said.status, said.code, said.headers["Retry-After"]) == (503, "not-ready", "2")
        assert service.ask("GET", "/livez").status == 200


def test_a_worker_that_hangs_is_replaced() -> None:
    with running(worker_seconds=0.5) as service:
        (pid,) = service.service.workers.pids
        os.kill(pid, signal.SIGSTOP)
        assert service.predict(picture(1)).code == "worker-died"
        service.until(lambda: service.service.workers.pids not in ([], [pid]))


def test_the_drain_answers_what_was_accepted() -> None:
    data = picture(1)
    with running() as service, ThreadPoolExecutor(24) as threads:
        with service.halted():
            asked = [threads.submit(service.predict, data) for _ in range(20)]
            service.until(lambda: service.service.accepted == 20)
            service.until(lambda: len(service.service.workers.queue) == 19)
            service.server.handle_exit(signal.SIGTERM, None)
            ready = service.ask("GET", "/readyz")
            assert ready.status == 503 and ready.json["status"] == "draining"
            late = service.predict(data)
            assert (late.status, late.code) == (503, "draining")
            assert service.ask("GET", "/livez").status == 200
        assert [future.result().status for future in asked] == [200] * 20


def test_what_the_drain_has_no_time_for_is_told_so() -> None:
    service_of = running(drain_seconds=0.5)
    with service_of as service, ThreadPoolExecutor(2) as threads, service.halted():
        asked = [threads.submit(service.predict, picture(1)) for _ in range(2)]
        service.until(lambda: len(service.service.workers.queue) == 1)
        service.server.handle_exit(signal.SIGTERM, None)
        answers = [future.result() for future in asked]
        assert {(said.status, said.code) for said in answers} == {(503, "draining")}


def test_told_to_stop_while_it_loads_it_ends_in_peace() -> None:
    with running(ready=False) as service:
        service.until(lambda: service.server.started)
        service.server.handle_exit(signal.SIGTERM, None)
    assert service.service.failure is None


def test_a_worker_that_does_not_read_is_replaced() -> None:
    """An image larger than a socket's buffer: the service waits for the worker to take it."""
    with running(worker_seconds=0.5) as service:
        (pid,) = service.service.workers.pids
        with service.halted():
            said = service.predict(picture(1, "BMP", width=1500, height=1000))
            assert (said.status, said.code) == (503, "worker-died")
        service.until(lambda: service.service.workers.pids not in ([], [pid]))


def test_a_worker_that_cannot_be_started_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    with running() as service:
        (pid,) = service.service.workers.pids
        start, failed = workers.WorkerProcess, []

        def once(config: ServeConfig) -> workers.WorkerProcess:
            if not failed:
                failed.append(config)
                raise OSError("no memory")
            return start(config)

        monkeypatch.setattr(workers, "WorkerProcess", once)
        os.kill(pid, signal.SIGKILL)
        service.until(lambda: service.service.workers.pids not in ([], [pid]))
        assert failed and service.predict(picture(1)).status == 200


def test_a_second_signal_does_not_wait() -> None:
    with running() as service:
        with service.halted():
            answers: list[Said | Exception] = []

            def ask() -> None:
                try:
                    answers.append(service.predict(picture(1)))
                except Exception as error:
                    answers.append(error)

            thread = threading.Thread(target=ask)
            thread.start()
            service.until(lambda: service.service.accepted == 1)
            for _ in range(2):
                service.server.handle_exit(signal.SIGINT, None)
            assert service.server.should_exit and service.server.force_exit
        thread.join()
    assert len(answers) == 1


def test_not_ready_while_the_model_loads() -> None:
    with running(ready=False) as service:
        service.until(lambda: service.server.started)
        said = service.ask("GET", "/readyz")  # loading takes longer than to ask
        assert (said.status, said.json["status"]) == (503, "not-ready")
        assert service.predict(picture(1)).code == "not-ready"
        assert service.ask("GET", "/v1/model").code == "not-ready"


def test_a_model_that_is_not_there_ends_the_service(tmp_path: Path) -> None:
    with running(ready=False, model=ModelChoice(model=str(tmp_path))) as service:
        service.until(lambda: service.service.failure is not None)
        assert "no model bundle at" in str(service.service.failure)


def test_tokens_are_asked_for_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "tokens"
    file.write_text(
        "\ufeff# of the fleet, the first\n  # of the others none\nfirst-token-of-many\n"
    )
    with running(tokens=file) as service:
        data = picture(1)
        for given in ({}, {"Authorization": "Bearer no"}, {"Authorization": "Basic first"}):
            said = service.predict(data, **given)
            assert (said.status, said.code) == (401, "unauthorised")
            assert said.headers["WWW-Authenticate"] == "Bearer"
        assert (
            service.ask("GET", "/metrics").status == service.ask("GET", "/v1/model").status == 401
        )
        assert service.ask("GET", "/readyz").status == 200
        for remark in ("# of the fleet, the first", "# of the others none"):
            assert service.predict(data, Authorization=f"Bearer {remark}").status == 401
        first = {"Authorization": "Bearer first-token-of-many"}
        assert service.predict(data, **first).status == 200
        file.write_text("second-token-of-many-more\n")
        second = {"Authorization": "bearer second-token-of-many-more"}
        service.until(lambda: service.predict(data, **second).status == 200)
        assert service.predict(data, **first).status == 401
        file.write_text("short\n")  # a mistake shuts nobody out
        service.service._next_look = 0
        assert service.predict(data, **second).status == 200


def test_other_sites_may_ask_where_they_are_named() -> None:
    origin = "https://roads.example"
    with running(origins=(origin,)) as service:
        for given, allowed in ((origin, origin), ("https://else.example", None)):
            said = service.predict(picture(1), Origin=given)
            assert said.headers.get("Access-Control-Allow-Origin") == allowed
            assert said.status == 200


def test_settings_out_of_range_are_told_at_once(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"queue 0.*deadline_seconds -1.*batch_parts 32 above"):
        Limits(queue=0, deadline_seconds=-1)
    with pytest.raises(UsageError, match="--port 70000"):
        ServeConfig(port=70000)
    with pytest.raises(UsageError, match="--workers 0"):
        ServeConfig(workers=0)
    for text, told in (("", "none in it"), ("short\n", "1 shorter than 16")):
        (tmp_path / "tokens").write_text(text)
        with pytest.raises(UsageError, match=told):
            make_server(ServeConfig(tokens=tmp_path / "tokens"))
    with pytest.raises(UsageError, match="cannot be read"):
        make_server(ServeConfig(tokens=tmp_path / "none"))


def test_the_log_has_ids_and_no_pictures(
    service: Running, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", "workzone.serve"):
        service.predict(picture(1), **{"X-Request-ID": "told-1"})
        service.until(lambda: any("told-1" in vars(r).values() for r in caplog.records))
    (record,) = [r for r in caplog.records if getattr(r, "request_id", "") == "told-1"]
    line = json.loads(JsonLines().format(record))
    assert (line["event"], line["status"], line["path"]) == ("request", 200, "/v1/predict")
    assert line["bytes"] == len(picture(1)) and len(json.dumps(line)) < 400


def test_the_log_is_as_it_was_once_a_service_has_ended() -> None:
    logger = logging.getLogger("workzone")
    before = logger.handlers, logger.propagate, logger.level
    with log_json():
        assert logger.handlers is not before[0] and not logger.propagate
    assert (logger.handlers, logger.propagate, logger.level) == before
