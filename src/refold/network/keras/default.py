"""The default model: a bidirectional LSTM encoder, and a decoder with heads by column type."""

from collections.abc import Sequence

from refold.errors import ParameterError, argument
from refold.network.keras.autoencoder import Models, join
from refold.network.keras.decoder import DecoderSettings, find_decoder
from refold.network.keras.encoder import make_encoder
from refold.network.weights import most_linear_steps
from refold.sequences.types import number_mask


def default(
    column_types: Sequence[str],
    *,
    latent_dim: int,
    max_steps: int,
    num_categories: Sequence[int] | None = None,
    observed_flags: bool = False,
    units: int = 96,
    depth: int = 1,
    cell: str = "lstm",
    dropout: float = 0.0,
    code_noise: float = 0.0,
    decoder: str = "parallel",
    step_dropout: float = 0.0,
    variational: bool = False,
    patch: int = 1,
    linear_path: bool | None = None,
    rocket_dim: int = 0,
    length_scale: tuple[float, float] | None = None,
    by_length: bool = False,
) -> Models:
    """Build the default encoder, decoder and autoencoder.

    The encoder is a stack of bidirectional LSTMs whose states are pooled over real steps (last,
    mean, maximum).  The decoder is a stack of LSTMs whose initial states are computed from the
    code, and that read the code and the absolute position at every step.  A ``linear_path`` adds a
    linear map between all steps and the code to each of them.  The map is zero until it is trained
    or initialized with principal components.

    Parameters
    ----------
    column_types : sequence of str
        Type of each column, as in `refold.sequences.Column`.
    latent_dim : int
        Number of latent dimensions.
    max_steps : int
        Number of steps that the decoder writes.
    num_categories : sequence of int, optional
        Number of categories of each column, 0 for columns that are not categorical.
    observed_flags : bool
        Whether the input has an observed-flag channel for each feature, after the features.
    units : int
        Units of each recurrent layer, in each direction.
    depth : int
        Number of recurrent layers in the encoder, and in the decoder.
    cell : {"lstm", "gru"}
        Type of the recurrent layers: `refold.layers.LSTM` or ``keras.layers.GRU``.
    dropout : float
        Dropout rate of the states in training.
    code_noise : float
        Standard deviation of the noise added to the code in training.
    decoder : {"parallel", "autoregressive"}
        Whether a step is written from the code and the position, or from the previous step too.
        An autoregressive decoder is a model of a code and a sequence, for teacher forcing.
        `decode_autoregressively` gives it its own outputs instead.
    step_dropout : float
        Time-step dropout of the teacher-forcing input: fraction of the steps to drop.
    variational : bool
        Whether to make a ``posterior``.  The training of the estimator uses its log-variances;
        ``compile`` and ``fit`` do not.
    patch : int
        Number of steps that the LSTMs read and write at once, which shortens long sequences.  The
        linear path has no patches.
    linear_path : bool, optional
        Whether to add the linear path; by default, if a column is numeric.
    rocket_dim : int
        Number of latent dimensions, the last ones, that are ROCKET features: a fixed linear map of
        `PooledConvolutions`.
    length_scale : tuple of float, optional
        Center and scale of a `LengthEncoding`.  If given, the dimension after the learned ones
        holds the length.
    by_length : bool
        Whether the `LinearEncoding` depends on the length.

    Returns
    -------
    Models

    Examples
    --------
    >>> models = default(["numeric", "numeric"], latent_dim=4, max_steps=7, units=8)
    >>> models.encoder.output_shape, models.decoder.output_shape
    ((None, 4), (None, 7, 2))
    """
    chosen_decoder = find_decoder(decoder)
    if not isinstance(patch, int) or patch < 1 or (patch > 1 and not chosen_decoder.takes_patches):
        raise ParameterError(
            f"{argument('patch')} must be a positive integer, and 1 for an autoregressive decoder. "
            f"Got {argument(patch=patch)} and {argument(decoder=decoder)}."
        )
    most = latent_dim - 1 - (length_scale is not None)
    if not 0 <= rocket_dim <= most or (rocket_dim and variational):
        raise ParameterError(
            f"{argument('rocket_dim')} must be from 0 to {most}, because a latent dimension must "
            f"be left to learn, and 0 if {argument(variational=True)}. Got {rocket_dim!r}."
        )
    if length_scale is not None and variational:
        raise ParameterError(
            f"A latent dimension for the length is not possible with {argument(variational=True)}."
        )
    learned_dim = most + 1 - rocket_dim
    num_categories = list(num_categories or [0] * len(column_types))
    if linear_path is None:
        linear_path = bool(number_mask(column_types).any())
    num_channels = len(column_types) * (2 if observed_flags else 1)

    linear_steps = None
    if linear_path:
        width = num_channels + sum(n - 1 for n in num_categories if n)
        linear_steps = min(max_steps, most_linear_steps(width, latent_dim))
    encoder, posterior = make_encoder(
        num_categories,
        num_channels,
        learned_dim=learned_dim,
        max_steps=max_steps,
        units=units,
        depth=depth,
        cell=cell,
        dropout=dropout,
        variational=variational,
        patch=patch,
        linear_steps=linear_steps,
        by_length=by_length,
        length_scale=length_scale,
        rocket_dim=rocket_dim,
    )
    settings = DecoderSettings(
        column_types,
        num_categories,
        max_steps,
        units,
        depth,
        dropout,
        cell,
        code_noise,
        step_dropout,
        patch,
        linear_steps,
    )
    decoder_model, unroll = chosen_decoder(settings).models(latent_dim)
    return join(encoder, decoder_model, unroll, posterior)
