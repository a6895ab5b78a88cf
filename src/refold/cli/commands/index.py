"""``refold index``: codes of sequences in an index to search in."""

from typing import Annotated, Any

from cyclopts import Parameter

import refold
from refold._support.native_libraries import return_freed_memory
from refold._support.rules import check_only_one
from refold.cli import _options as options
from refold.cli._console import log
from refold.cli._files import Files
from refold.cli._models import load_model
from refold.cli._reading import Reading

__all__ = ["index"]


def index(
    model: options.ModelFile,
    data: options.OptionalFile = None,
    /,
    *,
    output: Annotated[str, Parameter(alias="-o", metavar="INDEX")],
    add: bool = False,
    replace: bool = False,
    remove: options.Names = None,
    metadata: options.Names = None,
    labels: options.LabelFile = None,
    distance: Annotated[str, Parameter(metavar="VECTORS")] = "features",
    latent_steps: options.LatentSteps = None,
    reading: Reading = Reading(),
    quiet: options.Quiet = False,
) -> None:
    """Encode sequences into an index for `refold search`, or change an index.

    Parameters
    ----------
    data
        File of sequences to add, or -.
    output
        File of the index.
    add
        Add the rows to an existing index.
    replace
        Add the rows to an existing index, and replace those with their ids.
    remove
        Ids of rows to remove from an existing index.
    metadata
        Columns to store with the codes, one value per sequence, for hits and --where.
    distance
        What distances are measured on: features of the sequences, or the code.
    """
    check_only_one("DATA to add, or ids with --remove", data, remove)
    columns = [] if metadata is None else options.split(metadata, option="--metadata")
    files = Files(model, data)
    refold.search.load_duckdb()  # before the work, an error if it is missing
    loaded, verbose = load_model(model, latent_steps=latent_steps), int(not quiet)
    if data is None:
        opened = refold.search.Index.open(output, loaded, verbose=verbose)
        count = opened.remove(options.split(str(remove), option="--remove", noun="id"))
        done = f"Removed {count} of {len(opened) + count} rows from"
    else:
        with reading.described(loaded, data, files, columns, labels) as (source, found):
            if source.is_mapped:
                return_freed_memory()
            described = {name: _numbers(values) for name, values in found.items()}
            if add or replace:
                opened = refold.search.Index.open(output, loaded, verbose=verbose)
                opened.add(source, metadata=described, replace=replace)
            else:
                opened = refold.search.Index.create(
                    output,
                    loaded,
                    source,
                    metadata=described,
                    distance=distance,
                    verbose=verbose,
                )
        done = f"Wrote {len(source)} rows to"
    if not quiet:
        log(f"{done} {output}. It has {len(opened)} rows.")


def _numbers(values: Any) -> Any:
    """Return numbers if all values are numbers; labels are read as integers or text."""
    try:
        return values.astype(float) if values.dtype.kind == "U" else values
    except ValueError:
        return values
