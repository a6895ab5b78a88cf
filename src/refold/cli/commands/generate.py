"""``refold generate``: new sequences from a model, and how good they are."""

from typing import Annotated, Any

import typer

import refold
from refold.cli._error_messages import remark
from refold.cli._files_and_streams import check_apart, data_formats, plan_output
from refold.cli._options import (
    Clip,
    Columns,
    IdColumn,
    InputFormat,
    Kinds,
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

FEWEST = 5


def generate(
    model: Model,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="DATA", help="Where the sequences go, or -.")
    ] = "-",
    number: Annotated[int, typer.Option("-n", min=1, metavar="N", help="How many.")] = 10,
    components: Annotated[
        int | None,
        typer.Option(
            metavar="N", help=r"Gaussians of the codes' density. \[default: by the codes]"
        ),
    ] = None,
    temperature: Annotated[
        float,
        typer.Option(metavar="T", help="Of symbols: 0 takes the likeliest, 1 draws by chance."),
    ] = 0.0,
    lengths: Lengths = None,
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="DATA", help="Real sequences, to say how well the new ones are told from them."
        ),
    ] = None,
    seed: Seed = None,
    id_column: IdColumn = None,
    time_column: TimeColumn = None,
    columns: Columns = None,
    column_types: Kinds = None,
    unit: Unit = None,
    input_format: InputFormat = None,
    output_format: TableFormat = None,
    *,
    layout: Layout = None,
    sort: Sort = False,
    clip: Clip = True,
    quiet: Quiet = False,
) -> None:
    """Draw new sequences: codes from a density of those of the training data, decoded."""
    options = read_options(
        id_column, time_column, columns, column_types, unit, sort=sort, layout=layout
    )
    target = plan_output(output, format_name=output_format, formats=data_formats(), default="jsonl")
    check_apart([target], [compare])
    if compare is not None and number < FEWEST:
        raise ParameterError(f"--compare takes at least -n {FEWEST} to say anything. Got {number}.")
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
        remark(f"Wrote {len(sequences)} sequences to {target.name}")
    if real is not None:
        back = refold.sequences.Sequences.from_list(
            loaded.reconstruct(real, clip=clip), schema=loaded.schema_
        )
        _compare(real, back, sequences, seed or 0)


def _compare(real: Any, back: Any, new: Any, seed: int) -> None:
    """Say how the new sequences compare with real ones, and with reconstructions of these."""
    found = refold.evaluation.compare(real, new, seed=seed)
    if found.unseen is not None and found.unseen_real is not None:
        sizes = ", ".join(map(str, refold.evaluation.NGRAM_SIZES))
        ours, theirs = (
            ", ".join(f"{100 * share:.1f}" for share in shares)
            for shares in (found.unseen, found.unseen_real)
        )
        remark(
            f"Runs of {sizes} symbols that half of the real sequences never have: {ours} % in the "
            f"new ones, {theirs} % in the other half of the real ones."
        )
    from_back = refold.evaluation.two_sample_test(back, new, seed=seed)
    line = (
        f"A classifier tells new from real in {100 * found.two_sample_test:.0f} % of cases, "
        f"and from reconstructions of real ones in {100 * from_back:.0f} % (50 % is chance)"
    )
    if not real.schema.numeric.any():
        line += f"; {100 * refold.evaluation.copies(new, real):.1f} % of the new are among the real"
    remark(f"{line}. Verdict: {found.verdict}.")
