"""``refold generate``: new sequences from a model, compared with real ones on request."""

from typing import Annotated, Any

import typer

import refold
from refold.cli._error_messages import log
from refold.cli._files_and_streams import check_apart, data_formats, plan_output
from refold.cli._options import (
    Clip,
    Columns,
    ColumnTypes,
    IdColumn,
    InputFormat,
    Layout,
    Model,
    Quiet,
    Seed,
    Sort,
    TableFormat,
    TimeColumn,
    Unit,
    read_options,
)
from refold.cli._saved_models import check_names, file_names, load_model, opened, whole
from refold.cli.commands.encode_decode import Lengths, read_lengths
from refold.errors import ParameterError

__all__ = ["generate"]

MIN_TO_COMPARE = 5


def generate(
    model: Model,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DATA", help="File for the sequences, or -.")
    ] = "-",
    number: Annotated[
        int, typer.Option("-n", min=1, metavar="N", help="Number of sequences.")
    ] = 10,
    components: Annotated[
        int | None,
        typer.Option(
            metavar="N", help=r"Gaussians in the mixture of codes. \[default: depends on the codes]"
        ),
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(
            metavar="T", help="Sampling temperature of categories; 0 takes the most likely."
        ),
    ] = 0.0,
    lengths: Lengths = None,
    compare: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="Real sequences to compare the new ones with."),
    ] = None,
    seed: Seed = None,
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    columns: Columns = None,
    column_types: ColumnTypes = None,
    unit: Unit = None,
    input_format: InputFormat = None,
    output_format: TableFormat = None,
    *,
    layout: Layout = None,
    sort: Sort = False,
    clip: Clip = True,
    quiet: Quiet = False,
) -> None:
    """Generate new sequences: draw codes from a Gaussian mixture, and decode them."""
    options = read_options(
        id_column, time_column, columns, column_types, unit, sort=sort, layout=layout
    )
    target = plan_output(output, format_name=output_format, formats=data_formats(), default="jsonl")
    check_apart([target], [compare])
    if compare is not None and number < MIN_TO_COMPARE:
        raise ParameterError(f"--compare needs at least -n {MIN_TO_COMPARE}. Got {number}.")
    loaded = load_model(model)
    check_names(loaded.schema_, target.format)
    loaded.verbose = 0 if quiet else 1
    real = None
    if compare is not None:
        with opened(loaded, compare, options, input_format) as source:
            real = whole(source, compare).align(loaded.schema_)
    drawn = loaded.generate(
        number,
        components=components,
        temperature=temperature,
        lengths=read_lengths(lengths, number),
        clip=clip,
        random_state=seed,
    )
    sequences = refold.sequences.Sequences.from_list(drawn, schema=loaded.schema_)
    with target.writing() as path:
        refold.sequences.write(sequences, path, **file_names(loaded.schema_))
    if not quiet and target.path is not None:
        log(f"Wrote {len(sequences)} sequences to {target.name}")
    if real is not None:
        back = refold.sequences.Sequences.from_list(
            loaded.reconstruct(real, clip=clip), schema=loaded.schema_
        )
        _compare(real, back, sequences, seed or 0)


def _compare(real: Any, back: Any, new: Any, seed: int) -> None:
    """Log how the new sequences compare with real ones and with their reconstructions."""
    found = refold.evaluation.compare(real, new, seed=seed)
    if found.unseen is not None and found.unseen_real is not None:
        sizes = ", ".join(map(str, refold.evaluation.NGRAM_SIZES))
        ours, theirs = (
            ", ".join(f"{100 * share:.1f}" for share in shares)
            for shares in (found.unseen, found.unseen_real)
        )
        log(
            f"N-grams (n = {sizes}) that do not occur in one half of the real sequences: {ours} % "
            f"in the new sequences, {theirs} % in the other half of the real ones."
        )
    from_back = refold.evaluation.two_sample_test(back, new, seed=seed)
    line = (
        f"A classifier separates new from real sequences with {100 * found.two_sample_test:.0f} % "
        f"accuracy, and from reconstructions with {100 * from_back:.0f} % (chance: 50 %)"
    )
    if not real.schema.numeric.any():
        line += f"; {100 * refold.evaluation.copies(new, real):.1f} % are copies of real ones"
    log(f"{line}. Verdict: {found.verdict}.")
