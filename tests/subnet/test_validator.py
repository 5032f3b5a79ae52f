"""The validator on the desk: what it draws, what it makes of answers, and the command."""

from __future__ import annotations

import io
import json
import re
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from made_images import blob_image, sample_of
from mining import Mining
from serving import picture
from workzone.cli import app
from workzone.data.manifest import Manifest, write_manifest
from workzone.errors import ManifestError, UsageError, WorkzoneError
from workzone.report.rewards import MinerFigures, write_rewards
from workzone.subnet.draw import Challenge, draw_challenges
from workzone.subnet.keys import new_key
from workzone.subnet.reward import reward
from workzone.subnet.validator import History, ask_miners, judge_miners
from workzone.subnet.wire.posting import NO_ANSWER, Answered, Poster, Target


def rows(folder: Path, *, source: str, labels: tuple[int, ...] = (0, 1, 0, 1)) -> Manifest:
    folder.mkdir()
    samples = []
    for number, label in enumerate(labels):
        file = folder / f"{number}.png"
        blob_image(number, label).save(file)
        samples.append(sample_of(file, label=label, group=f"{source} {number}", source=source))
    manifest = Manifest(samples, folder)
    write_manifest(manifest, folder / "manifest.parquet")
    return manifest


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return rows(tmp_path_factory.mktemp("data") / "photos", source="photo")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Manifest:
    return rows(tmp_path_factory.mktemp("data") / "made", source="drawn")


def test_labels_levels_and_kinds_are_drawn_by_chance(photographs: Manifest, made: Manifest) -> None:
    drawn = list(draw_challenges(photographs, made, count=80, share=0.25, seed=1))
    assert len(drawn) == 80
    for counted, share in (
        (Counter(c.label for c in drawn)[1], 0.5),
        (Counter(c.made for c in drawn)[True], 0.25),
        *((Counter(c.level for c in drawn)[level], 0.25) for level in range(4)),
    ):
        assert abs(counted - 80 * share) < 4 * np.sqrt(80 * share * (1 - share))
    for one in drawn:
        assert one.made == one.group.startswith("drawn")
    with Image.open(io.BytesIO(drawn[0].jpeg)) as image:
        assert (image.format, image.size) == ("JPEG", (224, 224))
    assert len({c.jpeg for c in drawn if c.level}) > 40  # a row drawn again is cut anew


def test_draws_are_those_of_the_seed(photographs: Manifest) -> None:
    one, same, other = (
        [c.jpeg for c in draw_challenges(photographs, count=10, seed=seed)] for seed in (1, 1, 2)
    )
    assert one == same != other


def test_both_classes_are_needed(tmp_path: Path) -> None:
    only = rows(tmp_path / "only", source="photo", labels=(1, 1))
    with pytest.raises(ManifestError, match="no row with label 0"):
        next(draw_challenges(only, count=1))


def test_miners_are_named_by_hotkey_and_address() -> None:
    hotkey = new_key().ss58_address
    target = Target.parse(f"{hotkey}@127.0.0.1:8091")
    assert (target.url, target.name) == ("http://127.0.0.1:8091", "127.0.0.1:8091")
    assert target.hotkey == hotkey
    for text in ("127.0.0.1:8091", f"{hotkey}@", "nobody@127.0.0.1:8091"):
        with pytest.raises(UsageError):
            Target.parse(text)
    for url in ("https://127.0.0.1", "127.0.0.1:8091", "http://127.0.0.1:99999999"):
        with pytest.raises(UsageError, match="no address of a miner"):
            Poster(url, hotkey, new_key())


def challenges(count: int) -> list[Challenge]:
    return [Challenge(picture(n), n % 2, 0, str(n), False) for n in range(count)]


def test_a_miner_is_asked_and_a_stranger_is_refused(miner: Mining) -> None:
    url = f"http://127.0.0.1:{miner.running.port}"
    targets = [
        Target(miner.hotkey, url, "right"),
        Target(new_key().ss58_address, url, "another hotkey"),
        Target(miner.hotkey, "http://127.0.0.1:1", "nobody"),
    ]
    sent, (right, other, nobody) = ask_miners(challenges(4), targets, miner.validator)
    assert len(sent) == 4
    for challenge, answer in zip(sent, right.answers, strict=True):
        assert (answer.status, answer.message) == (200, "")
        assert 0 <= answer.prediction <= 1 and answer.seconds > 0
        assert answer.prediction == miner.ask({"image": miner_image(challenge)}).json["prediction"]
    assert {(a.status, a.prediction) for a in other.answers} == {(401, NO_ANSWER)}
    assert {(a.status, a.prediction) for a in nobody.answers} == {(0, NO_ANSWER)}
    report = judge_miners(sent, [right, other, nobody], title="three")
    assert [m.unanswered for m in report.miners] == [0, 4, 4]


