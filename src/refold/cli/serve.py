"""``refold serve`` and ``refold explore``: models over HTTP, and a page to look at one."""

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number

from refold.cli import _options as options
from refold.cli._inputs import Reading, load_model, read_codes, require_in_memory
from refold.cli._outputs import PAGE_FORMATS, Files, check_named, log
from refold.errors import ParameterError

# Maximum number of sequences in a page without a server, unless the user asks for more.
_EXPORTED = 100_000

_Bytes = Annotated[int | None, Parameter(metavar="BYTES")]


@Parameter(name="*", group=options.PANELS["Limits"])
@dataclass(frozen=True)
class Limits:
    """Limits of the service.

    Args:
        max_body: Largest body of a request.
        max_total_body: Most bytes of all bodies at a time.
        max_sequences: Most sequences in a request.
        max_steps: Most steps in a request.
        max_seconds: Longest time for a request.
        max_concurrency: Most requests at a time.
        max_queue: Most requests that wait.
        max_connections: Most open connections.
    """

    max_body: _Bytes = None
    max_total_body: _Bytes = None
    max_sequences: options.Count = None
    max_steps: options.Count = None
    max_seconds: Annotated[float | None, Parameter(metavar="S")] = None
    max_concurrency: options.Count = None
    max_queue: options.Count = None
    max_connections: options.Count = None


def serve(
    models: Annotated[list[str], Parameter(allow_leading_hyphen=False)],
    /,
    *,
    index: Annotated[list[str] | None, Parameter(metavar="INDEX")] = None,
    host: Annotated[str | None, Parameter(metavar="ADDRESS")] = None,
    port: options.Count = None,
    token_file: options.SideFile = None,
    anonymous: bool = False,
    allowed_host: Annotated[list[str] | None, Parameter(metavar="NAME")] = None,
    limits: Limits = Limits(),
    config: options.SideFile = None,
) -> None:
    """Serve models over HTTP: encode, decode, reconstruct, detect, forecast, generate and search.

    Each option is also an environment variable, such as REFOLD_SERVE_PORT. SIGHUP reads the model
    files again; SIGTERM answers the open requests and stops.

    Args:
        models: Model files, each as FILE or NAME=FILE. The name is part of the URL.
        index: Index from `refold index` to search in, as FILE or NAME=FILE. Repeat for more.
        host: Address to bind. [default: 127.0.0.1]
        port: Port; 0 takes a free one. [default: 8000]
        token_file: File with the token that clients send. REFOLD_SERVE_TOKEN holds it, too.
        anonymous: Serve other machines without a token.
        allowed_host: Name that the Host header may have. Repeat for more.
        config: TOML file with these and more settings.
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
        **vars(limits),
    )
    paths = named_paths(models)
    serve_models(paths, settings, indexes=named_indexes(index or [], paths))


def explore(
    model: options.File,
    data: options.File,
    /,
    *,
    label: Annotated[list[str] | None, Parameter(metavar="NAME")] = None,
    labels: options.LabelFile = None,
    codes: Annotated[str | None, Parameter(metavar="CODES")] = None,
    num_clusters: options.NumClusters = None,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535), metavar="N")] = 8000,
    export: Annotated[str | None, Parameter(metavar="PAGE")] = None,
    max_sequences: options.PositiveOrNone = None,
    max_megabytes: Annotated[options.Positive, Parameter(metavar="MB")] = 200,
    umap: bool = False,
    latent_steps: options.LatentSteps = None,
    reading: Reading = Reading(),
    quiet: options.Quiet = False,
) -> None:
    """Open a map of codes in the browser: every place on it decodes to a sequence.

    The page is for this machine only. Ctrl-C stops it. With --export, the page is a file that you
    can share: it holds the data and the decoder.

    Args:
        model: Model file from `refold fit`.
        data: File of sequences.
        label: Column to color by, one value per sequence. Repeat for more.
        codes: File of the codes of DATA, from `refold encode`, to save time.
        port: Port of the page; 0 takes a free one.
        export: Write the page to this file, .html, instead. It works without a server.
        max_sequences: Sequences to show, drawn at random. [default: all, or 100,000 with --export]
        max_megabytes: Largest page that --export writes.
        umap: Put a UMAP map into the page of --export, too.
    """
    files = Files(model, data, codes, labels)
    target = files.optional("--export", export, PAGE_FORMATS)
    from refold.explore import Atlas, check_exportable, export_page
    from refold.explore import explore as explore_atlas

    check_named("refold explore", model, data, codes, labels)
    loaded = load_model(model, latent_steps=latent_steps)
    if target is not None:
        check_exportable(loaded)
        max_sequences = max_sequences or _EXPORTED
    with reading.described(loaded, data, files, label or [], labels) as (source, fields):
        sequences = require_in_memory(source, data)
    values = None
    if codes is not None:
        values, ids = read_codes(codes, None, loaded)
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
