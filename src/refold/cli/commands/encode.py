"""``refold encode``: sequences to codes."""

from collections.abc import Iterator
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import track

import refold
from refold.cli._console import log
from refold.cli._files_and_streams import CODE_FORMATS, plan_conversion
from refold.cli._freed_memory import return_freed_memory
from refold.cli._options import Data, LatentSteps, Model, OutputFormat, Quiet
from refold.cli._reading import Reading
from refold.cli._saved_models import id_name, load_model

__all__ = ["encode"]


def encode(
    model: Model,
    data: Data,
    *,
    output: Annotated[
        str, typer.Option("--output", "-o", metavar="CODES", help="File for the codes, or -.")
    ] = "-",
    features: Annotated[
        bool,
        typer.Option(
            "--features",
            help="Write features of the decoded sequences, for classifiers and search.",
        ),
    ] = False,
    latent_steps: LatentSteps = None,
    dtype: Annotated[
        str,
        typer.Option(
            metavar="TYPE",
            help="Type of the stored values: float32, float16 (half the size) or int8 (a quarter).",
        ),
    ] = "float32",
    reading: Reading,
    output_format: OutputFormat = None,
    quiet: Quiet = False,
) -> None:
    """Encode sequences as codes, one row per sequence."""
    from refold.cli._code_writer import check_dtype, write_codes

    formats = reading.input_format, output_format
    target = plan_conversion((model, data), output, CODE_FORMATS, *formats)
    check_dtype(dtype, target.format)
    loaded = load_model(model, quiet=quiet, latent_steps=latent_steps)
    with reading.opened(loaded, data) as source, target.writing() as path:
        blocks = _encoded(loaded, source, quiet=quiet)
        width = len(loaded.get_feature_names_out())
        if features:
            width = loaded.features([[0.0] * width]).shape[1]
            blocks = ((loaded.features(codes), ids) for codes, ids in blocks)
        write_codes(path, blocks, len(source), id_name(source.schema), dtype)
    if not quiet and target.path is not None:
        what = "rows of features" if features else "codes"
        log(f"Wrote {len(source)} {what} with {width} dimensions to {target.name}")


def _encoded(model: Any, source: Any, *, quiet: bool) -> Iterator[tuple[Any, Any]]:
    """Encode sequences, block by block if the file is larger than memory."""
    if isinstance(source, refold.sequences.Sequences):
        yield model.encode(source), source.ids
        return
    return_freed_memory()
    model.verbose = 0
    blocks = model.encode_blocks(source)
    yield from track(
        blocks, "encode", source.num_blocks, console=Console(stderr=True), disable=quiet
    )
