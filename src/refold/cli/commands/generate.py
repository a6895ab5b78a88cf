"""``refold generate``: new sequences from a model, compared with real ones on request."""

from typing import Annotated

from cyclopts import Parameter

import refold
from refold._support.optional_imports import check_training_packages
from refold.cli import _options as options
from refold.cli._console import log
from refold.cli._files import Files, data_formats
from refold.cli._models import check_feature_names, load_model, write_sequences
from refold.cli._reading import Reading
from refold.errors import ParameterError

__all__ = ["generate"]

MIN_TO_COMPARE = 5


def generate(
    model: options.ModelFile,
    /,
    *,
    output: options.DataOutput = "-",
    number: Annotated[options.Positive, Parameter(name="-n")] = 10,
    components: options.Count = None,
    temperature: Annotated[float, Parameter(metavar="T")] = 0.0,
    lengths: options.Lengths = None,
    compare: Annotated[str | None, Parameter(metavar="DATA")] = None,
    seed: options.Seed = None,
    reading: Reading = Reading(),
    output_format: options.TableFormat = None,
    clip: options.Clip = True,
    quiet: options.Quiet = False,
) -> None:
    """Generate new sequences: draw codes from a Gaussian mixture, and decode them.

    Parameters
    ----------
    number
        Number of sequences.
    components
        Gaussians in the mixture of codes. [default: depends on the codes]
    temperature
        Sampling temperature of categories; 0 takes the most likely.
    compare
        Real sequences to compare the new ones with.
    """
    files = Files(model, compare)
    target = files.output(output, data_formats(), output_format)
    if compare is not None and number < MIN_TO_COMPARE:
        raise ParameterError(f"--compare needs at least -n {MIN_TO_COMPARE}. Got {number}.")
    if compare is not None or components is not None:
        check_training_packages("refold generate with --compare or --components")
    loaded = load_model(model)
    check_feature_names(loaded.schema, target.format)
    real = None
    if compare is not None:
        real = reading.read(loaded, compare, files).align(loaded.schema)
    drawn = loaded.generate(
        number,
        components=components,
        temperature=temperature,
        lengths=options.read_lengths(lengths, number),
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
    comparison = refold.evaluation.compare(real, new, seed=seed)
    if comparison.unseen is not None and comparison.unseen_real is not None:
        sizes = ", ".join(map(str, refold.evaluation.NGRAM_SIZES))
        ours, theirs = (
            ", ".join(f"{100 * share:.1f}" for share in shares)
            for shares in (comparison.unseen, comparison.unseen_real)
        )
        log(
            f"N-grams (n = {sizes}) that do not occur in one half of the real sequences: {ours} % "
            f"in the new sequences, {theirs} % in the other half of the real ones."
        )
    from_back = refold.evaluation.two_sample_test(back, new, seed=seed)
    line = (
        "A classifier separates new from real sequences with "
        f"{100 * comparison.two_sample_test:.0f} % accuracy, and from reconstructions with "
        f"{100 * from_back:.0f} % (chance: 50 %)"
    )
    if not real.schema.numeric.any():
        line += f"; {100 * refold.evaluation.copies(new, real):.1f} % are copies of real ones"
    log(f"{line}. Verdict: {comparison.verdict}.")
