"""``refold explore``: a page with a map of codes, in which every place decodes."""

from typing import Annotated

import typer

from refold.cli._console import log
from refold.cli._files_and_streams import CODE_FORMATS, STREAM, readable
from refold.cli._options import LabelFile, LatentSteps, Quiet
from refold.cli._reading import Reading, require_in_memory
from refold.cli._saved_models import load_model
from refold.errors import ParameterError

__all__ = ["explore"]


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
    port: Annotated[
        int,
        typer.Option(min=0, max=65535, metavar="N", help="Port of the page; 0 takes a free one."),
    ] = 8000,
    latent_steps: LatentSteps = None,
    reading: Reading,
    quiet: Quiet = False,
) -> None:
    """Open a map of codes in the browser: every place on it decodes to a sequence.

    The page is for this machine only. Ctrl-C stops it.
    """
    from refold.explore import Atlas
    from refold.explore import explore as explore_atlas

    if STREAM in (model, data, codes, labels):
        raise ParameterError("refold explore needs named files. Standard input cannot be used.")
    loaded = load_model(model, quiet=quiet, latent_steps=latent_steps)
    with reading.described(loaded, data, label or [], labels) as (source, fields):
        sequences = require_in_memory(source, data)
    values = None
    if codes is not None:
        from refold.cli._code_reader import read_codes

        with readable(codes, None, CODE_FORMATS) as path:
            values, ids = read_codes(path, loaded.schema_.id_name)
        if ids.astype(str).tolist() != sequences.ids.astype(str).tolist():
            raise ParameterError(
                f"{codes} does not hold the codes of {data}: the ids differ. Encode {data} again."
            )
    atlas = Atlas(loaded, sequences, codes=values, fields=fields)
    loaded.verbose = 0
    if not quiet:
        log(f"The map has {len(atlas.codes)} sequences. Open its address in a browser.")
    explore_atlas(model, atlas, port=port)
