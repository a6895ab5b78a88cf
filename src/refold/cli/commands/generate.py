"""``refold generate``: new sequences from a model, compared with real ones on request."""

from typing import Annotated

import typer

import refold
from refold._support.optional_imports import check_training_packages
from refold.cli._console import log
from refold.cli._files_and_streams import check_distinct, data_formats, plan_output
from refold.cli._lengths import Lengths, read_lengths
from refold.cli._options import Clip, DataOutput, Model, Quiet, Seed, TableFormat
from refold.cli._reading import Reading
from refold.cli._saved_models import check_feature_names, load_model, write_sequences
from refold.errors import ParameterError

__all__ = ["generate"]

MIN_TO_COMPARE = 5


def generate(
    model: Model,
    *,
    output: DataOutput = "-",
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
    reading: Reading,
    output_format: TableFormat = None,
    clip: Clip = True,
    quiet: Quiet = False,
) -> None:
    """Generate new sequences: draw codes from a Gaussian mixture, and decode them."""
    target = plan_output(output, data_formats(), output_format)
    check_distinct([target], [compare])
    if compare is not None and number < MIN_TO_COMPARE:
        raise ParameterError(f"--compare needs at least -n {MIN_TO_COMPARE}. Got {number}.")
    if compare is not None or components is not None:
        check_training_packages("refold generate with --compare or --components")
    loaded = load_model(model)
    check_feature_names(loaded.schema, target.format)
    real = None
    if compare is not None:
        real = reading.read(loaded, compare).align(loaded.schema)
    drawn = loaded.generate(
        number,
        components=components,
        temperature=temperature,
        lengths=read_lengths(lengths, number),
        clip=clip,
        random_state=seed,
    )
    sequences = write_sequences(drawn, loaded.schema, target, quiet=quiet)
    if real is not None:
        back = refold.sequences.Sequences.from_list(
            loaded.reconstruct(real, clip=clip), schema=loaded.schema
        )
        _compare(real, back, sequences, seed or 0)


def _compare(
    real: "refold.Sequences", back: "refold.Sequences", new: "refold.Sequences", seed: int
) -> None:
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
