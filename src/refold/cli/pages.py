"""``refold report`` and ``explore``: pages about a model and data."""

import contextlib
import random
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

from refold.cli import _options as options
from refold.cli._inputs import ReadOptions, check_in_memory, load_model, read_codes
from refold.cli._outputs import (
    PAGE_FORMATS,
    STANDARD_STREAM,
    CommandFiles,
    check_no_streams,
    log,
    print_table,
)
from refold.errors import ParameterError

# Maximum number of sequences in an exported page, unless --max-sequences is set. More make a larger
# file, which a browser opens more slowly.
_MAX_EXPORTED_SEQUENCES = 100_000


def report(
    model_file: options.ModelFile,
    data_file: options.DataFile,
    /,
    *,
    output: Annotated[str, Parameter(alias="-o", metavar="PAGE")],
    label_column: options.LabelColumn = None,
    label_file: options.LabelFile = None,
    train_file: Annotated[options.FileOption, Parameter(name="--train")] = None,
    max_sequences: options.PositiveInt = 2000,
    seed: options.Seed = 0,
    latent_steps: options.LatentSteps = None,
    read_options: ReadOptions = ReadOptions(),
    quiet: options.Quiet = False,
) -> None:
    """Write a page about the data, the model, its errors next to PCA's, and the codes.

    The page is a single file that opens without a network connection.

    Args:
        output: File for the page: .html.
        label_column: Column of labels, one value per sequence, for colors.
        train_file: Training data, to fit PCA on, if DATA is other data. [default: cross-fit on
            DATA]
        max_sequences: Sequences to show, drawn at random if there are more.
    """
    files = CommandFiles(data_file, train_file)
    target = files.output(output, PAGE_FORMATS, option="--output")
    # not at the top, because they take long to import and most commands do not need them
    from refold.report import check_packages
    from refold.report import report as write_report

    check_packages()
    options.check_required_option("--labels", label_file, "--label NAME", label_column)
    model = load_model(model_file, latent_steps=latent_steps)
    label_columns = [] if label_column is None else [label_column]
    opened = read_options.open_with_metadata(model, data_file, files, label_columns, label_file)
    opened_train: Any = contextlib.nullcontext()
    if train_file is not None:
        # a label in the file of the data is likely a column of the training data, too
        excluded = label_column if label_file is None else None
        opened_train = read_options.open_sequences(model, train_file, files, label_column=excluded)
    with opened as (sequences, labels), opened_train as train_sequences:
        result = write_report(
            model,
            sequences,
            str(target.path),
            labels=None if label_column is None else labels[label_column],
            label_name=label_column,
            train=train_sequences,
            title="standard input" if data_file == STANDARD_STREAM else Path(data_file).name,
            max_sequences=max_sequences,
            seed=seed,
            verbose=0 if quiet else 1,  # logs the stages of the page
        )
    code_size, pca_size = result.code_size, result.pca_size
    pca = "PCA" if pca_size in (0, code_size) else f"PCA, {pca_size} dimensions"
    rows = [
        (
            score.meaning,
            score.number(score.value),
            "none" if score.pca is None else score.number(score.pca),
        )
        for score in result.scores
    ]
    print_table((f"codes of {code_size} dimensions", "Refold", pca), rows)
    if not quiet:
        log(f"Open {output} in a browser.")


def explore(
    model_file: Annotated[options.File, Parameter(name="MODEL")],
    data_file: Annotated[options.File, Parameter(name="DATA")],
    /,
    *,
    label_columns: Annotated[list[str] | None, Parameter(name="--label", metavar="NAME")] = None,
    label_file: options.LabelFile = None,
    code_file: Annotated[str | None, Parameter(name="--codes", metavar="CODES")] = None,
    num_clusters: options.NumClusters = None,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535), metavar="N")] = 8000,
    page_file: Annotated[str | None, Parameter(name="--export", metavar="PAGE")] = None,
    max_sequences: options.OptionalPositiveInt = None,
    umap: bool = False,
    latent_steps: options.LatentSteps = None,
    read_options: ReadOptions = ReadOptions(),
    quiet: options.Quiet = False,
) -> None:
    """Open a map of codes in the browser: every place on it decodes to a sequence.

    The page is for this machine only. Ctrl-C stops it. With --export, the page is a file that you
    can share: it holds the data and the decoder.

    Args:
        model_file: Model file from `refold fit`.
        data_file: File of sequences.
        label_columns: Column to color by, one value per sequence. Repeat for more.
        code_file: File of the codes of DATA, from `refold encode`, to save time.
        port: Port of the page; 0 takes a free one.
        page_file: Write the page to this file, .html, instead. It works without a server.
        max_sequences: Sequences to show, drawn at random. [default: all, or 100,000 with --export]
        umap: Put a UMAP map into the page of --export, too.
    """
    files = CommandFiles(data_file, code_file, label_file)
    target = files.optional_output("--export", page_file, PAGE_FORMATS)
    # not at the top, because it takes long to import and most commands do not need it
    from refold.explore import Atlas, check_exportable, export_page
    from refold.explore import explore as explore_atlas

    check_no_streams("refold explore", model_file, data_file, code_file, label_file)
    model = load_model(model_file, latent_steps=latent_steps)
    if target is not None:
        check_exportable(model)
        max_sequences = max_sequences or _MAX_EXPORTED_SEQUENCES
    names = label_columns or []
    opened = read_options.open_with_metadata(model, data_file, files, names, label_file)
    with opened as (opened_sequences, labels):
        sequences = check_in_memory(opened_sequences, data_file)
    model = model.adapt(sequences)
    windows, codes = model.windows(sequences), None
    sequences = windows.sequences
    noun = "sequences" if model.window is None else f"windows of {len(windows.lengths)} series"
    # each window has the label of its series
    labels = {name: column[windows.series] for name, column in labels.items()}
    if code_file is not None:
        codes, ids, _ = read_codes(code_file, None, model)
        if ids.astype(str).tolist() != sequences.ids.astype(str).tolist():
            problem = f"{code_file} does not hold the codes of {data_file}: the ids differ."
            raise ParameterError(f"{problem} Encode {data_file} again.")
    if max_sequences is not None and len(sequences) > max_sequences:
        # the same seed every time, so that the page shows the same sequences again
        num_sequences = len(sequences)
        rows = sorted(random.Random(0).sample(range(num_sequences), max_sequences))  # noqa: S311
        sequences, codes = sequences[rows], None if codes is None else codes[rows]
        labels = {name: [column[row] for row in rows] for name, column in labels.items()}
        if not quiet:
            log(f"Showing {max_sequences} of {num_sequences} {noun}, drawn at random.")
    atlas = Atlas(model, sequences, codes=codes, fields=labels, num_clusters=num_clusters)
    if target is not None:
        num_bytes = export_page(atlas, str(target.path), name=Path(model_file).stem, umap=umap)
        if not quiet:
            log(f"{page_file} has {num_bytes / 1e6:.1f} MB. Open it in a browser.")
        return
    if not quiet:
        log(f"The map has {len(atlas.codes)} {noun}. Open its address in a browser.")
    explore_atlas(model_file, atlas, port=port)
