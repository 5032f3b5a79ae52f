"""Who may ask, how often, and that nothing is accepted twice."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from typer.testing import CliRunner

from workzone.cli import app
from workzone.errors import UsageError, WorkzoneError
from workzone.subnet import replays as replays_module
from workzone.subnet.callers import ListedCallers, RegisteredCallers
from workzone.subnet.chain import ChainError, Neuron
from workzone.subnet.keys import new_key
from workzone.subnet.rates import Admission, Rates
from workzone.subnet.replays import KEPT, Replays
from workzone.subnet.wire.claim import SECOND, Refused

A, B, C, D = (new_key().ss58_address for _ in range(4))


class FakeChain:
    """Says what it is told to, or does not answer."""

    def __init__(self, *neurons: Neuron) -> None:
        self.said: Sequence[Neuron] | None = neurons
        self.asked = threading.Event()

    def neurons(self) -> Sequence[Neuron]:
        self.asked.set()
        if self.said is None:
            raise ChainError("the chain does not answer")
        return self.said

    def time(self) -> float:
        return time.time()


NEURONS = (Neuron(A, True, 100.0, 0), Neuron(B, False, 100.0, 1), Neuron(C, True, 5.0, 2))


def wait_until(true: Callable[[], bool]) -> None:
    end = time.monotonic() + 30
    while not true():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)


def test_a_list_is_read_again_when_it_changes(tmp_path: Path, monkeypatch) -> None:
    file = tmp_path / "allow.txt"
    file.write_text(f"# validators\n{A}  # one\n\n")
    callers = ListedCallers(file)
    assert (callers.why_not(A), bool(callers.why_not(B))) == ("", True)
    file.write_text(f"{B}\n")
    os.utime(file, ns=(1, 1))
    monkeypatch.setattr(callers, "_next_look", 0.0)
    assert (bool(callers.why_not(A)), callers.why_not(B)) == (True, "")
    file.unlink()
    monkeypatch.setattr(callers, "_next_look", 0.0)
    assert callers.why_not(B) == ""  # those from before


@pytest.mark.parametrize(
    ("text", "match"),
    [("", "none in it"), ("# all\n", "none in it"), ("5abc\n", "is no address of a key")],
)
def test_lists_that_name_nobody(tmp_path: Path, text: str, match: str) -> None:
    (tmp_path / "allow.txt").write_text(text)
    with pytest.raises(UsageError, match=match):
        ListedCallers(tmp_path / "allow.txt")


def test_validators_of_the_metagraph_may_ask(tmp_path: Path) -> None:
    callers = RegisteredCallers(FakeChain(*NEURONS), tmp_path / "copy.json", stake=10)
    callers.load()
    assert [callers.why_not(key) for key in (A, B, C, D)] == [
        "",
        "this hotkey has no validator permit",
        "this hotkey's stake is below 10",
        "this hotkey is not registered on the subnet",
    ]
    anyone = RegisteredCallers(FakeChain(*NEURONS), tmp_path / "copy.json", permit=False)
    anyone.load()
    assert [anyone.why_not(key) for key in (A, B, C)] == ["", "", ""]


def test_the_last_good_answer_of_the_chain_goes_on(tmp_path: Path) -> None:
    chain, copy = FakeChain(*NEURONS), tmp_path / "state" / "copy.json"
    RegisteredCallers(chain, copy).load()
    chain.said = None
    callers = RegisteredCallers(chain, copy)
    callers.load()
    assert callers.why_not(A) == ""
    for text in ("{", "{}", "[]", '{"time": 1, "neurons": [{"hotkey": 5}]}'):
        copy.write_text(text)
        with pytest.raises(WorkzoneError, match=r"does not answer; and no answer from before"):
            RegisteredCallers(chain, copy).load()


def test_an_answer_that_shuts_everybody_out_is_not_believed(tmp_path: Path) -> None:
    chain, copy = FakeChain(*NEURONS), tmp_path / "copy.json"
    callers = RegisteredCallers(chain, copy)
    callers.load()
    chain.said = ()
    callers.load()
    assert callers.why_not(A) == ""
    assert len(json.loads(copy.read_text())["neurons"]) == 3


def test_the_metagraph_is_asked_again(tmp_path: Path) -> None:
    chain = FakeChain(*NEURONS)
    callers = RegisteredCallers(chain, tmp_path / "copy.json")
    callers.load()
    with callers.refreshed(0.01):
        for said in (None, (Neuron(D, True, 1.0, 3),)):
            chain.said = said
            chain.asked.clear()
            assert chain.asked.wait(600)
        wait_until(lambda: callers.why_not(D) == "")
    assert callers.why_not(A)


def test_no_answer_of_the_chain_ends_the_looks_at_it(tmp_path: Path, caplog) -> None:
    class Odd(FakeChain):
        def neurons(self) -> Sequence[Neuron]:
            if self.said is None and self.asked.is_set():
                self.said = (Neuron(D, True, 1.0, 3),)
                raise RuntimeError("no chain says this")
            return super().neurons()

    chain = Odd(*NEURONS)
    callers = RegisteredCallers(chain, tmp_path / "copy.json")
    callers.load()
    chain.said = None
    with callers.refreshed(0.01):
        wait_until(lambda: callers.why_not(D) == "")
    (record,) = [r for r in caplog.records if "no chain says this" in r.message]
    assert record.exc_info


def test_an_answer_that_cannot_be_written_down_is_one(tmp_path: Path, caplog) -> None:
    (tmp_path / "state").touch()
    callers = RegisteredCallers(FakeChain(*NEURONS), tmp_path / "state" / "copy.json")
    callers.load()
    assert callers.why_not(A) == ""
    assert "state" in caplog.text and "the chain's answer holds" in caplog.text


def test_stakes_and_pauses_that_are_none(tmp_path: Path) -> None:
    for stake in (float("nan"), float("inf"), -1.0):
        with pytest.raises(UsageError, match="--stake"):
            RegisteredCallers(FakeChain(), tmp_path / "copy.json", stake=stake)
    callers = RegisteredCallers(FakeChain(), tmp_path / "copy.json")
    for seconds in (float("nan"), float("inf"), 0.0):
        with pytest.raises(UsageError, match="--refresh"), callers.refreshed(seconds):
            pass


# Rates


def test_a_caller_spends_its_own_share(monkeypatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    admission = Admission(Rates(per_second=2.0, burst=3))

    def asks(hotkey: str) -> bool:
        try:
            with admission.known(hotkey):
                return True
        except Refused as refused:
            assert refused.status == 429 and int(refused.headers["Retry-After"]) >= 1
            return False

    assert [asks("a") for _ in range(4)] == [True, True, True, False]
    assert asks("b")
    now += 0.5
    assert [asks("a") for _ in range(2)] == [True, False]
    now += 1000
    assert [asks("a") for _ in range(4)] == [True, True, True, False]


def test_so_many_at_once_and_no_more() -> None:
    admission = Admission(Rates(at_once=2))
    with admission.known("a"), admission.known("a"):
        with pytest.raises(Refused, match="2 requests without their answer"), admission.known("a"):
            pass
        with admission.known("b"):
            pass
    with admission.known("a"):
        pass


def test_of_unknown_callers_some_are_read_and_the_others_wait() -> None:
    admission = Admission(Rates(unknown_at_once=3, unknown_reading=2))
    later = time.monotonic() + 600
    reading: list[str] = []

    async def one(name: str, ready: asyncio.Event, *, deadline: float = later) -> None:
        async with admission.unknown("address", deadline):
            reading.append(name)
            await ready.wait()

    async def several() -> None:
        first, others = asyncio.Event(), asyncio.Event()
        tasks = [asyncio.create_task(one("a", first)), asyncio.create_task(one("b", others))]
        await asyncio.sleep(0)
        with pytest.raises(Refused, match="this address has 2 requests"):
            await one("late", others, deadline=time.monotonic() + 0.01)
        tasks.append(asyncio.create_task(one("c", others)))
        await asyncio.sleep(0)
        assert reading == ["a", "b"]
        with pytest.raises(Refused, match="this address has 3 requests"):
            await one("surplus", others)
        async with admission.unknown("another", later):
            first.set()
            await tasks[0]
        await asyncio.sleep(0)
        assert reading == ["a", "b", "c"]
        others.set()
        await asyncio.gather(*tasks)

    asyncio.run(several())
    assert not admission._turns and not admission._unknown


@pytest.mark.parametrize("rate", [0.0, -1.0, 1e-320, float("nan"), float("inf")])
def test_rates_that_cannot_be(rate: float, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--rate .*: of requests a second at least 0\.000001"):
        Rates.of(rate)
    hotkeys = tmp_path / "default" / "hotkeys"
    hotkeys.mkdir(parents=True)
    (hotkeys / "defaultpub.txt").write_text(json.dumps({"ss58Address": A}))
    options = ["miner", "--wallets", str(tmp_path), f"--rate={rate}", "--state", str(tmp_path)]
    result = CliRunner().invoke(app, options)
    assert result.exit_code == 2 and "--rate" in result.stderr


def test_limits_that_let_nobody_in() -> None:
    with pytest.raises(UsageError, match=r"burst 0, unknown_reading -1; each must be above 0"):
        Rates(burst=0, unknown_reading=-1)
    assert (Rates.of(0.1).burst, Rates.of(5).burst) == (1, 20)


def test_who_waits_as_long_as_it_is_told_is_let_in(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    admission = Admission(Rates(per_second=0.4, burst=1))
    with admission.known("a"):
        pass
    with pytest.raises(Refused) as told, admission.known("a"):
        pass
    assert told.value.headers["Retry-After"] == "3"  # 2.5 seconds
    now += 3
    with admission.known("a"):
        pass


def test_of_callers_that_are_gone_nothing_is_kept() -> None:
    admission = Admission(Rates(per_second=1e9, burst=1))
    for number in range(10_000):
        with admission.known(str(number)):
            pass
    assert len(admission._left) < 5000
    assert not admission._working


# Replays


def test_nothing_is_accepted_twice_by_any_thread_or_process(tmp_path: Path) -> None:
    file = tmp_path / "state" / "accepted.sqlite"
    one, two = Replays(file), Replays(file)
    assert one.accept("a", SECOND) and not one.accept("a", SECOND) and not two.accept("a", SECOND)
    assert two.accept("b", SECOND) and not one.accept("b", SECOND)
    results: list[bool] = []
    threads = [
        threading.Thread(target=lambda: results.append(one.accept("c", SECOND))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 7 + [True]


def test_what_was_accepted_outlives_kill_9(tmp_path: Path) -> None:
    code = (
        "import os, signal, sys; from pathlib import Path; "
        "from workzone.subnet.replays import Replays; "
        "print(Replays(Path(sys.argv[1])).accept('a', 10**9), flush=True); "
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "a.sqlite")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.returncode) == ("True\n", -9)
    assert not Replays(tmp_path / "a.sqlite").accept("a", SECOND)


def test_what_is_long_over_is_forgotten_and_never_taken_again(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(replays_module, "_SWEEP", 10)
    replays = Replays(tmp_path / "a.sqlite")
    for second in range(0, 50 * KEPT, KEPT // 4):
        assert replays.accept(str(second), (1 + second) * SECOND)
    assert len(replays) < 25
    assert not replays.accept("0", SECOND)
    assert not Replays(tmp_path / "a.sqlite").accept("new, of an old day", SECOND)


def test_a_file_that_is_no_store_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.sqlite").write_text("something else, long enough to be read as a page" * 50)
    with pytest.raises(WorkzoneError, match=r"cannot be kept in .*a\.sqlite.*--state"):
        Replays(tmp_path / "a.sqlite")
