"""The forecast decoder of a fit: how far it looks back, and its training in each phase."""

from dataclasses import replace

import numpy as np

from refold.arguments import Arguments
from refold.evaluation import pick_season
from refold.network.keras.build import Network
from refold.network.keras.network import inference_with
from refold.sequences import Sequences
from refold.training._data_sources import Source
from refold.training._forecast_decoder import Cuts, cut, fit_forecast_decoder
from refold.training._held_out_error import holding, weights_of
from refold.training._split import Split
from refold.training._training import FitResult

# Minimum number of last steps that a forecast decoder reads, and cap on their values.
_MIN_RECENT_STEPS, _MAX_RECENT_VALUES = 16, 256
# Sequences that are searched for a season, and cap on the values to learn from.
_SEASON_SEQUENCES, _MAX_VALUES = 256, 4_000_000
# Share of a time budget for the forecast decoder.
_SHARE = 0.15
# Without held-out sequences, one of this many is held out from the training of the decoder.
_EVERY = 10


def pick_recent_steps(source: Source, rows: np.ndarray, forecast_steps: int) -> int:
    """Pick how many of the last steps a forecast decoder reads."""
    # a season, and at least as many steps as are forecast
    schema, longest = source.sequences.schema, int(source.sequences.lengths.max())
    season = _season(source, rows) or 0
    room = min(longest - forecast_steps, _MAX_RECENT_VALUES // schema.output_width)
    return max(1, min(max(season, forecast_steps, _MIN_RECENT_STEPS), room))


def autoencoder_seconds(arguments: Arguments) -> float | None:
    """Return the time budget of the autoencoder; the forecast decoder has a share of it."""
    budget, forecasts = arguments.time_budget, arguments.forecast_steps
    return None if budget is None else (1.0 - _SHARE if forecasts else 1.0) * budget


def fit_forecasts(
    network: Network, split: Split, outcome: FitResult, arguments: Arguments
) -> FitResult:
    """Fit the forecast decoder to the autoencoder of each phase, and return the new result."""
    packed, season = inference_with(network), _season(split.source, split.rows["validated"])
    options = {
        "season": season,
        "further": split.further is not None,
        "seed": split.seed,
        "verbose": arguments.verbose,
    }
    budget = arguments.time_budget
    seconds = None if budget is None else _SHARE * budget
    # if the autoencoder was not trained, the linear forecast remains
    untrained = not outcome.history["phase"] or outcome.interrupted
    max_epochs = 0 if untrained else arguments.max_epochs

    def cuts(phase: str, sequences: Sequences) -> Cuts:
        return cut(split.scaler(phase).transform(sequences), packed, split.seed)

    values = max(1.0, float(split.lengths.mean())) * split.source.sequences.schema.output_width
    most = max(1, int(_MAX_VALUES / values))
    with holding(network, outcome.validated):
        training = cuts("validated", split.sample("validated", most))
        if len(split.held_out):
            held_out = cuts("validated", split.source.held_out(split.held_out))
        else:
            apart = training.sequence % _EVERY == _EVERY - 1
            training, held_out = training.of(~apart), training.of(apart)
        kept = fit_forecast_decoder(
            network, training, held_out, max_epochs=max_epochs, seconds=seconds, **options
        )
        validated = weights_of(network)
    if outcome.validated is None:
        return outcome
    training = cuts("refit", split.sample("refit", most))
    fit_forecast_decoder(network, training, kept=kept, **options)
    return replace(outcome, validated=validated)


def _season(source: Source, rows: np.ndarray) -> int | None:
    """Return the season length of the data in steps; None if there is none."""
    return pick_season(source.sample(rows, _SEASON_SEQUENCES, 0))
