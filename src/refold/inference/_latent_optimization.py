"""Latent optimization: codes that decode to their sequences better than the encoder's codes."""

import numpy as np

from refold.inference._decoder import Decoder, Decoding
from refold.inference._length_model import LengthDimension, LengthModel
from refold.kernels import packed

# Error of the predicted length, in steps, that costs nothing; below half a step.
_MARGIN = np.float32(0.3)


class LatentObjective:
    """Negative log-likelihood of each sequence given a code, plus a prior around a first code.

    It is the sum of squared errors divided by twice the residual variance of the linear
    initialization, cross-entropies, and a cost of steps that a wrong predicted length would add
    or lose.  The prior is a normal distribution around the encoder's code, so that a few observed
    values do not determine the whole code.  Its minimum is a better code than the encoder's, above
    all for sequences that the encoder was not trained on [1]_.

    Parameters
    ----------
    decoder : Decoder
    length : LengthModel or LengthDimension
        A predicted length is part of the objective.
    x : array of float32 of shape (n_rows, channels)
        Input of the encoder, and teacher-forcing input of an autoregressive decoder.
    targets : array of float32 of shape (n_rows, columns)
        Scaled values, NaN where not observed.
    offsets : array of int64 of shape (n_sequences + 1,)
    codes : array of float32 of shape (n_sequences, latent_dim)
        The encoder's codes.
    learned_dim : int
        Number of dimensions of a code, the first ones, that change.

    References
    ----------
    .. [1] C. Cremer, X. Li, D. Duvenaud, "Inference Suboptimality in Variational Autoencoders",
       ICML 2018; Y. Kim et al., "Semi-Amortized Variational Autoencoders", ICML 2018.
    """

    def __init__(
        self,
        decoder: Decoder,
        length: LengthModel | LengthDimension,
        x: np.ndarray,
        targets: np.ndarray,
        offsets: np.ndarray,
        codes: np.ndarray,
        *,
        learned_dim: int,
    ) -> None:
        self._decoder = decoder
        self._length = length if isinstance(length, LengthModel) else None
        self._offsets, self._codes = offsets, codes
        self._learned_dim = learned_dim
        self._lengths = np.diff(offsets).astype(np.float32)
        head = decoder.head
        self._layout = decoder.layout(offsets, x)
        self._decoding: Decoding | None = None
        observed = ~np.isnan(targets)
        self._targets = np.where(observed, targets, np.float32(0))
        weight = np.ones(len(head.column_types), np.float32)
        if head.numeric.any() and decoder.scale is not None:
            # one variance for all columns, as in the training loss
            at = [block.start for _, kind, block in head.columns() if kind == "numeric"]
            variance = float((decoder.scale[at] ** 2).mean())
            weight[head.numeric] = 0.5 / max(variance, 1e-12)
        self._weight = observed * weight
        whole = packed.segment_sum(self._weight, offsets).sum(axis=1)
        # a missing step costs about as much as predicting the mean of every column
        self._cost_of_step = whole / np.maximum(self._lengths, np.float32(1))

    def __call__(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the objective (n_sequences,) and its gradient (n_sequences, latent_dim)."""
        outputs, decoding = self._decoder(codes, self._layout, keep=True, reuse=self._decoding)
        self._decoding = decoding
        errors, d_logits = self._decoder.head.errors(outputs, self._targets, self._weight)
        loss = packed.segment_sum(errors, self._offsets).sum(axis=1)
        gradient = self._decoder.gradient(decoding, d_logits)
        if self._length is not None:
            predicted, d_predicted = self._length.with_gradient(codes)
            away = predicted - self._lengths
            off = np.maximum(np.abs(away) - _MARGIN, np.float32(0))
            loss += off**2 / (1 + off) * self._cost_of_step
            slope = off * (off + 2) / (1 + off) ** 2 * np.sign(away) * self._cost_of_step
            gradient += slope[:, None] * d_predicted
        moved = codes - self._codes
        loss += np.float32(0.5) * (moved * moved).sum(axis=1)
        gradient += moved
        gradient[:, self._learned_dim :] = 0
        return loss, gradient
