"""A validator on one's desk: challenges to miners over the real wire, and what they earn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np

from workzone.decide.threshold import HALF, matthews
from workzone.errors import WorkzoneError
from workzone.report.metrics import Figure
from workzone.report.rewards import MinerFigures, RewardReport
from workzone.subnet.challenge import reward_figure
from workzone.subnet.draw import Challenge
from workzone.subnet.keys import Signer
from workzone.subnet.reward import MCC_WINDOW, reward
from workzone.subnet.wire.asking import WIRES, WireName
from workzone.subnet.wire.posting import NO_ANSWER, SECONDS, Answered, Poster, Target

_RESAMPLES = 1000


@dataclass
class History:
    """What one miner answered, challenge by challenge."""

    target: Target
    answers: list[Answered] = field(default_factory=list)

    @property
    def predictions(self) -> list[float]:
        """`NO_ANSWER` where there is none."""
        return [answer.prediction for answer in self.answers]


def ask_miners(
    challenges: Iterable[Challenge],
    targets: Sequence[Target],
    signer: Signer,
    *,
    wires: Sequence[WireName] = WIRES,
    seconds: float = SECONDS,
) -> tuple[list[Challenge], list[History]]:
    """Send each challenge to all miners at once, and wait for all of them.

    Args:
        challenges: one after the other.
        targets: the miners.
        signer: the validator's key.
        wires: taken in turn.
        seconds: to wait for an answer.

    Returns:
        The challenges, and a history of as many answers for each miner.
    """
    posters = [
        [Poster(one.url, one.hotkey, signer, wire=wire, seconds=seconds) for wire in wires]
        for one in targets
    ]
    sent: list[Challenge] = []
    histories = [History(target) for target in targets]
    with ThreadPoolExecutor(len(targets)) as threads:
        for number, challenge in enumerate(challenges):
            these = [several[number % len(wires)] for several in posters]
            answers = threads.map(Poster.ask, these, repeat(challenge.jpeg))
            for history, answer in zip(histories, answers, strict=True):
                history.answers.append(answer)
            sent.append(challenge)
    for poster in (one for several in posters for one in several):
        poster.close()
    if not sent:
        raise WorkzoneError("no challenge could be drawn: no image of the manifest can be read")
    return sent, histories


def judge_miners(
    challenges: Sequence[Challenge],
    histories: Sequence[History],
    *,
    title: str,
    others: int = 200,
    their_reward: float = 0.5,
) -> RewardReport:
    """What each miner earned, and would earn of the subnet's income.

    Args:
        challenges: as they were sent.
        histories: of as many answers each.
        title: of the report.
        others: miners on the subnet beside each of these.
        their_reward: the mean of their reward, 0..1.
    """
    labels = [challenge.label for challenge in challenges]
    groups = [challenge.group for challenge in challenges]
    made = sum(challenge.made for challenge in challenges)
    figures = [
        _figures(labels, groups, history, others=others, their_reward=their_reward)
        for history in histories
    ]
    return RewardReport(
        title=title,
        drawn=f"{len(labels):,} challenges, {sum(labels):,} with road work, {made:,} from made "
        "pictures.",
        assumptions=f"The income share supposes that income is paid in proportion to the mean "
        f"reward, and that {others:,} others earn {their_reward:g} each; what the chain makes of "
        "validators' weights is left out.",
        miners=figures,
    )


def _figures(
    labels: Sequence[int],
    groups: Sequence[str],
    history: History,
    *,
    others: int,
    their_reward: float,
) -> MinerFigures:
    predictions = history.predictions
    rewards = [
        reward(labels[max(0, end - MCC_WINDOW) : end], predictions[max(0, end - MCC_WINDOW) : end])
        for end in range(1, len(labels) + 1)
    ]
    full = rewards[MCC_WINDOW - 1 :]
    mean = float(np.mean(full)) if full else None
    truth, scores = np.asarray(labels), np.asarray(predictions)
    came = scores != NO_ANSWER
    said, is_work = scores[came] > HALF, truth[came] == 1
    expected = Figure(None)
    if is_work.any() and not is_work.all():
        kept = [group for group, here in zip(groups, came, strict=True) if here]
        expected = reward_figure(truth[came], scores[came], kept, resamples=_RESAMPLES)
    mcc = matthews(
        tp=np.sum(said & is_work),
        fp=np.sum(said & ~is_work),
        fn=np.sum(~said & is_work),
        tn=np.sum(~said & ~is_work),
    )
    earned = mean if mean is not None else expected.value or 0.0
    return MinerFigures(
        name=history.target.name,
        rewards=rewards,
        seconds=[answer.seconds for answer in history.answers],
        mean_reward=mean,
        expected_reward=expected,
        mcc=float(mcc) if len(said) else None,
        accuracy=float(np.mean(said == is_work)) if len(said) else None,
        income_share=earned / (earned + others * their_reward) if earned else 0.0,
        refusals=Counter(
            (answer.status, answer.message)
            for answer in history.answers
            if answer.prediction == NO_ANSWER
        ),
    )
