"""``refold search``: the nearest sequences in an index."""

from typing import Annotated

import typer

import refold
from refold._support.rules import check_only_one
from refold.cli._console import log
from refold.cli._files_and_streams import (
    CODE_FORMATS,
    TABLE_FORMATS,
    check_distinct,
    check_one_stream,
    plan_output,
    readable,
)
from refold.cli._options import LatentSteps, Model, Quiet, TableFormat, split
from refold.cli._picture_files import plan_picture, write_picture
from refold.cli._reading import Reading
from refold.cli._saved_models import load_model
from refold.cli._table_files import write_table

__all__ = ["search"]

# Hits of the first query in a picture.
_DRAWN = 6


def search(
    model: Model,
    index: Annotated[str, typer.Argument(metavar="INDEX", help="File from `refold index`.")],
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="File of sequences to search for, or -.")
    ] = None,
    *,
    ids: Annotated[
        str | None,
        typer.Option(
            "--like", metavar="A,B,...", help="Ids of rows of the index to search for, not DATA."
        ),
    ] = None,
    codes: Annotated[
        str | None, typer.Option(metavar="CODES", help="File of codes to search for, not DATA.")
    ] = None,
    k: Annotated[int, typer.Option("-k", min=1, metavar="N", help="Hits per query.")] = 10,
    where: Annotated[
        str | None,
        typer.Option(
            metavar="CONDITION", help="Condition on id and metadata, as in SQL: \"site = 'a'\"."
        ),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="TABLE", help="File for one row per hit, or -.")
    ] = "-",
    picture: Annotated[
        str | None,
        typer.Option(
            metavar="PICTURE", help="Image file for the first query under its hits: .png or .svg."
        ),
    ] = None,
    latent_steps: LatentSteps = None,
    reading: Reading,
    output_format: TableFormat = None,
    quiet: Quiet = False,
) -> None:
    """Find the nearest sequences in an index."""
    check_only_one("DATA, --like ids or --codes to search for", data, ids, codes)
    check_one_stream(model, data, codes)
    target = plan_output(output, TABLE_FORMATS, output_format)
    picture_target = plan_picture(picture)
    check_distinct([target, picture_target], (data, codes))
    refold.search.load_duckdb()  # before the work, an error if it is missing
    loaded = load_model(model, latent_steps=latent_steps)
    opened = refold.search.Index.open(index, loaded, verbose=int(not quiet))
    asked = {"k": k, "where": where}
    if data is not None:
        sequences = reading.read(loaded, data)
        found = opened.search(sequences, **asked)
    elif ids is not None:
        sequences = None
        found = opened.search(ids=split(ids, option="--like", noun="id"), **asked)
    else:
        from refold.cli._code_reader import read_codes

        with readable(str(codes), reading.input_format, CODE_FORMATS) as path:
            sequences, (values, names) = None, read_codes(path, loaded.schema.id_name, loaded)
        found = opened.search(codes=values, names=names, **asked)
    with target.writing() as path:
        write_table(path, found.table)
    if picture_target is not None:
        axes = refold.search.draw(loaded, found, sequences, num=_DRAWN)
        write_picture(axes[0].figure, picture_target)
    if not quiet:
        log(f"Found {found.table.num_rows} hits of {len(found)} queries in {len(opened)} rows.")
