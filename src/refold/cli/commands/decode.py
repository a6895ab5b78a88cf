"""``refold decode``: codes to sequences. ``refold reconstruct``: sequences to codes and back."""

from typing import Annotated

import typer

from refold.cli._cluster import Cluster
from refold.cli._files_and_streams import CODE_FORMATS, data_formats, plan_conversion, readable
from refold.cli._lengths import Lengths, read_lengths
from refold.cli._options import (
    Clip,
    Data,
    DataOutput,
    InputFormat,
    LatentSteps,
    Model,
    OutputFormat,
    Quiet,
)
from refold.cli._reading import Reading
from refold.cli._saved_models import check_feature_names, load_model, write_sequences

__all__ = ["decode", "reconstruct"]


def decode(
    model: Model,
    codes: Annotated[str, typer.Argument(metavar="CODES", help="File of codes, or -.")],
    *,
    output: DataOutput = "-",
    lengths: Lengths = None,
    input_format: InputFormat = None,
    output_format: OutputFormat = None,
    clip: Clip = False,
    quiet: Quiet = False,
) -> None:
    """Decode codes to sequences, each with its own length."""
    from refold.cli._code_reader import read_codes

    formats = input_format, output_format
    target = plan_conversion((model, codes), output, data_formats(), *formats)
    loaded = load_model(model)
    check_feature_names(loaded.schema, target.format)
    with readable(codes, input_format, CODE_FORMATS) as path:
        values, ids = read_codes(path, loaded.schema.id_name, loaded)
    own = read_lengths(lengths, len(values))
    decoded = loaded.decode(values, lengths=own, clip=clip, verbose=int(not quiet))
    write_sequences(decoded, loaded.schema, target, ids, quiet=quiet)


def reconstruct(
    model: Model,
    data: Data,
    *,
    output: DataOutput = "-",
    latent_steps: LatentSteps = None,
    reading: Reading,
    cluster: Cluster,
    output_format: OutputFormat = None,
    clip: Clip = False,
    quiet: Quiet = False,
) -> None:
    """Encode sequences and decode them again."""
    if cluster.on is not None:
        loaded = load_model(model, latent_steps=latent_steps)
        refused = {"--output-format": output_format}
        cluster.run("reconstruct", loaded, data, output, reading, refused, quiet=quiet, clip=clip)
        return
    formats = reading.input_format, output_format
    target = plan_conversion((model, data), output, data_formats(), *formats)
    loaded = load_model(model, latent_steps=latent_steps)
    check_feature_names(loaded.schema, target.format)
    sequences = reading.read(loaded, data)
    schema = loaded.schema.read_with(sequences.schema.id_name, sequences.schema.time_name)
    decoded = loaded.reconstruct(sequences, clip=clip, verbose=int(not quiet))
    write_sequences(decoded, schema, target, sequences.ids, quiet=quiet)
