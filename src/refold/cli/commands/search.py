"""``refold search``: the nearest sequences in an index."""

from typing import Annotated

from cyclopts import Parameter

import refold
from refold._support.rules import check_only_one
from refold.cli import _options as options
from refold.cli._console import log
from refold.cli._files import CODE_FORMATS, TABLE_FORMATS, Files, readable
from refold.cli._models import load_model
from refold.cli._reading import Reading

__all__ = ["search"]

# Hits of the first query in a picture.
_DRAWN = 6


def search(
    model: options.ModelFile,
    index: options.File,
    data: options.OptionalFile = None,
    /,
    *,
    ids: Annotated[options.Names, Parameter(name="--like")] = None,
    codes: Annotated[str | None, Parameter(metavar="CODES")] = None,
    k: Annotated[options.Positive, Parameter(name="-k")] = 10,
    where: Annotated[str | None, Parameter(metavar="CONDITION")] = None,
    output: options.Table = "-",
    picture: options.Picture = None,
    latent_steps: options.LatentSteps = None,
    reading: Reading = Reading(),
    output_format: options.TableFormat = None,
    quiet: options.Quiet = False,
) -> None:
    """Find the nearest sequences in an index.

    Parameters
    ----------
    index
        File from `refold index`.
    data
        File of sequences to search for, or -.
    ids
        Ids of rows of the index to search for, not DATA.
    codes
        File of codes to search for, not DATA.
    k
        Hits per query.
    where
        Condition on id and metadata, as in SQL: "site = 'a'".
    output
        File for one row per hit, or -.
    picture
        Image file for the first query under its hits: .png or .svg.
    """
    check_only_one("DATA, --like ids or --codes to search for", data, ids, codes)
    files = Files(model, data, codes)
    target = files.output(output, TABLE_FORMATS, output_format)
    picture_target = files.picture(picture)
    refold.search.load_duckdb()  # before the work, an error if it is missing
    loaded = load_model(model, latent_steps=latent_steps)
    opened = refold.search.Index.open(index, loaded, verbose=int(not quiet))
    asked = {"k": k, "where": where}
    if data is not None:
        sequences = reading.read(loaded, data, files)
        found = opened.search(sequences, **asked)
    elif ids is not None:
        sequences = None
        found = opened.search(ids=options.split(ids, option="--like", noun="id"), **asked)
    else:
        from refold.cli._codes import read_codes

        with readable(str(codes), reading.input_format, CODE_FORMATS) as path:
            sequences, (values, names) = None, read_codes(path, loaded.schema.id_name, loaded)
        found = opened.search(codes=values, names=names, **asked)
    target.write_table(found.table)
    if picture_target is not None:
        axes = refold.search.draw(loaded, found, sequences, num=_DRAWN)
        picture_target.write_picture(axes[0].figure)
    if not quiet:
        log(f"Found {found.table.num_rows} hits of {len(found)} queries in {len(opened)} rows.")
