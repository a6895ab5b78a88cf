"""Lines of the log at the end of a fit: the epoch that was kept, and the held-out errors."""

from refold._support.output import log, log_kept_epoch
from refold.network.keras.build import Network
from refold.training._choose_settings import Choice
from refold.training._split import Split
from refold.training._training import FitResult


def report(
    split: Split, network: Network, outcome: FitResult, choice: Choice, max_epochs: int
) -> None:
    """Log the held-out errors of the validated weights and of PCA, and what was chosen."""
    if not len(split.held_out) or not outcome.complete or outcome.interrupted:
        return
    measured, scaler = split.comparison(network.specification.latent_dim), split.scaler("validated")
    log_kept_epoch(outcome.epoch, outcome.history["phase"].count("validated"))
    measured.report(
        network,
        scaler,
        outcome,
        latent_steps=choice.latent_steps,
        max_epochs=max_epochs,
        linear=split.further is None and outcome.epoch == 0,
    )
    if choice.message:
        log(choice.message)
    if network.specification.forecast_steps:
        measured.report_forecast(network, scaler, outcome)
