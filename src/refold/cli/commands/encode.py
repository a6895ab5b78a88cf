"""``refold encode``: sequences to codes."""

import warnings
from collections.abc import Iterator
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Console
from rich.progress import track

import refold
from refold._support.native_libraries import return_freed_memory
from refold.cli import _options as options
from refold.cli._cluster import Cluster
from refold.cli._console import log
from refold.cli._files import CODE_FORMATS, Files
from refold.cli._models import id_name, load_model, log_drift
from refold.cli._reading import Reading

__all__ = ["encode"]

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

    Parameters
    ----------
    output
        File for the codes, or -.
    features
        Write features of the decoded sequences, for classifiers and search.
    dtype
        Type of the stored values: float32 or float16 (half the size).
    """
    from refold.cli._codes import check_dtype, write_codes

    if cluster.on is not None:
        loaded = load_model(model, latent_steps=latent_steps)
        refused = {"--features": features, "--output-format": output_format}
        cluster.run("encode", loaded, data, output, reading, refused, quiet=quiet, dtype=dtype)
        return
    files = Files(model, data)
    target = files.converted(output, CODE_FORMATS, reading.input_format, output_format)
    check_dtype(dtype, target.format)
    loaded = load_model(model, latent_steps=latent_steps)
    tests_drift = not quiet and loaded.reference is not None
    sample: list[Any] = []
    with reading.opened(loaded, data, files) as source, target.writing() as path:
        blocks = _encoded(loaded, source, quiet=quiet)
        # the model stores codes without latent optimization
        if tests_drift and not loaded.latent_steps:
            blocks = _sampled(blocks, len(source), sample)
        width = loaded.code_size
        if features:
            width = loaded.features([[0.0] * width]).shape[1]
            blocks = ((loaded.features(codes), ids) for codes, ids in blocks)
        write_codes(path, blocks, len(source), id_name(source.schema), dtype, loaded)
        if tests_drift and loaded.latent_steps:
            sample = _encoder_codes(loaded, source)
    if target.path is not None and not quiet:
        what = "rows of features" if features else "codes"
        log(f"Wrote {len(source)} {what} with {width} dimensions to {target.name}")
    codes = [code for part in sample for code in part]
    if codes:
        log_drift(loaded.code_drift(codes))


def _encoder_codes(model: "refold.Model", source: "refold.Sequences") -> list[Any]:
    """Encode some sequences, evenly spaced, without latent optimization, which is much slower."""
    if source.is_mapped:
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the same as before
        some = source[:: max(1, len(source) // _SAMPLE)]
        return [model.with_latent_steps(0).encode(some)]


def _sampled(
    blocks: Iterator[tuple[Any, Any]], count: int, sample: list[Any]
) -> Iterator[tuple[Any, Any]]:
    """Pass blocks on, and collect about a thousand of their codes, evenly spaced."""
    every, done = max(1, count // _SAMPLE), 0
    for codes, ids in blocks:
        sample.append(codes[-done % every :: every].copy())  # a view would keep the whole block
        done += len(codes)
        yield codes, ids


def _encoded(
    model: "refold.Model", source: "refold.Sequences", *, quiet: bool
) -> Iterator[tuple[Any, Any]]:
    """Encode sequences, block by block if the file is larger than memory."""
    if not source.is_mapped:
        yield model.encode(source, verbose=int(not quiet)), source.ids
        return
    return_freed_memory()
    blocks = model.encode_blocks(source)
    yield from track(
        blocks, "encode", len(source.block_offsets) - 1, console=Console(stderr=True), disable=quiet
    )
