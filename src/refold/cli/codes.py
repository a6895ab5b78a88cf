"""``refold encode``, ``decode``, ``reconstruct``, ``residuals`` and ``probe``: codes and back."""

from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.progress import track

import refold
from refold.cli import _options as options
from refold.cli import _outputs as outputs
from refold.cli._inputs import RayOptions, ReadOptions, load_model, read_codes, require_in_memory
from refold.errors import ParameterError


def encode(
    model_file: options.ModelFile,
    data_file: options.DataFile,
    /,
    *,
    output: Annotated[str, Parameter(alias="-o", metavar="CODES")] = "-",
    as_features: Annotated[bool, Parameter(name="--features")] = False,
    latent_steps: options.LatentSteps = None,
    dtype: Annotated[str, Parameter(metavar="TYPE")] = "float32",
    read_options: ReadOptions = ReadOptions(),
    ray_options: RayOptions = RayOptions(),
    quiet: options.Quiet = False,
) -> None:
    """Encode sequences as codes, one row per sequence, or per window.

    Rows of windows have the id of the series, the first step, and the step after the last one. If
    the data have times, the rows also have the times of their first and last step.

    Args:
        output: File for the codes, or -.
        as_features: Write features of the decoded sequences, for classifiers and search.
        dtype: Type of the stored values: float32 or float16 (half the size).
    """
    # not at the top, because it imports PyArrow, which `refold --help` does not need
    from refold.cli import _code_files as code_files

    if ray_options.address is not None:
        model = load_model(model_file, latent_steps=latent_steps)
        settings = {"dtype": dtype, "unsupported_options": {"features": as_features}}
        ray_options.run("encode", model, data_file, output, read_options, quiet=quiet, **settings)
        return
    files = outputs.CommandFiles(data_file)
    target = files.add_output(output, outputs.CODE_FORMATS)
    refold.sequences.check_stored_code_dtype(dtype)
    if dtype != "float32" and target.format_name not in code_files.FLOAT16_FORMATS:
        raise ParameterError(
            f"--dtype {dtype} needs an output in the format .parquet or .npy. Got "
            f".{target.format_name}. Name such a file with -o."
        )
    model = load_model(model_file, latent_steps=latent_steps)
    with read_options.open_sequences(model, data_file, files) as sequences:
        model = model.adapt(sequences)  # a pretrained model takes the columns of these data
        id_column = outputs.name_id_column(sequences.schema, code_files.SPAN_COLUMNS)
        windows = model.windows(sequences)
        sequences = windows.sequences
        has_blocks = sequences.is_mapped  # data larger than memory are encoded block by block
        blocks = model.encode_blocks(sequences, verbose=int(not (quiet or has_blocks)))
        if has_blocks:  # a progress bar over all blocks, not one for each block
            console, num_blocks = Console(stderr=True), len(sequences.block_sequence_offsets) - 1
            blocks = track(blocks, "encode", num_blocks, console=console, disable=quiet)
        row_size, noun = model.code_size, "codes"
        if as_features:
            # Their number is needed before any code is encoded, so one code of zeros gets features.
            row_size, noun = model.features([[0.0] * row_size]).shape[1], "rows of features"
            blocks = ((model.features(codes), ids) for codes, ids in blocks)
        has_windows = model.window is not None
        span_table = code_files.make_span_table(windows, id_column, has_windows=has_windows)
        code_files.write_codes(target, blocks, id_column, dtype, model, span_table)
        if not quiet and target.path is not None:
            text = f"{len(sequences)} {noun} with {row_size} dimensions"
            outputs.log_line(f"Wrote {text} to {target.file_name}")


def decode(
    model_file: options.ModelFile,
    code_file: options.CodeFile,
    /,
    *,
    output: options.SequenceOutput = "-",
    lengths: options.SequenceLengths = None,
    input_format: options.InputFormat = None,
    clip_options: options.ClipOptions = options.ClipOptions(),
    quiet: options.Quiet = False,
) -> None:
    """Decode codes to sequences, each with its own length.

    If the file of codes has times, the decoded steps get times, too: from the stored start time of
    a sequence on, at its stored time gap.

    Args:
        code_file: File of codes, or -.
    """
    files = outputs.CommandFiles(code_file)
    target = files.add_output(output)
    model = load_model(model_file)
    codes, ids, get_times = read_codes(code_file, input_format, model)
    # codes tell the number of columns of a pretrained model
    model = model.adapt_to_code_width(codes)
    lengths = options.repeat_single_length(lengths, len(codes))
    decoded = model.decode(codes, lengths=lengths, clip=clip_options.mode, verbose=int(not quiet))
    target.write_sequences(decoded, model.schema, ids, get_times=get_times, quiet=quiet)


def reconstruct(
    model_file: options.ModelFile,
    data_file: options.DataFile,
    /,
    *,
    output: options.SequenceOutput = "-",
    latent_steps: options.LatentSteps = None,
    read_options: ReadOptions = ReadOptions(),
    ray_options: RayOptions = RayOptions(),
    clip_options: options.ClipOptions = options.ClipOptions(),
    quiet: options.Quiet = False,
) -> None:
    """Encode sequences and decode them again.

    If the data are a table with one row per step, and the output is CSV, JSON lines or Parquet, the
    output has the rows and columns of the data, with the reconstructed values.
    """
    if ray_options.address is not None:
        model = load_model(model_file, latent_steps=latent_steps)
        settings: Any = {"clip": clip_options.mode}
        ray_options.run(
            "reconstruct", model, data_file, output, read_options, quiet=quiet, **settings
        )
        return
    files = outputs.CommandFiles(data_file)
    target = files.add_output(output)
    model = load_model(model_file, latent_steps=latent_steps)
    sequences, rows = read_options.read_with_rows(model, data_file, files, target)
    model = model.adapt(sequences)
    decoded = model.reconstruct_to_sequences(
        sequences,
        clip=clip_options.mode,
        keeps_lengths=rows is not None,
        verbose=int(not quiet),
    )
    _write_like_data(target, decoded, sequences, rows, quiet=quiet)


