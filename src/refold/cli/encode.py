"""``refold encode``, ``decode`` and ``reconstruct``: sequences to codes, and codes to sequences."""

import warnings
from collections.abc import Iterator
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import track

import refold
from refold.cli import _options as options
from refold.cli._cluster import Cluster
from refold.cli._inputs import Reading, load_model, read_codes, read_lengths
from refold.cli._outputs import (
    CODE_FORMATS,
    Files,
    check_feature_names,
    data_formats,
    id_name,
    log,
    log_drift,
    write_sequences,
)

# Approximate number of codes that are compared with those of the training data.
_SAMPLE = 1000


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
    output_format: options.OutputFormat = None,
    quiet: options.Quiet = False,
) -> None:
    """Encode sequences as codes, one row per sequence.

    Args:
        output: File for the codes, or -.
        features: Write features of the decoded sequences, for classifiers and search.
        dtype: Type of the stored values: float32 or float16 (half the size).
    """
    from refold.cli._codes import check_dtype, write_codes

    if cluster.on is not None:
        loaded = load_model(model, latent_steps=latent_steps)
        refused = {"features": features, "output_format": output_format}
        cluster.run("encode", loaded, data, output, reading, refused, quiet=quiet, dtype=dtype)
        return
    files = Files(model, data)
    target = files.converted(output, CODE_FORMATS, reading.input_format, output_format)
    check_dtype(dtype, target.format)
    loaded = load_model(model, latent_steps=latent_steps)
    tests_drift = not quiet and loaded.reference is not None
    sample: list[Any] = []
    with reading.opened(loaded, data, files) as source, target.writing() as path:
        blocks = _encoded(loaded, source, sample, quiet=quiet)
        width = loaded.code_size
        if features:
            width = loaded.features([[0.0] * width]).shape[1]
            blocks = ((loaded.features(codes), ids) for codes, ids in blocks)
        write_codes(path, blocks, len(source), id_name(source.schema), dtype, loaded)
        if tests_drift and loaded.latent_steps:
            sample = []
            # the model stores codes without latent optimization, which is much slower
            if not source.is_mapped:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", UserWarning)  # the same as before
                    some = source[:: max(1, len(source) // _SAMPLE)]
                    sample.append(loaded.with_latent_steps(0).encode(some))
    if target.path is not None and not quiet:
        what = "rows of features" if features else "codes"
        log(f"Wrote {len(source)} {what} with {width} dimensions to {target.name}")
    codes = [code for part in sample for code in part]
    if tests_drift and codes:
        log_drift(loaded.code_drift(codes))


def _encoded(
    model: "refold.Model", source: "refold.Sequences", sample: list[Any], *, quiet: bool
) -> Iterator[tuple[Any, Any]]:
    """Encode sequences, in blocks if the file is larger than memory, and sample their codes."""
    if source.is_mapped:
        blocks, count = model.encode_blocks(source), len(source.block_offsets) - 1
        blocks = track(blocks, "encode", count, console=Console(stderr=True), disable=quiet)
    else:
        blocks = [(model.encode(source, verbose=int(not quiet)), source.ids)]
    every, done = max(1, len(source) // _SAMPLE), 0
    for codes, ids in blocks:
        sample.append(codes[-done % every :: every].copy())  # a view would keep the whole block
        done += len(codes)
        yield codes, ids


def decode(
    model: options.ModelFile,
    codes: options.File,
    /,
    *,
    output: options.DataOutput = "-",
    lengths: options.Lengths = None,
    input_format: options.InputFormat = None,
    output_format: options.OutputFormat = None,
    clip: options.Clip = False,
    quiet: options.Quiet = False,
) -> None:
    """Decode codes to sequences, each with its own length.

    Args:
        codes: File of codes, or -.
    """
    target = Files(model, codes).converted(output, data_formats(), input_format, output_format)
    loaded = load_model(model)
    check_feature_names(loaded.schema, target.format)
    values, ids = read_codes(codes, input_format, loaded)
    decoded = loaded.decode(
        values, lengths=read_lengths(lengths, len(values)), clip=clip, verbose=int(not quiet)
    )
    write_sequences(decoded, loaded.schema, target, ids, quiet=quiet)


def reconstruct(
    model: options.ModelFile,
    data: options.DataFile,
    /,
    *,
    output: options.DataOutput = "-",
    latent_steps: options.LatentSteps = None,
    reading: Reading = Reading(),
    cluster: Cluster = Cluster(),
    output_format: options.OutputFormat = None,
    clip: options.Clip = False,
    quiet: options.Quiet = False,
) -> None:
    """Encode sequences and decode them again."""
    if cluster.on is not None:
        loaded = load_model(model, latent_steps=latent_steps)
        refused = {"output_format": output_format}
        cluster.run("reconstruct", loaded, data, output, reading, refused, quiet=quiet, clip=clip)
        return
    files = Files(model, data)
    target = files.converted(output, data_formats(), reading.input_format, output_format)
    loaded = load_model(model, latent_steps=latent_steps)
    check_feature_names(loaded.schema, target.format)
    sequences = reading.read(loaded, data, files)
    schema = loaded.schema.read_with(sequences.schema.id_name, sequences.schema.time_name)
    decoded = loaded.reconstruct(sequences, clip=clip, verbose=int(not quiet))
    write_sequences(decoded, schema, target, sequences.ids, quiet=quiet)
