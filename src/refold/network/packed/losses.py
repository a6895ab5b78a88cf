"""Losses on packed rows: errors of reconstructions, and the objective of latent optimization."""

from typing import NamedTuple

import numpy as np

from refold.kernels import packed
from refold.network.packed.decoder import Decoding, PackedDecoder
from refold.network.packed.lengths import LengthDimension, LengthModel

# Error of the predicted length, in steps, that costs nothing; below half a step.
_MARGIN = np.float32(0.3)
# Shape of the cost of larger errors; see `cost_of_length`.
_BEND, _JUMP, _WIDTH = np.float32(0.2), np.float32(0.5), np.float32(0.1)


class ErrorTotals(NamedTuple):
    """Sums over sequences."""

    error: float  # of all observed values, with the loss of their column types
    num_observed: int
    length_error: float  # negative log-likelihoods of the lengths, in nats
    num_sequences: int


class LatentObjective:
    """Negative log-likelihood of each sequence given a code, plus a prior around a first code."""

    # The sum of squared errors divided by twice the residual variance of the linear initialization,
    # cross-entropies, and a cost of steps that a wrong predicted length would add or lose. The
    # prior is a normal distribution around the encoder's code, so that a few observed values do not
    # determine the whole code. The minimum is a better code than the encoder's, above all for
    # sequences that the encoder was not trained on: C. Cremer, X. Li, D. Duvenaud, "Inference
    # Suboptimality in Variational Autoencoders", ICML 2018; Y. Kim et al., "Semi-Amortized
    # Variational Autoencoders", ICML 2018.
    #
    # ``x`` (n_rows, channels) is the encoder's input, ``targets`` (n_rows, columns) are NaN where
    # not observed, ``codes`` are the encoder's. Only the first ``learned_dim`` dimensions change.

    def __init__(
        self,
        decoder: PackedDecoder,
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
        self._codes = codes
        self._learned_dim = learned_dim
        self._lengths = np.diff(offsets).astype(np.float32)
        head = decoder.head
        self._layout = decoder.layout(offsets, x)
        self._decoding: Decoding | None = None
        observed = ~np.isnan(targets)
        weight = np.ones(len(head.column_types), np.float32)
        if head.numeric.any() and decoder.scale is not None:
            # one variance for all columns, as in the training loss
            numbers = [one for one in head.columns() if one.type.is_number]
            at = [one.block.start for one in numbers]
            variance = float((decoder.scale[at] ** 2).mean())
            for one in numbers:
                weight[one.index] = 1 / one.type.loss_slope / max(variance, 1e-12)
        shape = self._layout.steps[-1], targets.shape[1]
        self._targets, self._weight = np.zeros((2, *shape), np.float32)
        self._targets[self._layout.rows] = np.where(observed, targets, np.float32(0))
        self._weight[self._layout.rows] = observed * weight  # 0 at steps that complete a patch
        whole = self._sums(self._weight)
        # a missing step costs about as much as predicting the mean of every column
        self._cost_of_step = whole / np.maximum(self._lengths, np.float32(1))

    def __call__(self, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the objective (n_sequences,) and its gradient (n_sequences, latent_dim)."""
        outputs, self._decoding = self._decoder(
            codes, self._layout, keep=True, reuse=self._decoding
        )
        errors, d_logits = self._decoder.head.errors(outputs, self._targets, self._weight)
        gradient = self._decoder.gradient(self._decoding, d_logits)
        predicted = None
        if self._length is not None:
            predicted, d_predicted = self._length.with_gradient(codes)
            _, slope = cost_of_length(predicted - self._lengths)
            gradient += (slope * self._cost_of_step)[:, None] * d_predicted
        gradient += codes - self._codes
        gradient[:, self._learned_dim :] = 0
        return self._total(self._sums(errors), predicted, codes), gradient

    def losses(self, codes: np.ndarray) -> np.ndarray:
        """Return the objective (n_sequences,), which takes half of the time."""
        outputs, _ = self._decoder(codes, self._layout)
        errors, _ = self._decoder.head.errors(outputs, self._targets, self._weight)
        predicted = None if self._length is None else self._length(codes)
        return self._total(self._sums(errors), predicted, codes)

    def _total(
        self, loss: np.ndarray, predicted: np.ndarray | None, codes: np.ndarray
    ) -> np.ndarray:
        """Add the cost of the predicted length, and the prior around the first code."""
        if predicted is not None:
            cost, _ = cost_of_length(predicted - self._lengths)
            loss = loss + cost * self._cost_of_step
        moved = codes - self._codes
        return loss + np.float32(0.5) * (moved * moved).sum(axis=1)

    def _sums(self, values: np.ndarray) -> np.ndarray:
        """Return the sum over the steps and columns of each sequence."""
        patches = self._layout.patches
        by_patch = values.reshape(patches[-1], self._decoder.patch * values.shape[1])
        return packed.segment_sum(by_patch, patches).sum(axis=1)


def cost_of_length(away: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Compute the cost of errors of predicted lengths, in steps, and its derivative."""
    # An error of n steps costs about n steps. The cost is smooth but steep around half a step,
    # where the rounded length becomes wrong.
    off = np.maximum(np.abs(away) - _MARGIN, np.float32(0))
    square = off * off
    cost = square / (_BEND + off) + _JUMP * square / (_WIDTH + square)
    slope = off * (off + 2 * _BEND) / (_BEND + off) ** 2
    slope += 2 * _JUMP * _WIDTH * off / (_WIDTH + square) ** 2
    return cost, slope * np.sign(away)
