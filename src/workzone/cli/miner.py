"""The command that answers the subnet's validators: miner."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from workzone.cli.console import JsonFlag, command, examples, out, print_json
from workzone.cli.options import (
    DeviceOption,
    EngineOption,
    EnginePrecisionOption,
    HotkeyOption,
    ModelOption,
    ViewSizeOption,
    WalletOption,
    WalletsOption,
    WeightsOption,
    WorkersOption,
)

EXAMPLES_MINER = examples(
    "workzone miner --wallet mine --hotkey first --host 0.0.0.0",
    "workzone miner --wallet mine --hotkey first --allow validators.txt",
    "workzone miner --wallet mine --hotkey first --check",
)

_WHERE = "The subnet"
_WHO = "Who may ask"


@command
def miner(
    model: ModelOption = None,
    wallet: WalletOption = "default",
    hotkey: HotkeyOption = "default",
    wallets: WalletsOption = None,
    host: Annotated[
        str, typer.Option(help="Address to listen at; 0.0.0.0 is every network of this machine.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(help="Port; 0 takes any free one, which the log names.")
    ] = 8091,
    model_url: Annotated[
        str, typer.Option(help="Address of the model's repository, for validators that ask for it.")
    ] = "",
    state: Annotated[
        Path,
        typer.Option(help="Folder of accepted requests, and of the chain's last good answer."),
    ] = Path("miner"),
    allow: Annotated[
        Path | None,
        typer.Option(
            help="File of the hotkeys that may ask, one a line, in place of the metagraph.",
            rich_help_panel=_WHO,
        ),
    ] = None,
    stake: Annotated[
        float, typer.Option(min=0, help="The least stake of a caller.", rich_help_panel=_WHO)
    ] = 0.0,
    permit: Annotated[
        bool,
        typer.Option(
            "--permit/--no-permit",
            help="Whether callers need a validator permit.",
            rich_help_panel=_WHO,
        ),
    ] = True,
    rate: Annotated[
        float,
        typer.Option(help="Requests a second of one caller, at most.", rich_help_panel=_WHO),
    ] = 5.0,
    network: Annotated[
        str,
        typer.Option(
            help="The chain: finney, test, or an address such as ws://127.0.0.1:9944.",
            rich_help_panel=_WHERE,
        ),
    ] = "finney",
    netuid: Annotated[
        int, typer.Option(min=0, help="Number of the subnet.", rich_help_panel=_WHERE)
    ] = 72,
    refresh: Annotated[
        float,
        typer.Option(
            min=1, help="Seconds between two looks at the metagraph.", rich_help_panel=_WHERE
        ),
    ] = 600.0,
    workers: WorkersOption = None,
    queue: Annotated[
        int, typer.Option(min=1, help="Images that may wait; more are refused with 429.")
    ] = 128,
    deadline: Annotated[
        float, typer.Option(help="Seconds until the answer -1, which costs nothing.")
    ] = 8.0,
    tokens: Annotated[
        Path | None,
        typer.Option(
            help="File of bearer tokens, one a line: for who may also ask /v1 and /metrics."
        ),
    ] = None,
    check: Annotated[
        bool,
        typer.Option("--check", help="Say whether all is as it should be, and answer nobody."),
    ] = False,
    card: Annotated[
        Path | None, typer.Option(help="With --check: a model_card.json to be looked at.")
    ] = None,
    size: ViewSizeOption = None,
    engine: EngineOption = None,
    precision: EnginePrecisionOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "cpu",
    as_json: JsonFlag = False,
) -> None:
    """Answer challenges of NATIX StreetVision (Bittensor subnet 72).

    POST /ImageSynapse and /ExtendedImageSynapse take a signed challenge, on the wire of bittensor 9
    and 10 and on that of 11. Only validators of the subnet are answered, or who is on a list. Of
    the wallet nothing but the hotkey's address is read. SIGTERM lets what was accepted be
    answered, then ends.
    """
    from workzone.errors import needing_serve

    with needing_serve("workzone miner", extra="subnet"):
        from workzone.run.model_choice import ModelChoice
        from workzone.serve.config import ServeConfig
        from workzone.subnet.chain import Bittensor
        from workzone.subnet.check import check_miner
        from workzone.subnet.keys import WALLETS, hotkey_address
        from workzone.subnet.miner import MinerConfig, mine, miner_limits, miner_model
        from workzone.subnet.rates import Rates

    config = ServeConfig(
        host=host,
        port=port,
        workers=workers,
        tokens=tokens,
        limits=miner_limits(deadline=deadline, queue=queue),
        model=miner_model(
            ModelChoice(
                model=model,
                engine=engine,
                precision=precision,
                weights=weights,
                device=device,
                size=size,
            )
        ),
    )
    chain = Bittensor(network, netuid)
    if check:
        found = check_miner(
            config, chain, wallet=wallet, hotkey=hotkey, wallets=wallets or WALLETS, card=card
        )
        if as_json:
            print_json(found.to_json())
        else:
            out.print(found.table())
        raise typer.Exit(0 if found.good else 1)
    own = MinerConfig(
        hotkey=hotkey_address(wallet, hotkey, wallets or WALLETS),
        model_url=model_url,
        rates=Rates.of(rate),
    )
    mine(config, own, chain, state=state, allow=allow, stake=stake, permit=permit, refresh=refresh)
