"""The command that asks miners as a validator does: challenge."""

from __future__ import annotations

import enum
import json
from pathlib import Path
from typing import Annotated

import typer

from workzone.cli.console import JsonFlag, command, examples, out, print_json
from workzone.cli.options import (
    EngineOption,
    HotkeyOption,
    ManifestArgument,
    ViewSizeOption,
    WalletOption,
    WalletsOption,
)

EXAMPLES_CHALLENGE = examples(
    "workzone challenge split.parquet",
    "workzone challenge split.parquet --model mine --model other --made scenes/manifest.parquet",
    "workzone challenge split.parquet --miner 5F3s...@127.0.0.1:8091 --wallet desk --hotkey judge",
)


class WireChoice(enum.StrEnum):
    """On which wire miners are asked."""

    LEGACY = "legacy"
    BTAUTH = "btauth"
    BOTH = "both"


@command
def challenge(
    manifest: ManifestArgument,
    model: Annotated[
        list[str] | None,
        typer.Option(
            help="A model that a miner is started with meanwhile; repeatable "
            "(default: the one that comes with workzone)."
        ),
    ] = None,
    miner: Annotated[
        list[str] | None,
        typer.Option(
            metavar="HOTKEY@HOST:PORT",
            help="A miner that runs already; repeatable. It has to allow the wallet's hotkey.",
        ),
    ] = None,
    wallet: WalletOption = "default",
    hotkey: HotkeyOption = "default",
    wallets: WalletsOption = None,
    count: Annotated[int, typer.Option(min=1, help="How many challenges.")] = 500,
    split: Annotated[
        list[str] | None,
        typer.Option(
            help="Splits to draw from; repeatable "
            "(default: test, or all rows of a manifest without splits)."
        ),
    ] = None,
    made: Annotated[
        Path | None,
        typer.Option(help="A manifest of drawn scenes or composites, for synthetic challenges."),
    ] = None,
    made_share: Annotated[
        float, typer.Option(min=0, max=1, help="Share of challenges from --made.")
    ] = 0.5,
    wire: Annotated[WireChoice, typer.Option(help="The wire; both takes turns.")] = WireChoice.BOTH,
    seed: Annotated[int, typer.Option(help="Seed of all that is drawn.")] = 0,
    workers: Annotated[
        int | None, typer.Option(help="Processes of each miner that is started.")
    ] = None,
    engine: EngineOption = None,
    size: ViewSizeOption = None,
    others: Annotated[int, typer.Option(min=1, help="Other miners, for the income share.")] = 200,
    their_reward: Annotated[
        float, typer.Option(min=0, max=1, help="Their mean reward, for the income share.")
    ] = 0.5,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="Folder for report.html and rewards.json.")
    ] = Path("challenges"),
    as_json: JsonFlag = False,
) -> None:
    """Ask miners as a validator of NATIX StreetVision does, and say what they would earn.

    Challenges are drawn from labelled rows: the label, the picture and the level by chance. Each
    is signed and sent to all miners at once. Miners that are started here allow a key that is made
    for the purpose and kept nowhere; one that runs already is asked with a wallet's hotkey.
    """
    from workzone.errors import UsageError, needing_serve

    with needing_serve("workzone challenge", extra="subnet"):
        from workzone.data.manifest import read_manifest
        from workzone.files import write_text
        from workzone.report.rewards import write_rewards
        from workzone.subnet.desk import started
        from workzone.subnet.draw import draw_challenges
        from workzone.subnet.keys import WALLETS, new_key, wallet_signer
        from workzone.subnet.validator import ask_miners, judge_miners
        from workzone.subnet.wire.asking import WIRES
        from workzone.subnet.wire.posting import Target

    if miner and model:
        raise UsageError("--miner and --model: miners that run have their model; give one of them")
    photographs = read_manifest(manifest)
    if split or any(sample.split for sample in photographs):
        photographs = photographs.in_split(*(split or ["test"]))
    challenges = draw_challenges(
        photographs,
        None if made is None else read_manifest(made),
        count=count,
        share=made_share,
        seed=seed,
    )
    wires = {WireChoice.LEGACY: WIRES[:1], WireChoice.BTAUTH: WIRES[1:], WireChoice.BOTH: WIRES}
    if miner:
        targets = [Target.parse(one) for one in miner]
        signer = wallet_signer(wallet, hotkey, wallets or WALLETS)
        sent, histories = ask_miners(challenges, targets, signer, wires=wires[wire])
    else:
        signer = new_key()
        with started(
            model or [None], signer.ss58_address, workers=workers, engine=engine, size=size
        ) as here:
            sent, histories = ask_miners(challenges, here, signer, wires=wires[wire])
    report = judge_miners(
        sent,
        histories,
        title=f"Challenges from {manifest.name}",
        others=others,
        their_reward=their_reward,
    )
    write_rewards(output / "report.html", report)
    text = json.dumps(report.to_json(), indent=2, allow_nan=False)
    write_text(output / "rewards.json", text + "\n")
    if as_json:
        print_json(report.to_json())
        return
    out.print(report.table())
    out.print(f"report: {output / 'report.html'}", markup=False, soft_wrap=True)
