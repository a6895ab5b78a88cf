"""``refold encode``, ``decode``, ``reconstruct`` and ``probe``: codes, and what they hold."""

from dataclasses import asdict
from functools import partial
from typing import Annotated

from cyclopts import Parameter
from cyclopts.validators import Number
from rich.console import Console
from rich.progress import track

import refold
from refold.cli import _options as options
from refold.cli._inputs import Cluster, Reading, load_model, read_codes, require_in_memory
from refold.cli._outputs import (
    CODE_FORMATS,
    Files,
    data_formats,
    id_name,
    log,
    print_json,
    print_table,
)


def encode(
    model: options.ModelFile,
    data: options.DataFile,
    /,
    *,
    output: Annotated[str, Parameter(alias="-o", metavar="CODES")] = "-",
    features: bool = False,
    latent_steps: options.LatentSteps = None,
    dtype: Annotated[str, Parameter(metavar="TYPE")] = "float32",
    reading: Reading = Reading(),
    cluster: Cluster = Cluster(),
    quiet: options.Quiet = False,
) -> None:
    """Encode sequences as codes, one row per sequence, or per window.

    Rows of windows have the id of the series, the first step, and the step after the last one. If
    the data have times, the rows have those of their first and last step.

    Args:
        output: File for the codes, or -.
        features: Write features of the decoded sequences, for classifiers and search.
        dtype: Type of the stored values: float32 or float16 (half the size).
    """
    from refold.cli._code_files import PLACES, check_dtype, places_of, write_codes

    if cluster.on is not None:
        loaded = load_model(model, latent_steps=latent_steps)
        refused = {"features": features}
        cluster.run("encode", loaded, data, output, reading, refused, quiet=quiet, dtype=dtype)
        return
    files = Files(data)
    target = files.output(output, CODE_FORMATS)
    check_dtype(dtype, target.format)
    loaded = load_model(model, latent_steps=latent_steps)
    with reading.opened(loaded, data, files) as source:
        loaded = loaded.adapt(source)
        width, identity = loaded.code_size, id_name(source.schema, PLACES)
        windows = loaded.windows(source)
        source = windows.sequences
        blocks = loaded.encode_blocks(source, verbose=int(not (quiet or source.is_mapped)))
        if source.is_mapped:  # one progress bar for all blocks
            console, count = Console(stderr=True), len(source.block_offsets) - 1
            blocks = track(blocks, "encode", count, console=console, disable=quiet)
        if features:
            width = loaded.features([[0.0] * width]).shape[1]
            blocks = ((loaded.features(codes), ids) for codes, ids in blocks)
        places = places_of(windows, identity, is_cut=loaded.window is not None)
        write_codes(target, blocks, identity, dtype, loaded, places)
        if not quiet and target.path is not None:
            what = "rows of features" if features else "codes"
            log(f"Wrote {len(source)} {what} with {width} dimensions to {target.name}")


def decode(
    model: options.ModelFile,
    codes: options.File,
    /,
    *,
    output: options.DataOutput = "-",
    lengths: options.Lengths = None,
    input_format: options.InputFormat = None,
    clip: options.ClipOptions = options.ClipOptions(),
    quiet: options.Quiet = False,
) -> None:
    """Decode codes to sequences, each with its own length.

    If the file has times, those of the steps follow at the usual gap of each sequence.

    Args:
        codes: File of codes, or -.
    """
    files = Files(codes)
    target = files.output(output, data_formats())
    loaded = load_model(model)
    values, ids, times_of = read_codes(codes, input_format, loaded)
    loaded = loaded.with_columns_of(values)
    lengths = options.lengths_of(lengths, len(values))
    decoded = loaded.decode(values, lengths=lengths, clip=clip.value, verbose=int(not quiet))
    target.write_sequences(decoded, loaded.schema, ids, times_of=times_of, quiet=quiet)


def reconstruct(
    model: options.ModelFile,
    data: options.DataFile,
    /,
    *,
    output: options.DataOutput = "-",
    latent_steps: options.LatentSteps = None,
    reading: Reading = Reading(),
    cluster: Cluster = Cluster(),
    clip: options.ClipOptions = options.ClipOptions(),
    quiet: options.Quiet = False,
) -> None:
    """Encode sequences and decode them again."""
    if cluster.on is not None:
        loaded = load_model(model, latent_steps=latent_steps)
        cluster.run("reconstruct", loaded, data, output, reading, {}, quiet=quiet, clip=clip.value)
        return
    files = Files(data)
    target = files.output(output, data_formats())
    loaded = load_model(model, latent_steps=latent_steps)
    sequences = reading.read(loaded, data, files)
    loaded = loaded.adapt(sequences)
    schema = loaded.schema.read_with(sequences.schema.id_name, sequences.schema.time_name)
    decoded = loaded.reconstruct(sequences, clip=clip.value, verbose=int(not quiet))
    times_of = partial(sequences.times_between, 0 * sequences.lengths)
    target.write_sequences(decoded, schema, sequences.ids, times_of=times_of, quiet=quiet)


def probe(
    model: options.ModelFile,
    data: options.DataFile,
    /,
    *,
    label: Annotated[str, Parameter(metavar="NAME")],
    labels: options.LabelFile = None,
    folds: Annotated[int, Parameter(validator=Number(gte=2), metavar="N")] = 5,
    seed: options.FixedSeed = 0,
    latent_steps: options.LatentSteps = None,
    reading: Reading = Reading(),
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure the linear probe accuracy of codes and of their features, next to that of PCA.

    Cross-validates a logistic regression on the codes, on features of the sequences that they
    decode to, and on PCA codes of the same size. Codes of windows and their features are pooled to
    one vector for each series.

    Args:
        label: Column of labels, one value per sequence.
        folds: Folds of the cross-validation.
    """
    files = Files(data)
    loaded = load_model(model, latent_steps=latent_steps)
    with reading.described(loaded, data, files, [label], labels) as (source, columns):
        sequences = require_in_memory(source, data)
    loaded = loaded.adapt(sequences)
    verbose, width = int(not quiet), loaded.code_size
    if loaded.window is not None:  # a label is that of a series
        vectors = {"Refold, pooled": loaded.pooled(sequences, verbose=verbose)}
    else:
        vectors = {"Refold": loaded.encode(sequences, verbose=verbose)}
        if loaded.reference is not None:  # needed by the features
            vectors["Refold, features"] = loaded.features(vectors["Refold"])
    aligned = sequences.align(loaded.schema)
    widths = sum(column.width for column in aligned.schema.columns)
    flat = max(1, int(aligned.lengths.max(initial=0))) * widths
    pca = refold.evaluation.PCABaseline(min(width, len(aligned), flat)).fit(aligned)
    fewer = f", {pca.latent_dim} dimensions" if pca.latent_dim < width else ""
    vectors[f"PCA{fewer}"] = pca.transform(aligned)
    results = {
        name: refold.evaluation.probe(part, columns[label], folds=folds, seed=seed)
        for name, part in vectors.items()
    }
    if as_json:
        print_json({name: asdict(result) for name, result in results.items()})
    else:
        heading = f"codes of {width} numbers", "linear probe accuracy"
        rows = [
            (name, f"{100 * result.accuracy:.1f} % ± {100 * result.deviation:.1f}")
            for name, result in results.items()
        ]
        print_table(heading, rows)
    if not quiet:
        result = next(iter(results.values()))
        log(
            f"{result.num_classes} classes, {result.num_folds} folds. Always predicting the most "
            f"frequent class has an accuracy of {100 * result.chance:.1f} %. PCA is fitted on "
            "these sequences."
        )
