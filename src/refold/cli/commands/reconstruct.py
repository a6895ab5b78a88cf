"""``refold reconstruct``: sequences to codes and back."""

from refold.cli._files_and_streams import data_formats, plan_conversion
from refold.cli._options import Clip, Data, DataOutput, LatentSteps, Model, OutputFormat, Quiet
from refold.cli._reading import Reading
from refold.cli._saved_models import check_feature_names, load_model, write_sequences

__all__ = ["reconstruct"]


def reconstruct(
    model: Model,
    data: Data,
    *,
    output: DataOutput = "-",
    latent_steps: LatentSteps = None,
    reading: Reading,
    output_format: OutputFormat = None,
    clip: Clip = False,
    quiet: Quiet = False,
) -> None:
    """Encode sequences and decode them again."""
    formats = reading.input_format, output_format
    target = plan_conversion((model, data), output, data_formats(), *formats)
    loaded = load_model(model, quiet=quiet, latent_steps=latent_steps)
    check_feature_names(loaded.schema_, target.format)
    sequences = reading.read(loaded, data)
    schema = loaded.schema_.read_with(sequences.schema.id_name, sequences.schema.time_name)
    decoded = loaded.reconstruct(sequences, clip=clip)
    write_sequences(decoded, schema, target, sequences.ids, quiet=quiet)
