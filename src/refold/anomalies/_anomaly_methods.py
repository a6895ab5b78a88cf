"""`detect` and `held_back`, the anomaly detection of the estimator."""

from typing import Any

import numpy as np

from refold._estimator_base import EstimatorBase
from refold._support.argument_checks import check_rate
from refold._support.sampling import evenly_spaced
from refold._support.scikit_learn_protocol import check_fitted
from refold.anomalies._anomaly_scores import MOST_ERRORS, AnomalyScores, anomaly_scores
from refold.anomalies._calibrated_scores import (
    calibration_of,
    p_values,
    score_components,
    step_p_values,
    step_scores,
)
from refold.anomalies._calibration_split import first_of_each
from refold.anomalies._detection import Detection
from refold.anomalies._drift import Drift, drift_between
from refold.anomalies._training_fingerprints import warn_of_trained
from refold.errors import DataError, ParameterError, argument, spelled
from refold.evaluation import least_calibration
from refold.inference import warn_of_longer
from refold.sequences import Sequences, as_sequences, fingerprints


class AnomalyMixin(EstimatorBase):
    """Methods for anomaly detection, for an estimator that encodes and decodes.

    Examples
    --------
    >>> import refold
    >>> issubclass(refold.SequenceAutoencoder, AnomalyMixin)
    True
    """

    def _calibrate(self, sequences: Sequences) -> None:
        """Store the anomaly scores of normal sequences, to which ``detect`` compares others."""
        if not len(sequences):
            raise DataError("There is no sequence to calibrate with. Give at least one.")
        found = anomaly_scores(sequences, self._fitted, self._known())
        calibration, errors = calibration_of(found, self._known()), np.sort(found.errors)
        errors = errors[evenly_spaced(len(errors), MOST_ERRORS)]
        self._fitted = self._fitted._replace(
            calibration=calibration, held_out_errors=errors.astype(np.float32)
        )

    def _compared(self, sequences: Sequences) -> tuple[AnomalyScores, np.ndarray, np.ndarray]:
        """Return scores, their components and p-values, NaN without calibration sequences."""
        known, calibration = self._known(), self._fitted.calibration
        found = anomaly_scores(sequences, self._fitted, known)
        components = score_components(found, known)
        if calibration is None:
            return found, components, np.full(len(sequences), np.nan)
        return found, components, p_values(components.sum(axis=1), calibration)

    def held_back(self, X: Any) -> np.ndarray:
        """Find the sequences that ``fit`` received but did not train on.

        These are the sequences that ``calibration_fraction`` set aside and, without a refit, the
        validation sequences.

        Parameters
        ----------
        X : Sequences, list of arrays, array or table
            Data with the columns of the training data. Sequences are recognized by their values.

        Returns
        -------
        array of bool of shape (n_sequences,)
            True for held-back sequences. Of equal sequences, as many are marked as were held back.
            All False if the model was saved by a version of Refold that did not store this.

        Examples
        --------
        >>> import refold
        >>> sines = refold.datasets.noisy_sines(80, seed=0, max_steps=30)
        >>> ae = refold.SequenceAutoencoder(
        ...     4, calibration_fraction=0.5, units=8, latent_steps=0, max_epochs=2, random_state=0
        ... ).fit(sines)
        >>> int(ae.held_back(sines).sum())
        40
        """
        check_fitted(self)
        sequences = as_sequences(X, schema=self.schema_).align(self.schema_)
        return first_of_each(fingerprints(sequences), self._fitted.held_back)

    def detect(self, X: Any, alpha: float = 0.01) -> Detection:
        """Find anomalous sequences.

        A sequence has a high anomaly score if its reconstruction error is large, or if its code and
        its ROCKET features (pooled random convolutions) are far from those of the training data.
        The threshold comes from normal sequences that the model was not trained on, by
        split-conformal calibration: at most a share ``alpha`` of normal sequences from the same
        distribution is marked as anomalous, on average over the draw of the calibration sequences.

        Parameters
        ----------
        X : Sequences, list of arrays, array or table
            Data with the columns of the training data.
        alpha : float, default=0.01
            False alarm rate, above 0 and below 1.

        Returns
        -------
        Detection

        Raises
        ------
        ParameterError
            If ``alpha`` is out of range, or there are no calibration sequences or too few for it.
        DataError
            If the sequences cannot be used.

        Warns
        -----
        UserWarning
            If sequences are longer than the longest in training, many values are far outside of the
            training data, or the model was trained on some of the sequences.

        Examples
        --------
        >>> import refold
        >>> sines = refold.datasets.noisy_sines(80, seed=0, max_steps=30)
        >>> ae = refold.SequenceAutoencoder(
        ...     4, calibration_fraction=0.5, units=8, latent_steps=0, max_epochs=2, random_state=0
        ... ).fit(sines)
        >>> bool(ae.detect([[5.0] * 20], alpha=0.05).anomalous[0])
        True
        """
        check_fitted(self)
        alpha = check_rate("alpha", alpha, "a rate of false alarms")
        calibration = self._fitted.calibration
        if calibration is None:
            raise ParameterError(
                "detect needs normal sequences that were not trained on, and has none. Fit with "
                f"{argument(calibration_fraction=0.2)}, or "
                f"{spelled('give some to calibrate()', 'give --normal DATA')}."
            )
        needed, there = least_calibration(alpha), len(calibration.scores)
        if there < needed:
            raise ParameterError(
                f"{argument(alpha=alpha)} needs at least {needed} calibration sequences, and there "
                f"{'is' if there == 1 else 'are'} {there}. Give more, or ask for a higher rate."
            )
        sequences = self._in_memory(X)
        warn_of_longer(sequences.lengths, self.max_steps_, "detection")
        warn_of_trained(sequences, self._fitted.trained, "detection")
        found, components, chances = self._compared(sequences)
        bounds = sequences.offsets[1:-1]
        steps = step_scores(found.entries)
        return Detection(
            alpha,
            sequences.ids,
            components,
            chances,
            np.split(steps, bounds)[: len(sequences)],
            np.split(step_p_values(steps, calibration), bounds)[: len(sequences)],
            np.split(found.entries, bounds)[: len(sequences)],
            self.schema_.names,
            self._drift(found),
        )

    def drift(self, X: Any) -> Drift:
        """Test whether sequences differ from the training data, so that the model may be outdated.

        The reconstruction errors are compared with those of sequences that the model was not
        trained on, and each dimension of the codes with that of up to 1024 training sequences.

        Parameters
        ----------
        X : Sequences, list of arrays, array or table
            Data with the columns of the training data. The tests assume independent sequences.
            Overlapping windows are not independent, and the p-values are then too small.

        Returns
        -------
        Drift
            With fewer than about 50 sequences, only a large drift is significant.

        Raises
        ------
        ParameterError
            If the model has no errors of held-out sequences: it was fitted without validation, or
            saved by an earlier version of Refold. ``calibrate`` measures them.
        DataError
            If there is no sequence, or the sequences cannot be used.

        Warns
        -----
        UserWarning
            If sequences are longer than the longest in training, or many values are far outside of
            the training data.

        Notes
        -----
        The validation part of ``fit`` gives the errors of held-out sequences, measured before a
        refit. ``calibrate`` replaces them by those of its sequences. Codes are those of the
        encoder, without latent optimization.

        Examples
        --------
        >>> import refold
        >>> sines = refold.datasets.noisy_sines(200, seed=0, max_steps=30)
        >>> ae = refold.SequenceAutoencoder(
        ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
        ... ).fit(sines[:140])
        >>> ae.drift(sines[140:]).p_value > 0.001
        True
        >>> ae.drift([one + 2 for one in sines[140:].to_list()]).p_value < 0.001
        True
        """
        check_fitted(self)
        sequences = self._in_memory(X)
        if not len(sequences):
            raise DataError("There is no sequence to compare. Give at least one.")
        warn_of_longer(sequences.lengths, self.max_steps_, "detection")
        found = self._drift(anomaly_scores(sequences, self._fitted, self._known()))
        if found is None:
            raise ParameterError(
                "drift needs the errors of sequences that were not trained on, and the model has "
                f"none. Fit with {argument(validation_fraction=0.1)}, or "
                f"{spelled('give some to calibrate()', 'give --normal DATA')}."
            )
        return found

    def code_drift(self, codes: Any) -> Drift:
        """Test whether codes differ from those of the training data.

        Parameters
        ----------
        codes : array of shape (n_sequences, width of the code)
            Codes as ``transform`` returns them without latent optimization (``latent_steps=0``).

        Returns
        -------
        Drift
            Without a test of the errors.

        Raises
        ------
        DataError
            If there is no code, or the codes have the wrong shape or are not finite.
        ParameterError
            If the model file has no codes of training data.

        Examples
        --------
        >>> import refold
        >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
        >>> ae = refold.SequenceAutoencoder(
        ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
        ... ).fit(sines)
        >>> ae.code_drift(ae.transform(sines)).p_value > 0.001
        True
        """
        check_fitted(self)
        codes = self._checked_codes(codes)
        if not len(codes):
            raise DataError("There is no code to compare. Give at least one.")
        return drift_between(codes, self._known().codes)

    def _drift(self, found: AnomalyScores) -> Drift | None:
        """Compare measured sequences with the training data; None if that is not possible."""
        held_out = self._fitted.held_out_errors
        if held_out is None or not len(found.errors):
            return None
        return drift_between(found.codes, self._known().codes, found.errors, held_out)