def miner_image(challenge: Challenge) -> str:
    import base64

    return base64.b64encode(challenge.jpeg).decode()


def history(name: str, answers: list[float]) -> History:
    """Answers that took 10, 20, ... milliseconds; -1 stands for a refusal."""
    told = [
        Answered(200 if a >= 0 else 403, a, (n + 1) / 100, "" if a >= 0 else "<no>")
        for n, a in enumerate(answers)
    ]
    return History(Target("", "", name), told)


def judged(count: int, *answers: list[float]) -> list[MinerFigures]:
    sent = [Challenge(b"", n % 2, 0, str(n), False) for n in range(count)]
    named = [history(str(n), one) for n, one in enumerate(answers)]
    return list(judge_miners(sent, named, title="t", others=99, their_reward=0.5).miners)


def test_rewards_are_those_of_the_whole_history() -> None:
    random = np.random.default_rng(3)
    labels = [n % 2 for n in range(150)]
    answers = [float(np.clip(0.6 * label + random.random() / 2, 0, 1)) for label in labels]
    answers[20] = NO_ANSWER
    (found,) = judged(150, answers)
    expected = [reward(labels[:end], answers[:end]) for end in range(1, 151)]
    assert found.rewards == pytest.approx(expected)
    assert found.mean_reward == pytest.approx(np.mean(expected[99:]))
    assert found.unanswered == 1
    assert (found.milliseconds(0), found.milliseconds(1)) == (10, 1500)


def test_who_is_always_right_and_who_always_says_the_same() -> None:
    right, same, silent = judged(
        120, [float(n % 2) for n in range(120)], [1.0] * 120, [NO_ANSWER] * 120
    )
    assert (right.mean_reward, right.mcc, right.accuracy) == (1.0, 1.0, 1.0)
    assert right.expected_reward.value == pytest.approx(1.0)
    assert right.income_share == pytest.approx(1 / 50.5)
    assert same.mean_reward == pytest.approx(0.25**3)
    assert (silent.mean_reward, silent.mcc, silent.accuracy) == (0.0, None, None)
    assert (silent.income_share, silent.refusals) == (0.0, {(403, "<no>"): 120})


def test_fewer_than_a_hundred_have_no_mean(tmp_path: Path) -> None:
    (few,) = judged(8, [float(n % 2) for n in range(8)])
    assert few.mean_reward is None
    sent = [Challenge(b"", n % 2, 0, str(n), False) for n in range(8)]
    report = judge_miners(sent, [history("<b>", [NO_ANSWER] * 4 + [1.0] * 4)], title="a & b")
    write_rewards(tmp_path / "r.html", report)
    page = (tmp_path / "r.html").read_text()
    assert "<b>" not in page.replace("<br>", "") and "&lt;b&gt;" in page and "&lt;no&gt;" in page
    assert "a &amp; b" in page and page.count("<svg") == 2
    assert not re.search(r'(?:src|href)="(?!#)', page)
    json.dumps(report.to_json(), allow_nan=False)


def test_without_a_challenge_there_is_nothing_to_say() -> None:
    with pytest.raises(WorkzoneError, match="no challenge could be drawn"):
        ask_miners([], [Target(new_key().ss58_address, "http://127.0.0.1:1")], new_key())


def test_the_command_starts_a_miner_and_judges_it(photographs: Manifest, tmp_path: Path) -> None:
    manifest = photographs.root / "manifest.parquet"
    options = ["--count", "6", "--workers", "1", "--engine", "onnx", "-o", str(tmp_path)]
    result = CliRunner().invoke(app, ["challenge", str(manifest), *options, "--json"])
    assert result.exit_code == 0, result.output
    assert "request" not in result.stderr
    said = json.loads(result.stdout)
    assert said == json.loads((tmp_path / "rewards.json").read_text())
    assert said["miners"][0]["unanswered"] == 0
    assert len(said["miners"][0]["rewards"]) == 6
    assert "Reward" in (tmp_path / "report.html").read_text()


def test_models_and_running_miners_exclude_each_other(photographs: Manifest) -> None:
    manifest = photographs.root / "manifest.parquet"
    options = ["--model", "lite", "--miner", "a@b"]
    result = CliRunner().invoke(app, ["challenge", str(manifest), *options])
    assert result.exit_code == 2 and "give one of them" in result.stderr
