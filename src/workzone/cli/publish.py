"""The command that makes a model's repository: publish."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from workzone.cli.console import JsonFlag, command, examples, out, print_json
from workzone.cli.options import HotkeyOption, ModelOption, WalletOption, WalletsOption

EXAMPLES_PUBLISH = examples(
    "workzone publish me/street-work --wallet mine --hotkey first",
    "workzone publish me/street-work --model model --program model-onnx --may-pass-on drawn",
    "workzone publish me/street-work --version 1.1.0 --upload",
)


@command
def publish(
    repository: Annotated[str, typer.Argument(help="On the Hugging Face hub, as owner/name.")],
    model: ModelOption = None,
    program: Annotated[
        list[Path] | None,
        typer.Option(help="An exported program of the model, to be published too; repeatable."),
    ] = None,
    name: Annotated[
        str | None, typer.Option(help="Of the model (default: that of the repository).")
    ] = None,
    version: Annotated[
        str, typer.Option(help="Three numbers; raise it with every model.")
    ] = "1.0.0",
    description: Annotated[str, typer.Option(help="A sentence for the model card.")] = "",
    wallet: WalletOption = "default",
    hotkey: HotkeyOption = "default",
    wallets: WalletsOption = None,
    may_pass_on: Annotated[
        list[str] | None,
        typer.Option(help="A source of its training data that may be passed on; repeatable."),
    ] = None,
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder to write.")] = Path(
        "published"
    ),
    upload: Annotated[
        bool,
        typer.Option("--upload/--dry-run", help="Upload it, or show what would be uploaded."),
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Make the repository that NATIX StreetVision wants of a miner's model.

    Weights as safetensors, exported programs, the model card, model_card.json as the subnet reads
    it, and the licences. A model whose training data may perhaps not be passed on is refused until
    each source is named. Nothing leaves this machine without --upload.
    """
    from workzone.subnet.keys import WALLETS, hotkey_address
    from workzone.subnet.publish import REPLACED, prepare
    from workzone.subnet.publish import upload as upload_publication

    made = prepare(
        output,
        repository=repository,
        hotkey=hotkey_address(wallet, hotkey, wallets or WALLETS),
        name=name or repository.rpartition("/")[2],
        version=version,
        description=description,
        model=model,
        programs=program or (),
        may_pass_on=may_pass_on or (),
    )
    if as_json:
        print_json(made.to_json())
    else:
        table = Table(title=f"{made.url} {'gets' if upload else 'would get'}")
        table.add_column("file", overflow="fold")
        table.add_column("bytes", justify="right")
        table.add_column("SHA-256")
        for part in made.parts:
            table.add_row(part.path, f"{part.bytes:,}", part.sha256[:16])
        out.print(table)
        out.print(
            f"An upload deletes what else the repository has in {', '.join(REPLACED)}",
            markup=False,
        )
        out.print_json(data=made.card)
    if upload:
        address = upload_publication(made)
        if not as_json:
            out.print(f"uploaded: {address}", markup=False, soft_wrap=True)
