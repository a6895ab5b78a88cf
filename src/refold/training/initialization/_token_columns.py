"""Linear initialization for token columns (binary or categorical), alone or with numeric ones.

Tokens are one-hot encoded. Their codes are principal components, or they store tokens exactly. The
decoding map predicts logits: those of the frequency of each token, plus a factor times a regression
on the code. `fit_token_initialization` and `fit_mixed_initialization` are what other modules use.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import scipy.sparse
from scipy.special import logsumexp

from refold._support.native_libraries import one_blas_thread
from refold.arguments import Corruption
from refold.sequences import Column, Schema, Sequences, sequence_and_step_indices
from refold.training.initialization._numeric_columns import (
    LinearInitialization,
    fit_linear_initialization,
    pad_and_corrupt,
)

# Number of iterations of the subspace iteration. More iterations are more exact.
_NUM_SUBSPACE_ITERATIONS = 16
# Number of directions that the subspace iteration computes in addition to those requested, which
# makes it more exact.
_NUM_EXTRA_DIRECTIONS = 10

# Cap on the categories of a column whose tokens are stored. With more, their levels in a code would
# not be distinct as float16.
_MAX_CATEGORIES_TO_STORE_TOKENS = 256
# Share of the loss that codes with stored tokens must save in comparison with principal components.
# Components describe which tokens go together. Stored tokens do not, so they also reconstruct
# anomalous sequences, and a small gain is not worth this. On sentences of 120 steps at 32
# dimensions, 76 % of the categories were wrong without stored tokens, and 61 % with them.
_MIN_LOSS_GAIN_TO_STORE_TOKENS = 0.05
# Difference in logits between a stored token and the one with the next level.
_STORED_TOKEN_LOGIT_MARGIN = 12.0

# Candidate factors from a difference of probabilities to a difference of logits. With the first
# one, logits do not depend on the regression.
_PROBABILITY_TO_LOGIT_FACTORS = (0.0, *(2.0 ** np.arange(0, 6.5, 0.5)).tolist())
# Weight of the prior, as a number of sequences. The frequencies at a step are drawn towards those
# of all steps, and the regression of a step is drawn towards 0.
_PRIOR_SEQUENCE_COUNT = 10.0
# Lower bound of the loss that remains, as a share. It is a scale, so it must not be 0.
_MIN_REMAINING_LOSS_SHARE = 1e-4
# Share of the sequences that are held out to choose the factor.
_SHARE_TO_CHOOSE_FACTOR = 0.2
# Cap on these sequences, for speed.
_MAX_SEQUENCES_TO_CHOOSE_FACTOR = 300


class SparseTokens(NamedTuple):
    """One-hot tokens of sequences, as a sparse array."""

    # In shapes, `width` is the number of one-hot values of a step: the sum of `widths`.
    one_hot_values: scipy.sparse.csr_array  # (n_sequences, num_steps * width)
    lengths: np.ndarray  # (n_sequences,), at most num_steps
    is_observed: np.ndarray  # bool (n_sequences, num_steps, n_columns)
    num_categories: np.ndarray  # (n_columns,), 0 if the column is binary

    @property
    def widths(self) -> np.ndarray:
        """Number of one-hot values of each column (n_columns,)."""
        return np.maximum(self.num_categories, 1)

    @property
    def token_counts_by_step(self) -> np.ndarray:
        """Number of sequences that have each token at each step (num_steps, width)."""
        return np.asarray(self.one_hot_values.sum(axis=0)).reshape(self.is_observed.shape[1], -1)

    @property
    def num_observed_by_step(self) -> np.ndarray:
        """Number of sequences with a value in the column of each token (num_steps, width)."""
        return np.repeat(self.is_observed.sum(axis=0), self.widths, axis=1)

    def take(self, indices: np.ndarray) -> "SparseTokens":
        """Return the tokens of the sequences with these indices."""
        return self._replace(
            one_hot_values=self.one_hot_values[indices],
            lengths=self.lengths[indices],
            is_observed=self.is_observed[indices],
        )


def one_hot_encode_tokens(sequences: Sequences, num_steps: int) -> SparseTokens:
    """One-hot encode the first steps of binary and categorical columns."""
    # of each step of the data: index of its sequence, and its index in the sequence
    sequence, step = sequence_and_step_indices(sequences)
    is_first = step < num_steps
    sequence, step, values = sequence[is_first], step[is_first], sequences.values[is_first]
    num_categories = np.array([len(column.categories) for column in sequences.schema.columns])
    widths = np.maximum(num_categories, 1)
    is_observed = np.zeros((len(sequences), num_steps, len(widths)), bool)
    rows, columns = [], []  # indices of the ones in the sparse array
    for i, column_start in enumerate(np.cumsum(widths) - widths):
        # The index after the last category means unknown. A binary column has no categories.
        column, count = values[:, i], num_categories[i]
        has_token = column < count if count else ~np.isnan(column)
        is_observed[sequence, step, i] = has_token
        # a binary column has a one where it is true
        is_one = has_token if count else column == 1
        category = column[is_one].astype(int) if count else 0
        rows.append(sequence[is_one])
        columns.append(step[is_one] * widths.sum() + column_start + category)
    indices = np.concatenate(rows), np.concatenate(columns)
    shape = (len(sequences), num_steps * int(widths.sum()))
    ones = scipy.sparse.csr_array((np.ones(len(indices[0])), indices), shape=shape)
    return SparseTokens(ones, np.minimum(sequences.lengths, num_steps), is_observed, num_categories)


class _TokenCodec(NamedTuple):
    """Linear encoder of tokens, and a regression of the tokens at each step on the code."""

    mean: np.ndarray  # (num_steps * width,), subtracted before encoding
    encoder_weights: np.ndarray  # (latent_dim, num_steps * width)
    log_variance: np.ndarray  # (latent_dim,), of a code given its sequence
    frequencies: np.ndarray  # (num_steps, width), of tokens
    # the regression predicts how much probabilities differ from the frequencies
    offset: np.ndarray  # (num_steps, width), its output for a code of 0
    slope: np.ndarray  # (latent_dim, num_steps, width)

    def encode(self, one_hot_values: scipy.sparse.csr_array) -> np.ndarray:
        """Return codes (n, latent_dim) of one-hot values (n, num_steps * width)."""
        return one_hot_values @ self.encoder_weights.T - self.encoder_weights @ self.mean


def fit_token_initialization(
    sequences: Sequences,
    latent_dim: int,
    num_steps: int,
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
    may_store_tokens: bool = True,  # whether codes may store tokens; only codes without noise can
) -> LinearInitialization:
    """Find a linear encoder of one-hot tokens, and a decoding map from codes to logits."""
    # The logits of a step are those of the frequencies of its tokens plus a factor times the
    # differences that a ridge regression on the code predicts. The factor maximizes the likelihood
    # of held-out sequences. If it is 0, the code explains nothing. The encoder computes principal
    # components, or it stores the first tokens if that saves enough of the loss.
    #
    # A ridge regression was chosen over a logistic regression. On sentences, twenty iterations of a
    # logistic regression with Böhning's bound took thirty times as long, and the loss was 2 %
    # smaller.
    tokens = one_hot_encode_tokens(sequences, num_steps)
    n, width = len(tokens.lengths), int(tokens.widths.sum())
    inputs = tokens.one_hot_values
    if corruption.dropped_share:  # some steps of the inputs are dropped at random
        # 0xC0FF is the number of this use of random numbers. Each use has a number of its own, so
        # that uses with the same seed are independent.
        rng, values = np.random.default_rng([seed, 0xC0FF]), tokens.one_hot_values.tocoo()
        is_kept = rng.random(tokens.is_observed.shape[:2]) >= corruption.dropped_share
        data = values.data * is_kept[values.row, values.col // width]
        inputs = scipy.sparse.csr_array((data, (values.row, values.col)), shape=values.shape)
    training, held_out = split_to_choose_logit_factor(n, seed)
    # The best choice so far. The share is its loss, divided by the loss of the factor 0.
    fit_codec, factor, share = fit_token_component_codec, 0.0, 1.0
    if len(held_out):
        # For each codec: the function that fits it, the candidate factors, and the share of the
        # loss that it must save. Stored tokens have the right logits, so their factor is 0 or 1.
        candidates: list[Any] = [(fit_token_component_codec, _PROBABILITY_TO_LOGIT_FACTORS, 0.0)]
        if may_store_tokens and tokens.num_categories.max() <= _MAX_CATEGORIES_TO_STORE_TOKENS:
            candidates.append((fit_token_storing_codec, (0.0, 1.0), _MIN_LOSS_GAIN_TO_STORE_TOKENS))
        for fit_candidate, factors, min_gain in candidates:
            codec = fit_candidate(tokens.take(training), latent_dim, inputs[training], seed)
            terms = codec.encode(inputs[held_out]), codec.frequencies, codec.slope, codec.offset
            new_factor, new_share = choose_logit_factor(tokens.take(held_out), *terms, factors)
            if new_share < share - min_gain:
                fit_codec, factor, share = fit_candidate, new_factor, new_share
    codec = fit_codec(tokens, latent_dim, inputs, seed)
    return LinearInitialization(
        encoder=codec.encoder_weights.reshape(latent_dim, num_steps, width).transpose(1, 2, 0),
        encoder_bias=-codec.encoder_weights @ codec.mean,
        decoder=factor * codec.slope,
        decoder_bias=to_logits(codec.frequencies, tokens.num_categories) + factor * codec.offset,
        residual_std=np.ones(width),
        residual_share=share,
        log_variance=codec.log_variance,
    )


def fit_token_component_codec(
    sparse_tokens: SparseTokens, latent_dim: int, input_values: scipy.sparse.csr_array, seed: int
) -> _TokenCodec:
    """Make a codec from principal components of the tokens; the inputs may have dropped steps."""
    values = sparse_tokens.one_hot_values
    mean, loadings, noise = _find_one_hot_components(values, latent_dim, seed)
    clean_codes, codes = (array @ loadings.T - loadings @ mean for array in (values, input_values))
    n = max(len(codes), 1)
    std = np.sqrt((codes**2).sum(axis=0) / n)
    std = np.where(std > 0, std, 1.0)
    frequencies = token_frequencies(sparse_tokens)
    # slopes (latent_dim,) of the regression of clean codes on the standardized codes of the inputs
    code_slopes = (clean_codes * codes).sum(axis=0) / n / std
    # empirical Bayes, as in `fit_linear_codec`: the penalty of a dimension of the code is the noise
    # divided by the mean square of the expected weights of this dimension
    penalties = noise / np.maximum(code_slopes**2 * (loadings**2).mean(axis=1), 1e-12)
    slope, offset = _regress_tokens(sparse_tokens, codes / std, frequencies, penalties)
    log_variance = np.log(np.clip(noise / std**2, 1e-6, 1.0))
    return _TokenCodec(mean, loadings / std[:, None], log_variance, frequencies, offset, slope)


@one_blas_thread()  # the products are with sparse arrays, which SciPy computes without threads
def _find_one_hot_components(
    one_hot_values: scipy.sparse.csr_array, latent_dim: int, seed: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return the mean (m,), loadings (latent_dim, m) and residual variance of values (n, m)."""
    # Randomized subspace iteration (Halko, Martinsson and Tropp, "Finding structure with
    # randomness", SIAM Review 53, 2011). Loadings beyond the rank of the data are zero.
    n, num_values = cast(tuple[int, int], one_hot_values.shape)
    mean = one_hot_values.sum(axis=0) / max(n, 1)
    power = float(mean.sum() - mean @ mean)  # total variance: zeros and ones equal their squares
    loadings, variance = np.zeros((latent_dim, num_values)), np.zeros(latent_dim)
    num_components = min(latent_dim, n - 1, num_values)
    if num_components > 0 and power > 1e-9:
        # subtract the mean from the products, because centered values would not be sparse
        num_directions = min(num_components + _NUM_EXTRA_DIRECTIONS, n, num_values)
        rng = np.random.default_rng([seed, 0x5BD0])
        basis = rng.standard_normal((num_values, num_directions))
        for _ in range(_NUM_SUBSPACE_ITERATIONS):
            rows, _ = np.linalg.qr(one_hot_values @ basis - mean @ basis)
            basis, _ = np.linalg.qr(one_hot_values.T @ rows - np.outer(mean, rows.sum(axis=0)))
        projected = one_hot_values @ basis - mean @ basis
        _, singular_values, rotation = np.linalg.svd(projected, full_matrices=False)
        directions = rotation[:num_components] @ basis.T
        variances = singular_values[:num_components] ** 2 / n
        nonzero = np.flatnonzero(variances > 1e-9 * power)
        loadings[nonzero], variance[nonzero] = directions[nonzero], variances[nonzero]
    # with these lower bounds the residual variance is above 0, and so are the penalties made of it
    residual = max(power - float(variance.sum()), 0.01 * power, 1e-9)
    return mean, loadings, residual / num_values


