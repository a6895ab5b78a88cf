"""``refold serve`` and ``refold explore``: models over HTTP, and a page to look at one."""

import random
from pathlib import Path
from typing import Annotated

import typer

from refold.cli._console import log
from refold.cli._files_and_streams import (
    CODE_FORMATS,
    PAGE_FORMATS,
    STREAM,
    check_distinct,
    plan_file,
    readable,
)
from refold.cli._options import LabelFile, LatentSteps, NumClusters, Quiet
from refold.cli._reading import Reading, require_in_memory
from refold.cli._saved_models import load_model
from refold.errors import ParameterError

__all__ = ["explore", "serve"]

_limit = "Limits"
# Most sequences in a page without a server, unless the user asks for more.
_EXPORTED = 100_000


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
            help="Index from `refold index` to search in, as FILE or NAME=FILE. Repeat for more.",
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
    max_total_body: Annotated[
        int | None,
        typer.Option(
            metavar="BYTES", help="Most bytes of all bodies at a time.", rich_help_panel=_limit
        ),
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
    max_connections: Annotated[
        int | None,
        typer.Option(metavar="N", help="Most open connections.", rich_help_panel=_limit),
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
        max_total_body=max_total_body,
        max_sequences=max_sequences,
        max_steps=max_steps,
        max_seconds=max_seconds,
        max_concurrency=max_concurrency,
        max_queue=max_queue,
        max_connections=max_connections,
    )
    paths = named_paths(models)
    serve_models(paths, settings, indexes=named_indexes(index or [], paths))


def explore(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="Model file from `refold fit`.")],
    data: Annotated[str, typer.Argument(metavar="DATA", help="File of sequences.")],
    *,
    label: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Column to color by, one value per sequence. Repeat for more.",
        ),
    ] = None,
    labels: LabelFile = None,
    codes: Annotated[
        str | None,
        typer.Option(
            metavar="CODES", help="File of the codes of DATA, from `refold encode`, to save time."
        ),
    ] = None,
    num_clusters: NumClusters = None,
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, metavar="N", help="Port of the page; 0 takes a free one."),
    ] = 8000,
    export: Annotated[
        str | None,
        typer.Option(
            metavar="PAGE",
            help="Write the page to this file, .html, instead. It works without a server.",
        ),
    ] = None,
    max_sequences: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Sequences to show, drawn at random if there are more. "
            r"\[default: all, or 100,000 with --export]",
        ),
    ] = None,
    max_megabytes: Annotated[
        int, typer.Option(min=1, metavar="MB", help="Largest page that --export writes.")
    ] = 200,
    umap: Annotated[
        bool, typer.Option("--umap", help="Put a UMAP map into the page of --export, too.")
    ] = False,
    latent_steps: LatentSteps = None,
    reading: Reading,
    quiet: Quiet = False,
) -> None:
    """Open a map of codes in the browser: every place on it decodes to a sequence.

    The page is for this machine only. Ctrl-C stops it. With --export, the page is a file that you
    can share: it holds the data and the decoder.
    """
    reason = "The page cannot go to standard output. Name a file with --export."
    target = None if export is None else plan_file(export, PAGE_FORMATS, reason)
    from refold.explore import Atlas, check_exportable, export_page
    from refold.explore import explore as explore_atlas

    if STREAM in (model, data, codes, labels):
        raise ParameterError("refold explore needs named files. Standard input cannot be used.")
    check_distinct([target], [model, data, codes, labels])
    loaded = load_model(model, latent_steps=latent_steps)
    if target is not None:
        check_exportable(loaded)
        max_sequences = max_sequences or _EXPORTED
    with reading.described(loaded, data, label or [], labels) as (source, fields):
        sequences = require_in_memory(source, data)
    values = None
    if codes is not None:
        from refold.cli._code_reader import read_codes

        with readable(codes, None, CODE_FORMATS) as path:
            values, ids = read_codes(path, loaded.schema.id_name, loaded)
        if ids.astype(str).tolist() != sequences.ids.astype(str).tolist():
            raise ParameterError(
                f"{codes} does not hold the codes of {data}: the ids differ. Encode {data} again."
            )
    if max_sequences is not None and len(sequences) > max_sequences:
        whole = len(sequences)
        rows = sorted(random.Random(0).sample(range(whole), max_sequences))  # noqa: S311
        sequences, values = sequences[rows], None if values is None else values[rows]
        fields = {name: [field[row] for row in rows] for name, field in fields.items()}
        if not quiet:
            log(f"Showing {max_sequences} of {whole} sequences, drawn at random.")
    atlas = Atlas(loaded, sequences, codes=values, fields=fields, num_clusters=num_clusters)
    if target is not None:
        with target.writing() as path:
            size = export_page(
                atlas,
                path,
                name=Path(model).stem,
                umap=umap,
                max_megabytes=max_megabytes,
                verbose=0 if quiet else 1,
            )
        if not quiet:
            log(f"{export} has {size / 1e6:.1f} MB. Open it in a browser.")
        return
    if not quiet:
        log(f"The map has {len(atlas.codes)} sequences. Open its address in a browser.")
    explore_atlas(model, atlas, port=port)
