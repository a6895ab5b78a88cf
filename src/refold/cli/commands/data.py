"""``refold data``: the included and the synthetic data sets, as files."""

from typing import Annotated

from cyclopts import Parameter

import refold
from refold.cli import _options as options
from refold.cli._console import log, print_table
from refold.cli._files import TABLE_FORMATS, Files, data_formats
from refold.errors import ParameterError

__all__ = ["data"]

DESCRIPTIONS = {
    "moving-ones": "a moving one: 8 binary features, 0 to 10 steps",
    "question": "a moving one, 5 features, zero-padded to 10 steps, as in the question",
    "random-one-hot": "random one-hot tokens: 5 binary features, 10 steps",
    "noisy-sines": "noisy sines of random length, 1 feature",
    "ramps": "four ramps, 1 feature, as in the second answer",
    "japanese-vowels": "270 utterances of 9 speakers, 12 features",
    "japanese-vowels-test": "370 other utterances of the same speakers",
}


def data(
    name: options.OptionalFile = None,
    /,
    *,
    output: options.DataOutput = "-",
    num_sequences: Annotated[options.Count, Parameter(name="-n")] = None,
    seed: options.FixedSeed = 0,
    output_format: Annotated[options.TableFormat, Parameter(name="--format")] = None,
    labels: Annotated[str | None, Parameter(metavar="TABLE")] = None,
    quiet: options.Quiet = False,
) -> None:
    """Write a data set to a file, or list the data sets.

    Parameters
    ----------
    name
        Name of the data set; without it, list them.
    num_sequences
        Number of sequences.
    labels
        File for the labels, one per sequence: the speakers of japanese-vowels.
    """
    if name is None:
        if output != "-" or (num_sequences, output_format, labels) != (None, None, None):
            raise ParameterError(f"Name a data set to write: {', '.join(DESCRIPTIONS)}.")
        names = refold.datasets.names()
        print_table(("name", "description"), [(n, DESCRIPTIONS.get(n, "")) for n in names], left=2)
        return
    files = Files()
    target = files.output(output, data_formats(), output_format)
    label_target = files.named_output("--labels", labels, TABLE_FORMATS)
    sequences = refold.datasets.load(name, n=num_sequences, seed=seed)
    if label_target is not None:
        import pyarrow as pa

        column, values = refold.datasets.labels_of(name)
        ids = sequences.ids.tolist()
        label_table = pa.table({"id": ids, column: values[: len(ids)]})
    with target.writing() as path:
        refold.sequences.write(sequences, path)
    if label_target is not None:
        label_target.write_table(label_table)
    if not quiet and target.path is not None:
        log(f"Wrote {len(sequences)} sequences to {output}")
