"""``refold decode``: codes to sequences. ``refold reconstruct``: sequences to codes and back."""

from refold.cli import _options as options
from refold.cli._cluster import Cluster
from refold.cli._files import CODE_FORMATS, Files, data_formats, readable
from refold.cli._models import check_feature_names, load_model, write_sequences
from refold.cli._reading import Reading

__all__ = ["decode", "reconstruct"]


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

    Parameters
    ----------
    codes
        File of codes, or -.
    """
    from refold.cli._codes import read_codes

    files = Files(model, codes)
    target = files.converted(output, data_formats(), input_format, output_format)
    loaded = load_model(model)
    check_feature_names(loaded.schema, target.format)
    with readable(codes, input_format, CODE_FORMATS) as path:
        values, ids = read_codes(path, loaded.schema.id_name, loaded)
    chosen = options.read_lengths(lengths, len(values))
    decoded = loaded.decode(values, lengths=chosen, clip=clip, verbose=int(not quiet))
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
        refused = {"--output-format": output_format}
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
