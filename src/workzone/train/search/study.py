"""Search for good training settings on stored features, with Optuna (extra ``tune``).

Akiba et al., "Optuna: A Next-generation Hyperparameter Optimization Framework", KDD 2019. Trials
are drawn by the tree-structured Parzen estimator (Bergstra et al., NIPS 2011) and pruned fold by
fold where they are worse than the median of the trials before (Golovin et al., KDD 2017).

A search lives in a folder: ``search.json`` says what is searched, ``study.journal`` what was found.
It goes on where it was stopped, and finds what it would have found without the stop: each draw is
seeded by its number.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import importlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from sklearn.metrics import log_loss, matthews_corrcoef

from workzone.config import from_mapping, merged
from workzone.decide.threshold import HALF
from workzone.errors import MissingExtraError, TrainingError, UsageError, WorkzoneError
from workzone.files import hold, write_text
from workzone.progress import bar
from workzone.train.feed.examples import Examples, Rows
from workzone.train.fit import Fit, fit
from workzone.train.search.space import Space
from workzone.train.settings import TrainConfig

MetricName = Literal["cross-entropy", "mcc"]

UNPRUNED = 5
"""Trials that are never pruned: the median has to come from somewhere."""


@dataclass(frozen=True)
class Tried:
    """One trial that ended."""

    number: int  # from 0
    values: Mapping[str, Any]  # by dotted key
    value: float | None  # of the metric, of rows never seen; None: it was given up
    losses: tuple[float, ...]  # mean of the folds' lowest losses, after each fold
    why: str = ""  # it was given up


def settings_of(config: TrainConfig, values: Mapping[str, Any], *, where: str) -> TrainConfig:
    """The configuration with some settings replaced, by dotted key.

    Raises:
        UsageError: unknown keys, or values that cannot be.
    """
    tree: dict[str, Any] = dataclasses.asdict(config)
    for key, value in values.items():
        branch: Any = value
        for name in reversed(key.split(".")):
            branch = {name: branch}
        tree = merged(tree, branch)
    return from_mapping(TrainConfig, tree, where=where)


def search(
    examples: Examples,
    validation_folds: Sequence[Rows],
    config: TrainConfig,
    folder: Path,
    *,
    space: Space,
    metric: MetricName = "cross-entropy",
    trials: int = 50,
    after_trial: Callable[[], None] = lambda: None,
) -> list[Tried]:
    """Try settings until ``trials`` have ended, counting those of earlier runs in ``folder``.

    A trial is a whole fit; its value is of the calibrated probabilities of the validation rows, by
    models that never saw them. After each fold it is given up where its mean loss so far is above
    the median of earlier trials; settings that cannot be, or diverge, are given up too.

    Args:
        examples: what to learn from; the test rows are not among them.
        validation_folds: row numbers of each fold.
        config: all settings that are not searched; its seed seeds the search too.
        folder: of the search.
        space: what is searched.
        metric: mean cross-entropy (lower is better) or MCC at 0.5 (higher is better).
        trials: how many.
        after_trial: called when a trial has ended and is stored.

    Returns:
        All trials that ended, in order.

    Raises:
        MissingExtraError: Optuna is not installed, or an optimizer of the space is not.
        UsageError: the space does not fit the configuration.
        WorkzoneError: the folder holds another search, or another process is at it.
    """
    optuna = _optuna()
    firsts = {key: d.choices[0] if d.choices else d.low for key, d in space.items()}
    whole = {key: int(firsts[key]) for key, d in space.items() if d.whole}
    first = settings_of(config, firsts | whole, where="the first values of the space")
    refuse_pixels(first)
    with _alone(folder):
        _check_identity(folder, examples, validation_folds, config, space, metric)
        study = _open_study(optuna, folder, metric)
        ended = len(_ended(optuna, study))
        with bar("trials", trials) as progress:
            progress.advance(min(ended, trials))
            for number in range(ended, trials):
                study.sampler = optuna.samplers.TPESampler(seed=_seed(config.seed, number))
                _try(optuna, study, examples, validation_folds, config, space, metric)
                after_trial()
                progress.advance()
        return [_tried(trial, number) for number, trial in enumerate(_ended(optuna, study))]


def best_of(tried: Sequence[Tried], metric: MetricName) -> list[Tried]:
    """Those that came to an end, the best first.

    Raises:
        TrainingError: none did.
    """
    whole = [(t.value, t) for t in tried if t.value is not None]
    if not whole:
        why = next((t.why for t in tried if t.why), "no trial was run")
        raise TrainingError(f"none of {len(tried)} trials came to an end; one of them: {why}")
    order = sorted(whole, key=lambda pair: pair[0], reverse=metric == "mcc")
    return [trial for _, trial in order]


def refuse_pixels(config: TrainConfig) -> None:
    """Make sure that stored features are learned from: from pixels a trial would take hours.

    Raises:
        UsageError: the configuration learns from pixels, or from a teacher.
    """
    if config.distill is not None:
        raise UsageError("settings are searched without a teacher: leave distill out")
    if config.from_pixels:
        raise UsageError(
            "settings are searched on stored features: leave adapters and fine_tuning out "
            "(adapters=null fine_tuning=null), and train from pixels with what is found"
        )


def check_optuna() -> None:
    """Make sure that Optuna is there, before anything long begins.

    Raises:
        MissingExtraError: it is not installed.
    """
    _optuna()


def _optuna() -> Any:
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        raise MissingExtraError("optuna", "tune", "searching for settings") from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna


def _seed(seed: int, number: int) -> int:
    digest = hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=4).digest()
    return int.from_bytes(digest, "little")


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """The folder, made if need be, held by one process at a time."""
    try:
        lock = hold(folder / "lock")
    except TimeoutError as error:
        raise WorkzoneError(
            f"another process is searching in {folder}; wait for it, or name another folder"
        ) from error
    except OSError as error:
        raise WorkzoneError(
            f"cannot write {folder}: {error.strerror}. Name another folder with -o"
        ) from error
    try:
        yield
    finally:
        lock.release()


def _check_identity(
    folder: Path,
    examples: Examples,
    validation_folds: Sequence[Rows],
    config: TrainConfig,
    space: Space,
    metric: MetricName,
) -> None:
    """Note what is searched, or make sure that it is what was searched before."""
    data = hashlib.blake2b(examples.labels.numpy().tobytes(), digest_size=8)
    data.update(str([s.content_hash for s in examples.samples]).encode())
    data.update(str((tuple(examples.rows.shape), examples.features.shape[1:])).encode())
    for fold in validation_folds:
        data.update(np.asarray(fold, dtype=np.int64).tobytes() + b"/")
    identity = {
        "data": data.hexdigest(),
        "metric": metric,
        "space": {key: dataclasses.asdict(dimension) for key, dimension in space.items()},
        "settings": dataclasses.asdict(config) | {"run": None},
    }
    identity = json.loads(json.dumps(identity))  # as it will be read
    path = folder / "search.json"
    if not path.exists():
        write_text(path, json.dumps(identity, indent=2) + "\n")
        return
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        known = {}
    changed = [name for name in identity if identity[name] != known.get(name)]
    if changed:
        raise WorkzoneError(
            f"{folder} holds a search with other {', '.join(changed)}: trials would not compare. "
            "Repeat the earlier command, or name another folder with -o"
        )


def _open_study(optuna: Any, folder: Path, metric: MetricName) -> Any:
    """The study; a trial that a stop cut short is given up, to be drawn again."""
    path = folder / "study.journal"
    path.touch()
    whole = path.read_bytes().rpartition(b"\n")
    if whole[2]:  # a line that a stop cut short
        with path.open("r+b") as handle:
            handle.truncate(len(whole[0]) + len(whole[1]))
    (folder / "study.journal.lock").unlink(missing_ok=True)  # of a killed run: we hold `lock`
    journal = optuna.storages.journal
    backend = journal.JournalFileBackend(str(path), journal.JournalFileOpenLock(str(path)))
    study = optuna.create_study(
        storage=optuna.storages.JournalStorage(backend),
        study_name="workzone",
        direction="maximize" if metric == "mcc" else "minimize",
        pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED),
        load_if_exists=True,
    )
    states = optuna.trial.TrialState
    for trial in study.get_trials(deepcopy=False, states=(states.RUNNING,)):
        study.tell(trial.number, state=states.FAIL)
    return study


def _ended(optuna: Any, study: Any) -> list[Any]:
    states = optuna.trial.TrialState
    return list(study.get_trials(states=(states.COMPLETE, states.PRUNED)))


class _GivenUpError(Exception):
    """The trial is worse than most."""


def _try(
    optuna: Any,
    study: Any,
    examples: Examples,
    validation_folds: Sequence[Rows],
    config: TrainConfig,
    space: Space,
    metric: MetricName,
) -> None:
    """Draw settings, fit, and tell the study."""
    trial = study.ask()
    values = {key: dimension.suggest(trial, key) for key, dimension in space.items()}
    losses: list[float] = []

    def after_fold(fold: int, loss: float) -> None:
        losses.append(loss)
        mean = sum(losses) / len(losses)
        trial.report(-mean if metric == "mcc" else mean, fold)  # the study's direction
        if trial.should_prune():
            raise _GivenUpError(
                f"loss {mean:.4f} after {fold + 1} of {len(validation_folds)} folds is above the "
                "median of earlier trials"
            )

    try:
        settings = settings_of(config, values, where=f"trial {trial.number}")
        fitted = fit(examples, validation_folds, settings, after_fold=after_fold)
    except MissingExtraError:
        raise
    except (_GivenUpError, TrainingError, UsageError) as error:
        trial.set_user_attr("why", str(error))
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(trial, _value(fitted, examples, metric))


def _value(fitted: Fit, examples: Examples, metric: MetricName) -> float:
    labels = examples.labels[fitted.validation_rows].numpy()
    scores = fitted.validation_probabilities
    if metric == "mcc":
        return float(matthews_corrcoef(labels, scores > HALF))
    return float(log_loss(labels, scores))


def _tried(trial: Any, number: int) -> Tried:
    values = {
        key: json.loads(value) if isinstance(value, str) else value
        for key, value in trial.params.items()
    }
    complete = trial.state.name == "COMPLETE"
    losses = [abs(trial.intermediate_values[fold]) for fold in sorted(trial.intermediate_values)]
    return Tried(
        number=number,
        values=values,
        value=trial.value if complete else None,
        losses=tuple(losses),
        why=trial.user_attrs.get("why", ""),
    )