@one_blas_thread()
def _regress_tokens(
    tokens: SparseTokens,
    codes: np.ndarray,  # (n_sequences, latent_dim)
    frequencies: np.ndarray,  # (num_steps, width)
    penalty_per_dimension: np.ndarray,  # (latent_dim,), of the square of a weight
) -> tuple[np.ndarray, np.ndarray]:
    """Regress tokens minus frequencies on codes, each step by itself; return slope and offset."""
    # The slope is (latent_dim, num_steps, width) and the offset (num_steps, width). A missing value
    # counts as its frequency. Codes are centered over the sequences that have the step.
    (num_steps, width), latent_dim = frequencies.shape, codes.shape[1]
    products = (tokens.one_hot_values.T @ codes).T.reshape(latent_dim, num_steps, width)
    count = tokens.token_counts_by_step
    slope, offset = np.zeros((latent_dim, num_steps, width)), np.zeros((num_steps, width))
    longest_first = np.argsort(-tokens.lengths, kind="stable")
    negative_lengths = -tokens.lengths[longest_first]
    # The loop begins with the last step, which the fewest sequences have. Each earlier step has the
    # same sequences and more. The codes of the new ones are added to the sums.
    squares, sums, num_added = np.zeros((latent_dim, latent_dim)), np.zeros(latent_dim), 0
    for step in reversed(range(num_steps)):
        # The number of sequences that have the step: their lengths exceed its index. They come
        # first in `longest_first`.
        num_sequences = int(np.searchsorted(negative_lengths, -step, side="left"))
        new = codes[longest_first[num_added:num_sequences]]
        squares, sums, num_added = squares + new.T @ new, sums + new.sum(axis=0), num_sequences
        if not num_added:
            continue
        center, is_observed = sums / num_added, tokens.is_observed[:, step]
        # products of centered codes with the targets, which are tokens minus frequencies where
        # observed
        observed_products = codes.T @ is_observed - np.outer(center, is_observed.sum(axis=0))
        expected = np.repeat(observed_products, tokens.widths, axis=1) * frequencies[step]
        target_products = products[:, step] - np.outer(center, count[step]) - expected
        gram = squares - num_added * np.outer(center, center) + np.diag(penalty_per_dimension)
        slope[:, step] = np.linalg.solve(gram, target_products)
        offset[step] = -center @ slope[:, step]
    return slope, offset


