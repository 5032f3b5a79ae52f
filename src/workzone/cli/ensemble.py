"""The command that makes several models into one: ensemble."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workzone.cli.console import JsonFlag, command, err, examples, out, print_json
from workzone.cli.options import DeviceOption

EXAMPLES_ENSEMBLE = examples(
    "workzone ensemble ensemble.yaml",
    "workzone predict street.jpg --model ensemble",
)


@command
def ensemble(
    config: Annotated[
        Path, typer.Argument(help="YAML file: manifest, output, and members or bundles.")
    ],
    device: DeviceOption = "cpu",
    as_json: JsonFlag = False,
) -> None:
    """Train several models, weigh them on validation rows, and write them as one.

    The file names the manifest and the output, and may name more: docs/judge/decisions.md. Without
    `members` there are six: the preset, and it without pruning, deeper, wider, with more heads, on
    another backbone. After a stop the same command goes on where it was; members that are trained
    are kept in OUTPUT.members. With `bundles` nothing is trained: models that are there are weighed
    on the split `held_out`, on rows that none of them has seen.

    Rows of the test split tell whether the ensemble beats its best member, and decide nothing.
    """
    from workzone.run.build_ensemble import build_ensemble
    from workzone.run.ensemble_plan import read_plan

    plan = read_plan(config)
    made, judged = build_ensemble(
        plan, device=device, say=lambda line: err.print(line, markup=False, soft_wrap=True)
    )
    if as_json:
        weights = zip(made.members, made.mixture.weights, strict=True)
        print_json(
            {
                "ensemble": plan.output,
                "weights": {member.name: weight for member, weight in weights},
                "validation": made.provenance["validation"],
                "test": judged and judged.to_json(),
            }
        )
        return
    if judged is None:
        out.print("no labelled test rows: whether it beats its best member is not known")
    else:
        out.print(judged.sentence(), markup=False, soft_wrap=True)
    out.print(f"ensemble in {plan.output}", markup=False, soft_wrap=True)
