"""The command that puts a model behind HTTP: serve."""

from __future__ import annotations

from typing import Annotated

import typer

from workzone.cli.console import command, examples
from workzone.cli.options import (
    DeviceOption,
    EngineOption,
    EnginePrecisionOption,
    ModelOption,
    TestTimeOption,
    ViewSizeOption,
    WeightsOption,
    WorkersOption,
)
from workzone.cli.serve_options import HostOption, OriginOption, PortOption, TokensOption

EXAMPLES_SERVE = examples(
    "workzone serve",
    "workzone serve --host 0.0.0.0 --port 8080 --tokens tokens.txt",
    "workzone serve --model model --workers 4 --deadline 5",
    "workzone serve --ray local --replicas 2:2",
    "curl --data-binary @street.jpg -H 'Content-Type: image/jpeg' localhost:8080/v1/predict",
)


@command
def serve(
    model: ModelOption = None,
    host: HostOption = "127.0.0.1",
    port: PortOption = 8080,
    workers: WorkersOption = None,
    queue: Annotated[
        int, typer.Option(min=1, help="Images that may wait; more are refused with 429.")
    ] = 64,
    deadline: Annotated[
        float, typer.Option(help="Seconds from a request to its answer, at most.")
    ] = 10.0,
    tokens: TokensOption = None,
    origin: OriginOption = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Deploy to the Ray cluster at this address; local starts one on this machine.",
        ),
    ] = None,
    replicas: Annotated[
        str, typer.Option(metavar="FEWEST:MOST", help="With --ray: how many there may be.")
    ] = "1:2",
    tta: TestTimeOption = None,
    size: ViewSizeOption = None,
    share: Annotated[
        float | None,
        typer.Option(help="Share of road work among the images, if it is not a half."),
    ] = None,
    engine: EngineOption = None,
    precision: EnginePrecisionOption = None,
    weights: WeightsOption = None,
    device: DeviceOption = "cpu",
) -> None:
    """Answer over HTTP whether there is road work in images.

    POST /v1/predict takes an image, POST /v1/predict/batch several; /openapi.json describes them.
    /readyz says whether requests are taken, /metrics is for Prometheus. The log is JSON lines on
    standard error. SIGTERM lets what was accepted be answered, then ends.
    """
    from workzone.errors import UsageError, needing_serve

    with needing_serve("workzone serve"):
        from workzone.run.model_choice import ModelChoice
        from workzone.serve.config import Limits, ServeConfig
        from workzone.serve.on_ray import serve_on_ray
        from workzone.serve.server import serve as run_server

    config = ServeConfig(
        host=host,
        port=port,
        workers=workers,
        tokens=tokens,
        origins=tuple(origin or ()),
        limits=Limits(queue=queue, batch_parts=min(32, queue), deadline_seconds=deadline),
        model=ModelChoice(
            model=model,
            engine=engine,
            precision=precision,
            weights=weights,
            device=device,
            size=size,
            tta=tta,
            share=share,
        ),
    )
    if ray is None:
        run_server(config)
        return
    few, _, most = replicas.partition(":")
    if not (few.isdecimal() and most.isdecimal()):
        raise UsageError(f"--replicas {replicas!r}: give the fewest and the most, such as 1:4")
    serve_on_ray(config, ray, replicas=(int(few), int(most)))