# A linear code can store tokens exactly. For each token to store, the encoder writes a number, the
# level of the token, into a dimension of its own. The decoder computes a logit for each token. The
# logit is largest for the token whose level is nearest to this number, because it is minus the
# squared distance. The term that all tokens share is left out, so the logit is linear in the code.
#
# The most frequent token of a column has the level 0. The next ones have 1, -1, 2, -2 and so on, so
# frequent tokens have small levels. Codes are scaled to a mean square of 1. If most levels are
# small, this scaling leaves large distances between them. A missing token is decoded as the most
# frequent one. Training by gradient descent did not find such a code in any trial, from principal
# components or from random weights, with parallel or autoregressive decoders.
def fit_token_storing_codec(tokens: SparseTokens, latent_dim: int, *_: object) -> _TokenCodec:
    """Make a codec that stores the first tokens; called like `fit_token_component_codec`."""
    num_steps, width = tokens.token_counts_by_step.shape
    # index of the first one-hot value of each column (n_columns,), level of each token (width,)
    column_starts, levels = np.cumsum(tokens.widths) - tokens.widths, np.ones(width)
    count = tokens.token_counts_by_step.sum(axis=0)
    for start, num_categories in zip(column_starts, tokens.num_categories, strict=True):
        if num_categories:  # else the column is binary, and its level is 1 if it is true
            block = slice(start, start + num_categories)
            # of each category, its index from frequent to rare
            rank = np.argsort(np.argsort(-count[block], kind="stable"))
            levels[block] = (rank + 1) // 2 * np.where(rank % 2, 1, -1)
    encoder, slope = np.zeros((2, latent_dim, num_steps, width))
    offset = np.zeros((num_steps, width))
    # contribution of each token to the mean square of its level (num_steps, width)
    power = tokens.token_counts_by_step * levels**2 / max(len(tokens.lengths), 1)
    for i in range(min(latent_dim, num_steps * len(column_starts))):  # dimension i stores a token
        step, column = divmod(i, len(column_starts))
        block = step, slice(column_starts[column], column_starts[column] + tokens.widths[column])
        # distance between levels in a code with a mean square of 1; 1 if the code is always 0
        distance = 1 / np.sqrt(power[block].sum() or 1.0)
        encoder[i][block] = distance * levels[block[1]]
        # logit = -margin * (code / distance - level)**2, without the term code**2
        slope[i][block] = 2 * _STORED_TOKEN_LOGIT_MARGIN / distance * levels[block[1]]
        offset[block] = -_STORED_TOKEN_LOGIT_MARGIN * levels[block[1]] ** 2
    # 1e-6 is the smallest variance of a code, as in `fit_token_component_codec`
    weights, log_variance = encoder.reshape(latent_dim, -1), np.full(latent_dim, np.log(1e-6))
    mean = np.zeros(num_steps * width)
    return _TokenCodec(mean, weights, log_variance, token_frequencies(tokens), offset, slope)


