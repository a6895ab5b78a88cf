"""``refold serve``: models over HTTP."""

from typing import Annotated

import typer

__all__ = ["serve"]

_limit = "Limits"


def serve(
    models: Annotated[
        list[str],
        typer.Argument(
            metavar="MODEL...",
            help="Model files, each as FILE or NAME=FILE. The name is part of the URL.",
        ),
    ],
    *,
    index: Annotated[
        list[str] | None,
        typer.Option(
            metavar="INDEX",
            help="Index from `refold index` to search in, as FOLDER or NAME=FOLDER. Repeat for "
            "more.",
        ),
    ] = None,
    host: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help=r"Address to bind. \[default: 127.0.0.1]")
    ] = None,
    port: Annotated[
        int | None, typer.Option(metavar="N", help=r"Port; 0 takes a free one. \[default: 8000]")
    ] = None,
    token_file: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="File with the token that clients send. REFOLD_SERVE_TOKEN holds it, too.",
        ),
    ] = None,
    anonymous: Annotated[
        bool, typer.Option("--anonymous", help="Serve other machines without a token.")
    ] = False,
    allowed_host: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Name that the Host header may have. Repeat for more."),
    ] = None,
    max_body: Annotated[
        int | None,
        typer.Option(metavar="BYTES", help="Largest body of a request.", rich_help_panel=_limit),
    ] = None,
    max_sequences: Annotated[
        int | None,
        typer.Option(metavar="N", help="Most sequences in a request.", rich_help_panel=_limit),
    ] = None,
    max_steps: Annotated[
        int | None,
        typer.Option(metavar="N", help="Most steps in a request.", rich_help_panel=_limit),
    ] = None,
    max_seconds: Annotated[
        float | None,
        typer.Option(metavar="S", help="Longest time for a request.", rich_help_panel=_limit),
    ] = None,
    max_concurrency: Annotated[
        int | None,
        typer.Option(metavar="N", help="Most requests at a time.", rich_help_panel=_limit),
    ] = None,
    max_queue: Annotated[
        int | None,
        typer.Option(metavar="N", help="Most requests that wait.", rich_help_panel=_limit),
    ] = None,
    config: Annotated[
        str | None,
        typer.Option(metavar="FILE", help="TOML file with these and more settings."),
    ] = None,
) -> None:
    """Serve models over HTTP: encode, decode, reconstruct, detect, forecast, generate and search.

    Each option is also an environment variable, such as REFOLD_SERVE_PORT. SIGHUP reads the model
    files again; SIGTERM answers the open requests and stops.
    """
    from refold.serve import named_indexes, named_paths, read_settings
    from refold.serve import serve as serve_models

    settings = read_settings(
        config,
        host=host,
        port=port,
        token_file=token_file,
        anonymous=anonymous or None,
        allowed_hosts=allowed_host or None,
        max_body=max_body,
        max_sequences=max_sequences,
        max_steps=max_steps,
        max_seconds=max_seconds,
        max_concurrency=max_concurrency,
        max_queue=max_queue,
    )
    paths = named_paths(models)
    serve_models(paths, settings, indexes=named_indexes(index or [], paths))