def residuals(
    model_file: options.ModelFile,
    data_file: options.DataFile,
    /,
    *,
    output: options.SequenceOutput = "-",
    latent_steps: options.LatentSteps = None,
    read_options: ReadOptions = ReadOptions(),
    quiet: options.Quiet = False,
) -> None:
    """Subtract the reconstruction of each sequence from the sequence, value by value.

    Residuals have the units of the data. Where a category is reconstructed wrongly, the residual is
    1, and else 0. The rows and columns are those of the data.
    """
    files = outputs.CommandFiles(data_file)
    target = files.add_output(output)
    model = load_model(model_file, latent_steps=latent_steps)
    sequences, rows = read_options.read_with_rows(model, data_file, files, target)
    model = model.adapt(sequences)
    differences = model.residual_sequences(sequences, verbose=int(not quiet))
    _write_like_data(target, differences, sequences, rows, quiet=quiet)


def _write_like_data(
    target: outputs.OutputTarget,
    results: "refold.Sequences",
    sequences: "refold.Sequences",  # the data
    rows: Any,  # all columns of the data if a row is a step and the output is a table, else None
    *,
    quiet: bool,
) -> None:
    """Write results in the rows and columns of the data, or one by one."""
    if rows is not None:
        target.write_table(refold.sequences.table_like(results, rows, sequences.row_steps))
        target.log_number_of_sequences(len(results), quiet=quiet)
        return
    # the columns of ids and times are named as in the data
    names = sequences.schema.id_name, sequences.schema.time_name
    # Each result has the times of its sequence. `0 * lengths` says that it begins at step 0 of each
    # sequence. A longer reconstruction gets further times, at the median gap.
    get_times = partial(sequences.step_times_in_ranges, 0 * sequences.lengths)
    schema = results.schema.with_read_options(*names)
    arrays = results.to_list()
    target.write_sequences(arrays, schema, sequences.ids, get_times=get_times, quiet=quiet)


def probe(
    model_file: options.ModelFile,
    data_file: options.DataFile,
    /,
    *,
    label_column: Annotated[str, Parameter(name="--label", metavar="NAME")],
    label_file: options.LabelFile = None,
    num_folds: Annotated[int, Parameter(name="--folds", validator=Number(gte=2), metavar="N")] = 5,
    seed: options.Seed = 0,
    latent_steps: options.LatentSteps = None,
    read_options: ReadOptions = ReadOptions(),
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure the linear probe accuracy of codes and of their features, next to that of PCA.

    Cross-validates a logistic regression on the codes, on features of the sequences that they
    decode to, and on PCA codes of the same size. Codes of windows and their features are pooled to
    one vector for each series.

    Args:
        label_column: Column of labels, one value per sequence.
        num_folds: Folds of the cross-validation.
    """
    files = outputs.CommandFiles(data_file)
    model = load_model(model_file, latent_steps=latent_steps)
    context = read_options.open_with_labels(model, data_file, files, [label_column], label_file)
    with context as (opened_sequences, labels):
        sequences = require_in_memory(opened_sequences, data_file)
    model = model.adapt(sequences)
    verbose, code_size = int(not quiet), model.code_size
    vectors = {}  # (num_sequences, dimensions) by method
    if model.window is not None:  # labels belong to a series, so its windows are pooled
        vectors["Refold, pooled"] = model.pooled(sequences, verbose=verbose)
    else:
        vectors["Refold"] = model.encode(sequences, verbose=verbose)
        if model.reference is not None:  # an old model file lacks the statistics for features
            vectors["Refold, features"] = model.features(vectors["Refold"])
    aligned = sequences.convert_to_schema(model.schema)
    # PCA cannot have more dimensions than there are sequences, or than a sequence has inputs. The
    # inputs are the values of all padded steps, with categories as one-hot vectors.
    num_inputs_per_step = sum(column.output_width for column in aligned.schema.columns)
    num_inputs = max(1, int(aligned.lengths.max(initial=0))) * num_inputs_per_step
    pca_dim = min(code_size, len(aligned), num_inputs)
    pca = refold.evaluation.PCABaseline(pca_dim).fit(aligned)
    pca_note = f", {pca.latent_dim} dimensions" if pca.latent_dim < code_size else ""
    vectors[f"PCA{pca_note}"] = pca.transform(aligned)
    results = {
        method: refold.evaluation.probe(X, labels[label_column], folds=num_folds, seed=seed)
        for method, X in vectors.items()
    }
    if as_json:
        outputs.print_json({method: asdict(result) for method, result in results.items()})
    else:
        headings = f"codes of {code_size} numbers", "linear probe accuracy"
        table = [
            (method, f"{100 * result.accuracy:.1f} % ± {100 * result.deviation:.1f}")
            for method, result in results.items()
        ]
        outputs.print_table(headings, table)
    if not quiet:
        result = next(iter(results.values()))  # all methods have the same classes and folds
        outputs.log_line(
            f"{result.num_classes} classes, {result.num_folds} folds. Always predicting the most "
            f"frequent class has an accuracy of {100 * result.chance:.1f} %. PCA is fitted on "
            "these sequences."
        )