# Logits


def split_to_choose_logit_factor(num_sequences: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split indices at random into those for the regression and those to choose the factor by."""
    order = np.random.default_rng([seed, 0x5B01]).permutation(num_sequences)
    count = min(int(_SHARE_TO_CHOOSE_FACTOR * num_sequences), _MAX_SEQUENCES_TO_CHOOSE_FACTOR)
    return order[count:], order[:count]


def token_frequencies(sparse_tokens: SparseTokens) -> np.ndarray:
    """Return the frequency of each token among observed values (num_steps, width)."""
    count, num_observed = sparse_tokens.token_counts_by_step, sparse_tokens.num_observed_by_step
    num_categories = np.where(sparse_tokens.num_categories > 0, sparse_tokens.num_categories, 2)
    num_choices = np.repeat(num_categories, sparse_tokens.widths)
    # half a count for each token of a column, so that no frequency is 0
    overall = (count.sum(axis=0) + 0.5) / (num_observed.sum(axis=0) + 0.5 * num_choices)
    return (count + _PRIOR_SEQUENCE_COUNT * overall) / (num_observed + _PRIOR_SEQUENCE_COUNT)


def to_logits(frequencies: np.ndarray, num_categories_by_column: np.ndarray) -> np.ndarray:
    """Return logits of frequencies (num_steps, width); a binary column has 0 categories."""
    is_binary = np.repeat(num_categories_by_column == 0, np.maximum(num_categories_by_column, 1))
    # for the softmax of a categorical column, logarithms are logits
    log_complement = np.log1p(-np.minimum(frequencies, 1 - 1e-9))
    return np.log(frequencies) - np.where(is_binary, log_complement, 0.0)


def choose_logit_factor(
    tokens: SparseTokens,  # that the frequencies and the regression were not fitted to
    codes: np.ndarray,  # (n_sequences, latent_dim)
    frequencies: np.ndarray,  # (num_steps, width)
    regression_slope: np.ndarray,  # (latent_dim, num_steps, width)
    regression_offset: np.ndarray,  # (num_steps, width), output of the regression for a code of 0
    candidate_factors: Sequence[float] = _PROBABILITY_TO_LOGIT_FACTORS,  # the first one must be 0
) -> tuple[float, float]:
    """Return the factor of maximum likelihood, and its loss relative to that of the factor 0."""
    # The regression may predict negative probabilities, which have no logits. But the predicted
    # differences from the frequencies are useful as differences of logits.
    frequency_logits = to_logits(frequencies, tokens.num_categories)
    values, width = tokens.one_hot_values.tocsc(), int(tokens.widths.sum())
    # of binary columns, the index of their only value; of the others, the column and its block of
    # one-hot values
    is_binary, starts = tokens.num_categories == 0, np.cumsum(tokens.widths) - tokens.widths
    binary = starts[is_binary]
    categorical = [
        (i, slice(starts[i], starts[i] + tokens.widths[i])) for i in np.flatnonzero(~is_binary)
    ]
    losses = np.zeros(len(candidate_factors))  # negative log-likelihoods of the observed tokens
    for step in range(tokens.is_observed.shape[1]):
        rows = np.flatnonzero(tokens.lengths > step)
        actual = values[:, step * width : (step + 1) * width].toarray()[rows]
        is_observed = tokens.is_observed[rows, step]
        difference = codes[rows] @ regression_slope[:, step] + regression_offset[step]
        for k, factor in enumerate(candidate_factors):
            predicted = frequency_logits[step] + factor * difference
            loss = np.logaddexp(0, predicted[:, binary]) - actual[:, binary] * predicted[:, binary]
            losses[k] += loss[is_observed[:, is_binary]].sum()
            for i, block in categorical:
                actual_logit = (actual[:, block] * predicted[:, block]).sum(axis=1)
                loss = logsumexp(predicted[:, block], axis=1) - actual_logit
                losses[k] += loss[is_observed[:, i]].sum()
    best = int(np.argmin(losses))
    if losses[best] >= losses[0]:
        return 0.0, 1.0
    share = np.clip(losses[best] / losses[0], _MIN_REMAINING_LOSS_SHARE, 1.0)
    return float(candidate_factors[best]), float(share)


# Numeric and token columns together


def fit_mixed_initialization(
    sequences: Sequences,
    latent_dim: int,
    num_steps: int,
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
) -> LinearInitialization:
    """Find joint principal components of numeric and one-hot columns, and their decoding map."""
    # Numeric columns are decoded as in `fit_linear_initialization`. For token columns, the
    # regression of that function predicts probabilities. Their differences from the frequencies,
    # times a factor, are added to the logits of the frequencies, as in `fit_token_initialization`.
    #
    # The columns of `encoded` are the numeric columns, and the one-hot values of the others.
    blocks, is_token = [], []
    for i, column in enumerate(sequences.schema.columns):
        values = sequences.values[:, [i]]
        if column.column_type.has_categories:
            num_categories = len(column.categories)
            one_hot = (values == np.arange(num_categories)).astype(float)
            values = np.where(values < num_categories, one_hot, np.nan)  # NaN if unknown
        blocks.append(values)
        is_token += [not column.column_type.is_number] * values.shape[1]
    columns, token_columns = list(range(len(is_token))), np.flatnonzero(is_token)
    schema = Schema(tuple(Column(f"{i}", "numeric") for i in columns))
    encoded = Sequences(np.hstack(blocks), sequences.offsets, schema=schema)
    settings: Any = {"seed": seed, "corruption": corruption}
    # corruption adds noise only to numeric columns
    settings["columns_without_noise"] = token_columns.tolist()
    initialization = fit_linear_initialization(encoded, columns, latent_dim, num_steps, **settings)
    indices = np.flatnonzero(~sequences.schema.numeric)  # of the token columns
    schema = Schema(tuple(sequences.schema.columns[i] for i in indices))
    token_sequences = Sequences(sequences.values[:, indices], sequences.offsets, schema=schema)
    tokens = one_hot_encode_tokens(token_sequences, num_steps)
    training, held_out = split_to_choose_logit_factor(len(sequences), seed)
    factor = 0.0
    if len(held_out):
        # the factor is chosen on held-out sequences, so a fit without them is needed
        training_fit = fit_linear_initialization(
            encoded[training], columns, latent_dim, num_steps, **settings
        )
        inputs = pad_and_corrupt(encoded[held_out], columns, num_steps, **settings).encoder_inputs
        codes = np.einsum("ntc,tcd->nd", inputs, training_fit.encoder) + training_fit.encoder_bias
        terms = _extract_token_regression(training_fit, tokens.take(training), token_columns)
        factor, _ = choose_logit_factor(tokens.take(held_out), codes, *terms)
    frequencies, slope, offset = _extract_token_regression(initialization, tokens, token_columns)
    arrays = initialization.decoder, initialization.decoder_bias, initialization.residual_std
    decoder, bias, residual_std = (array.copy() for array in arrays)
    decoder[..., token_columns] = factor * slope
    bias[:, token_columns] = to_logits(frequencies, tokens.num_categories) + factor * offset
    residual_std[token_columns] = 1.0
    return replace(initialization, decoder=decoder, decoder_bias=bias, residual_std=residual_std)


def _extract_token_regression(
    initialization: LinearInitialization,
    sparse_tokens: SparseTokens,
    token_output_indices: np.ndarray,  # (width,), their indices in the outputs of the decoder
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frequencies, and the slope and offset that predict differences from them."""
    frequencies = token_frequencies(sparse_tokens)
    # the factors (num_steps, width) draw the regression towards 0 where few values are observed
    num_observed = sparse_tokens.num_observed_by_step
    factor = num_observed / (num_observed + _PRIOR_SEQUENCE_COUNT)
    offset = initialization.decoder_bias[:, token_output_indices] - frequencies
    return frequencies, factor * initialization.decoder[..., token_output_indices], factor * offset
