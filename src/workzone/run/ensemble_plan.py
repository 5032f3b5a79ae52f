"""What an ensemble is made of: one YAML file with what members share and in what they differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args

from workzone.config import from_mapping, merged, read_tree
from workzone.decide.ensemble import check_member_names
from workzone.decide.mixture import AverageName
from workzone.errors import UsageError, nearest
from workzone.model.config import DetectorConfig
from workzone.model.presets import preset
from workzone.train.settings import TrainConfig
from workzone.views import ViewLayout

WeighName = Literal["fitted", "greedy", "equal"]

_TREES = ("training", "members")
"""Keys that hold settings of training."""
_OF_MEMBERS = (
    *_TREES,
    "preset",
    "backbone",
    "other_backbone",
    "other_weights",
    "layout",
    "pooling",
)
"""Keys that mean nothing to bundles that are there."""


@dataclass(frozen=True, kw_only=True)
class MemberPlan:
    """One member: what it stands on, and how it is trained."""

    backbone: str
    weights: str | None
    training: TrainConfig


@dataclass(frozen=True, kw_only=True)
class EnsemblePlan:
    """What the members share, and how they become one."""

    manifest: str  # split, with labels
    output: str  # folder of the ensemble; its members' runs lie in OUTPUT.members
    preset: str = "phase1"  # the base member's
    backbone: str | None = None  # by name; None: the preset's
    weights: str | None = None  # a folder with the backbone's weights, where not embedded
    other_backbone: str = "lite2"  # of the sixth member
    other_weights: str | None = None
    layout: ViewLayout | None = None  # None: the preset's
    pooling: str | None = None  # None: each backbone's own
    store: str | None = None  # None: `features` beside the manifest
    copies: int = 0  # augmented copies of each image that is learned from
    test: str = "test"  # the split that is left alone, and judged on
    average: AverageName = "log-odds"
    weigh: WeighName = "fitted"  # by likelihood on validation rows; or one by one, or alike
    members: Mapping[str, MemberPlan] = field(default_factory=dict)
    bundles: Mapping[str, str] = field(default_factory=dict)  # folders by name, in place of members
    held_out: str = "val"  # the split that bundles are weighed on, which none has learned from

    def __post_init__(self) -> None:
        mistakes = [
            f"{name}: {value!r} is not known; {nearest(str(value), known)}"
            for name, value, known in (
                ("average", self.average, get_args(AverageName)),
                ("weigh", self.weigh, get_args(WeighName)),
            )
            if value not in known
        ]
        if self.copies < 0:
            mistakes.append(f"copies={self.copies}, allowed: 0 and more")
        if mistakes:
            raise UsageError("; ".join(mistakes))


def six_members(detector: DetectorConfig, other_backbone: str) -> dict[str, dict[str, Any]]:
    """Settings of six members: a base, and in what each of five others differs from it.

    No pruning of views, half as many blocks more, half as wide again, twice the heads, another
    backbone: for the reference (4 blocks, 512 wide, 8 heads) 6 blocks, 768 wide, 16 heads.

    Raises:
        UsageError: the detector has no attention blocks.
    """
    encoder = detector.encoder
    if not encoder.depth or detector.dense:
        raise UsageError(
            "the six members vary attention blocks, which this preset has not: take one that has, "
            "such as phase1, or list members of your own under `members`"
        )
    wide = encoder.width * 3 // 2
    wider = {
        "projection": wide,
        "encoder": {"width": wide, "feed_forward": encoder.feed_forward * 3 // 2},
        "head": [hidden * 3 // 2 for hidden in detector.head],
    }
    blocks = {"encoder": {"depth": max(encoder.depth + 1, encoder.depth * 3 // 2)}}
    return {
        "base": {},
        "no-pruning": {"detector": {"pruner": None, "glance": None}},
        "deeper": {"detector": blocks},
        "wider": {"detector": wider},
        "more-heads": {"detector": {"encoder": {"heads": encoder.heads * 2}}},
        "other-backbone": {"backbone": other_backbone},
    }


def read_plan(path: Path) -> EnsemblePlan:
    """An ensemble's YAML file.

    ``training`` holds settings of all members, as `workzone train --config` takes; ``members``
    those of each by name, with ``backbone`` and ``weights`` of its own where they differ. Without
    ``members`` there are those of `six_members`. In place of both, ``bundles`` names models that
    are there: folders by name, or a list of folders. Paths start at the file's folder.

    Raises:
        UsageError: every mistake of all parts at once.
    """
    tree = read_tree(path)
    mistakes: list[str] = []
    bundles = tree.pop("bundles", None)
    if bundles is not None and (idle := [name for name in _OF_MEMBERS if name in tree]):
        mistakes.append(f"{path}: bundles are taken as they are: leave out {', '.join(idle)}")
    training, listed = (tree.pop(name, None) for name in _TREES)
    plan = EnsemblePlan(manifest="", output="")
    try:
        plan = from_mapping(EnsemblePlan, _below(path, tree), where=str(path))
    except UsageError as error:
        mistakes.append(str(error))
    for name, value in zip(_TREES, (training, listed), strict=True):
        if not isinstance(value, Mapping | None):
            mistakes.append(f"{path}: {name}: expected keys and values, got {value!r}")
    if bundles is not None:
        try:
            plan = dataclasses.replace(plan, bundles=_bundles(path, bundles))
        except UsageError as error:
            mistakes.append(str(error))
    if mistakes:
        raise UsageError("\n".join(mistakes))
    if bundles is not None:
        return plan
    base = preset(plan.preset)
    shared = {**base.training, "detector": dataclasses.asdict(base.detector)}
    shared = merged(shared, training or {})
    if listed is None:
        detector = from_mapping(TrainConfig, shared, where=f"{path}: training").detector
        listed = six_members(detector, plan.other_backbone)
        if plan.other_weights is not None:
            listed["other-backbone"]["weights"] = plan.other_weights
    else:
        listed = {
            name: _below(path, settings) if isinstance(settings, Mapping) else settings
            for name, settings in listed.items()
        }
    members: dict[str, MemberPlan] = {}
    for name, settings in listed.items():
        try:
            check_member_names([str(name)])
            members[str(name)] = _member(plan, shared, settings or {}, f"{path}: members.{name}")
        except UsageError as error:
            mistakes.append(str(error))
    if len(listed) < 2:
        mistakes.append(f"{path}: members: an ensemble has two or more, got {len(listed)}")
    if mistakes:
        raise UsageError("\n".join(mistakes))
    own = plan.backbone in (None, base.backbone)
    return dataclasses.replace(
        plan,
        members=members,
        layout=plan.layout or (base.layout if own else None),
        pooling=plan.pooling or (base.pooling if own else None),
    )


def _bundles(path: Path, listed: Any) -> dict[str, str]:
    """Folders by name; of a list, each has its own name.

    Raises:
        UsageError: fewer than two, two of one name, or a name or folder that is none.
    """
    if isinstance(listed, list):
        pairs = [(Path(str(folder)).name, folder) for folder in listed]
    elif isinstance(listed, Mapping):
        pairs = [(str(name), folder) for name, folder in listed.items()]
    else:
        raise UsageError(f"{path}: bundles: expected folders, got {listed!r}")
    names = [name for name, _ in pairs]
    check_member_names(names)
    wrong = [folder for _, folder in pairs if not isinstance(folder, str)]
    if wrong:
        raise UsageError(f"{path}: bundles: expected folders, got {wrong[0]!r}")
    if len(pairs) < 2:
        raise UsageError(f"{path}: bundles: an ensemble has two or more, got {len(pairs)}")
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise UsageError(
            f"{path}: bundles: two are called {twice[0]!r}: give each a name, as in "
            "{first: a/model, second: b/model}"
        )
    return {name: str(path.parent / folder) for name, folder in pairs}


def _below(path: Path, tree: Mapping[str, Any]) -> dict[str, Any]:
    """With paths that start at the file's folder."""
    named = {
        name: str(path.parent / tree[name])
        for name in ("manifest", "output", "store", "weights", "other_weights")
        if isinstance(tree.get(name), str)
    }
    return {**tree, **named}


def _member(plan: EnsemblePlan, shared: Mapping[str, Any], settings: Any, where: str) -> MemberPlan:
    if not isinstance(settings, Mapping):
        raise UsageError(f"{where}: expected keys and values, got {settings!r}")
    own = dict(settings)
    backbone, weights = own.pop("backbone", None), own.pop("weights", None)
    config = from_mapping(TrainConfig, merged(shared, own), where=where)
    if backbone is None:
        return MemberPlan(
            backbone=plan.backbone or preset(plan.preset).backbone,
            weights=weights or plan.weights,
            training=config,
        )
    return MemberPlan(backbone=str(backbone), weights=weights, training=config)
