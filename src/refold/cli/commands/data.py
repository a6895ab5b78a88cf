"""``refold data``: the included and the synthetic data sets, as files."""

from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

import refold
from refold.cli._console import log
from refold.cli._files_and_streams import (
    TABLE_FORMATS,
    check_distinct,
    data_formats,
    plan_file,
    plan_output,
)
from refold.cli._options import Quiet
from refold.cli._table_files import write_table
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
    name: Annotated[
        str | None,
        typer.Argument(metavar="[NAME]", help="Name of the data set; without it, list them."),
    ] = None,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="FILE", help="File for the sequences, or -.")
    ] = "-",
    num_sequences: Annotated[
        int | None, typer.Option("-n", metavar="N", help="Number of sequences.")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", min=0, metavar="N", help="Random seed of the sequences.")
    ] = 0,
    output_format: Annotated[
        str | None,
        typer.Option(
            "--format", metavar="FORMAT", help=r"Format of standard output. \[default: jsonl]"
        ),
    ] = None,
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="TABLE",
            help="File for the labels, one per sequence: the speakers of japanese-vowels.",
        ),
    ] = None,
    *,
    quiet: Quiet = False,
) -> None:
    """Write a data set to a file, or list the data sets."""
    if name is None:
        if output != "-" or (num_sequences, output_format, labels) != (None, None, None):
            raise ParameterError(f"Name a data set to write: {', '.join(DESCRIPTIONS)}.")
        _list()
        return
    target = plan_output(output, data_formats(), output_format)
    label_target, column, values = None, "", None
    if labels is not None:
        label_target = plan_file(
            labels, TABLE_FORMATS, "--labels cannot be standard output. Name a file."
        )
        check_distinct([target, label_target])
    sequences = refold.datasets.load(name, n=num_sequences, seed=seed)
    if label_target is not None:
        column, values = refold.datasets.labels_of(name)
    with target.writing() as path:
        refold.sequences.write(sequences, path)
    if label_target is not None and values is not None:
        import pyarrow as pa

        ids = sequences.ids.tolist()
        with label_target.writing() as path:
            write_table(path, pa.table({"id": ids, column: values[: len(ids)]}))
    if not quiet and target.path is not None:
        log(f"Wrote {len(sequences)} sequences to {output}")


def _list() -> None:
    table: Any = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", no_wrap=True)
    table.add_column("description")
    for name in refold.datasets.names():
        table.add_row(name, DESCRIPTIONS.get(name, ""))
    Console().print(table)
