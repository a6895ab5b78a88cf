"""Linear initialization for token columns, alone or together with numeric columns."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import scipy.sparse
from scipy.special import logsumexp

from refold._support.native_libraries import one_blas_thread
from refold.arguments import Corruption
from refold.sequences import Column, Schema, Sequences, positions
from refold.training.initialization._numeric_columns import (
    LinearInitialization,
    linear_initialization,
    padded_inputs,
)

# Iterations of the subspace iteration, and its directions beyond the requested ones.
_ITERATIONS, _OVERSAMPLING = 16, 10

# Most categories whose levels in a code remain distinct as float16.
_MAX_CATEGORIES = 256
# Share of the loss that stored tokens must gain on components, which say how tokens go together. An
# anomalous sequence comes back unchanged from stored tokens, too, so a small gain is not worth
# them. On sentences of 120 steps at 32 dimensions, 76 % of the categories were wrong without stored
# tokens, and 61 % with them.
_MIN_STORED_GAIN = 0.05
# Difference in logits between a stored token and its neighbor.
_MARGIN = 12.0

# Candidate factors from a probability difference to a logit; the first ignores the regression.
FACTORS = (0.0, *(2.0 ** np.arange(0, 6.5, 0.5)).tolist())
# Prior weight in sequences: a step's frequencies shrink towards those of all steps, and its
# regression towards 0.
_PRIOR = 10.0
# Lower bound of the remaining share of the loss.
_MIN_SHARE = 1e-4
# Share and largest number of sequences that choose the factor.
_HELD, _MAX_HELD = 0.2, 300


class Tokens(NamedTuple):
    """Sparse one-hot tokens of sequences."""

    values: scipy.sparse.csr_array  # (n_sequences, num_steps * sum of widths)
    lengths: np.ndarray  # (n_sequences,), at most num_steps
    known: np.ndarray  # bool (n_sequences, num_steps, n_columns)
    num_categories: np.ndarray  # (n_columns,), 0 if the column is binary

    @property
    def widths(self) -> np.ndarray:
        """Number of one-hot positions of each column."""
        return np.maximum(self.num_categories, 1)

    @property
    def count(self) -> np.ndarray:
        """Count of each token at each step, of shape (num_steps, sum of widths)."""
        return np.asarray(self.values.sum(axis=0)).reshape(self.known.shape[1], -1)

    @property
    def num_known(self) -> np.ndarray:
        """Count of known values of the token's column at each step, of the same shape."""
        return np.repeat(self.known.sum(axis=0), self.widths, axis=1)

    def take(self, rows: np.ndarray) -> "Tokens":
        """Return the tokens of some sequences."""
        return self._replace(
            values=self.values[rows], lengths=self.lengths[rows], known=self.known[rows]
        )


def one_hot(sequences: Sequences, num_steps: int) -> Tokens:
    """One-hot encode binary and categorical columns, up to `num_steps` steps."""
    row, step = positions(sequences)
    within = step < num_steps
    row, step, values = row[within], step[within], sequences.values[within]
    num_categories = np.array([len(column.categories) for column in sequences.schema.columns])
    widths = np.maximum(num_categories, 1)
    known = np.zeros((len(sequences), num_steps, len(widths)), bool)
    rows, places = [], []
    for i, first in enumerate(np.cumsum(widths) - widths):
        observed = (
            values[:, i] < num_categories[i] if num_categories[i] else ~np.isnan(values[:, i])
        )
        known[row, step, i] = observed
        active = observed if num_categories[i] else values[:, i] == 1
        category = values[active, i].astype(int) if num_categories[i] else 0
        rows.append(row[active])
        places.append(step[active] * widths.sum() + first + category)
    at = np.concatenate(rows), np.concatenate(places)
    shape = (len(sequences), num_steps * int(widths.sum()))
    one_hot = scipy.sparse.csr_array((np.ones(len(at[0])), at), shape=shape)
    return Tokens(one_hot, np.minimum(sequences.lengths, num_steps), known, num_categories)


def _without_dropped(tokens: Tokens, corruption: Corruption, seed: int) -> scipy.sparse.csr_array:
    """Return the one-hot values after time-step dropout, as in `Corruption`."""
    if not corruption.steps:
        return tokens.values
    rng = np.random.default_rng([seed, 0xC0FF])
    values = tokens.values.tocoo()
    kept = rng.random(tokens.known.shape[:2]) >= corruption.steps
    data = values.data * kept[values.row, values.col // tokens.widths.sum()]
    return scipy.sparse.csr_array((data, (values.row, values.col)), shape=values.shape)


class _Fit(NamedTuple):
    """Linear encoder of tokens, and a regression of each step's tokens on the code."""

    mean: np.ndarray  # (num_steps * width,)
    weights: np.ndarray  # (latent_dim, num_steps * width)
    log_variance: np.ndarray  # (latent_dim,)
    frequency: np.ndarray  # (num_steps, width), of tokens
    offset: np.ndarray  # (num_steps, width), output of the regression for a code of 0
    slope: np.ndarray  # (latent_dim, num_steps, width)

    def codes(self, values: scipy.sparse.csr_array) -> np.ndarray:
        return values @ self.weights.T - self.weights @ self.mean


def token_initialization(
    sequences: Sequences,
    latent_dim: int,
    num_steps: int,
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
    may_store: bool = True,  # whether a code may store tokens, which noise on it would change
) -> LinearInitialization:
    """Find the principal components of one-hot sequences, and a decoding map to logits."""
    # A logit is that of the token's frequency at its step plus a multiple of the difference that a
    # ridge regression on the code predicts. The multiple maximizes the likelihood of held-out
    # sequences. If it is 0, the components explain nothing. A code that stores the first tokens
    # takes the place of the components if it gains enough. A regression was preferred to the
    # likelihood itself: twenty steps of Böhning's bound took thirty times as long on sentences and
    # gained 2 %.
    tokens = one_hot(sequences, num_steps)
    n, width = len(tokens.lengths), int(tokens.widths.sum())
    given = _without_dropped(tokens, corruption, seed)
    kept, held = held_out_split(n, seed)
    make, factor, share = components_fit, 0.0, 1.0
    if len(held):
        candidates: list[Any] = [(components_fit, FACTORS, 0.0)]
        # Variational codes are noisy, so they store nothing.
        if may_store and tokens.num_categories.max() <= _MAX_CATEGORIES:
            candidates.append((stored_tokens, (0.0, 1.0), _MIN_STORED_GAIN))
        for candidate, factors, least_gain in candidates:
            part = candidate(tokens.take(kept), given[kept], latent_dim, seed)
            maps = part.codes(given[held]), part.frequency, part.slope, part.offset
            best = likeliest_factor(tokens.take(held), *maps, factors)
            if best[1] < share - least_gain:
                make, (factor, share) = candidate, best
    fit = make(tokens, given, latent_dim, seed)
    return LinearInitialization(
        fit.weights.reshape(latent_dim, num_steps, width).transpose(1, 2, 0),
        -fit.weights @ fit.mean,
        factor * fit.slope,
        logits(fit.frequency, tokens.num_categories) + factor * fit.offset,
        np.ones(width),
        share,
        fit.log_variance,
    )


def components_fit(
    tokens: Tokens, given: scipy.sparse.csr_array, latent_dim: int, seed: int
) -> _Fit:
    """Decompose the tokens, and regress them on the codes of the input."""
    mean, loadings, noise = _decompose(tokens.values, latent_dim, seed)
    clean, seen = (values @ loadings.T - loadings @ mean for values in (tokens.values, given))
    n = max(len(seen), 1)
    deviation = np.sqrt((seen**2).sum(axis=0) / n)
    deviation = np.where(deviation > 0, deviation, 1.0)
    frequency = frequencies(tokens)
    effect = (clean * seen).sum(axis=0) / n / deviation  # of a code on the clean series
    penalty = noise / np.maximum(effect**2 * (loadings**2).mean(axis=1), 1e-12)
    slope, offset = _regress(tokens, seen / deviation, frequency, penalty)
    log_variance = np.log(np.clip(noise / deviation**2, 1e-6, 1.0))
    return _Fit(mean, loadings / deviation[:, None], log_variance, frequency, offset, slope)


@one_blas_thread()  # products are with sparse values, which have no threads
def _decompose(
    values: scipy.sparse.csr_array, latent_dim: int, seed: int
) -> tuple[np.ndarray, np.ndarray, float]:
    """Return means (size,), loadings (latent_dim, size) and the residual variance."""
    # Randomized subspace iteration (Halko, Martinsson and Tropp, "Finding structure with
    # randomness", SIAM Review 53, 2011). Loadings beyond the rank of the data are zero.
    n, size = cast(tuple[int, int], values.shape)
    mean = values.sum(axis=0) / max(n, 1)
    power = float(mean.sum() - mean @ mean)  # zeros and ones are their own squares
    loadings, variance = np.zeros((latent_dim, size)), np.zeros(latent_dim)
    components = min(latent_dim, n - 1, size)
    if components > 0 and power > 1e-9:
        # the mean is subtracted from the products, because centered rows would not be sparse
        width = min(components + _OVERSAMPLING, n, size)
        basis = np.random.default_rng([seed, 0x5BD0]).standard_normal((size, width))
        for _ in range(_ITERATIONS):
            rows, _ = np.linalg.qr(values @ basis - mean @ basis)
            basis, _ = np.linalg.qr(values.T @ rows - np.outer(mean, rows.sum(axis=0)))
        _, spread, rotation = np.linalg.svd(values @ basis - mean @ basis, full_matrices=False)
        spread, directions = spread[:components], rotation[:components] @ basis.T
        variances = spread**2 / n
        real = np.flatnonzero(variances > 1e-9 * power)
        loadings[real], variance[real] = directions[real], variances[real]
    residual = max(power - float(variance.sum()), 0.01 * power, 1e-9)
    return mean, loadings, residual / size


@one_blas_thread()
def _regress(
    tokens: Tokens, codes: np.ndarray, frequency: np.ndarray, penalty: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Regress tokens minus their frequency on codes (n, latent_dim), separately by step."""
    # Returns the slope (latent_dim, num_steps, width) and the offset (num_steps, width). A missing
    # value counts as its frequency. Codes are centered over the sequences that reach the step.
    (num_steps, width), latent_dim = frequency.shape, codes.shape[1]
    products = (tokens.values.T @ codes).T.reshape(latent_dim, num_steps, width)
    count = tokens.count
    slope, offset = np.zeros((latent_dim, num_steps, width)), np.zeros((num_steps, width))
    longest_first = np.argsort(-tokens.lengths, kind="stable")
    descending = -tokens.lengths[longest_first]
    # sums over the sequences that reach a step, which are more the earlier it is
    squares, sums, num_reached = np.zeros((latent_dim, latent_dim)), np.zeros(latent_dim), 0
    for step in reversed(range(num_steps)):
        num_longer = int(np.searchsorted(descending, -step, side="left"))
        new = codes[longest_first[num_reached:num_longer]]
        squares, sums, num_reached = squares + new.T @ new, sums + new.sum(axis=0), num_longer
        if not num_reached:
            continue
        center, known = sums / num_reached, tokens.known[:, step]
        of_known = codes.T @ known - np.outer(center, known.sum(axis=0))  # by column
        of_frequency = np.repeat(of_known, tokens.widths, axis=1) * frequency[step]
        target = products[:, step] - np.outer(center, count[step]) - of_frequency
        gram = squares - num_reached * np.outer(center, center) + np.diag(penalty)
        slope[:, step] = np.linalg.solve(gram, target)
        offset[step] = -center @ slope[:, step]
    return slope, offset


# A linear map can store tokens. The encoder writes a number, the level of the token, into the
# dimension of its step. The decoder's logits are those of the nearest level, and they are linear in
# the code. The most frequent token of a column has level 0. The next ones have 1, -1, 2, -2 and so
# on, so that frequent tokens take little room, and the distance of two levels is large. A missing
# token is decoded as the most frequent one. Gradient descent did not find such a code in any trial,
# from principal components or from random weights, with parallel or autoregressive decoders.
def stored_tokens(tokens: Tokens, _given: object, latent_dim: int, _seed: object) -> _Fit:
    """Let codes store the first tokens; neither dropped steps nor the seed change the maps."""
    num_steps, width = tokens.count.shape
    firsts, level = np.cumsum(tokens.widths) - tokens.widths, _levels(tokens)
    encoder, slope = np.zeros((2, latent_dim, num_steps, width))
    offset = np.zeros((num_steps, width))
    power = tokens.count * level**2 / max(len(tokens.lengths), 1)
    for i in range(min(latent_dim, num_steps * len(firsts))):
        step, column = divmod(i, len(firsts))
        block = step, slice(firsts[column], firsts[column] + tokens.widths[column])
        # codes have a mean square of 1, except dimensions that always hold 0
        distance = 1 / np.sqrt(power[block].sum() or 1.0)
        encoder[i][block] = distance * level[block[1]]
        slope[i][block] = 2 * _MARGIN / distance * level[block[1]]
        offset[block] = -_MARGIN * level[block[1]] ** 2
    weights, log_variance = encoder.reshape(latent_dim, -1), np.full(latent_dim, np.log(1e-6))
    mean = np.zeros(num_steps * width)
    return _Fit(mean, weights, log_variance, frequencies(tokens), offset, slope)


def _levels(tokens: Tokens) -> np.ndarray:
    """Return the level of each token, an integer; a binary column has level 1 where it is true."""
    count, level = tokens.count.sum(axis=0), np.ones(int(tokens.widths.sum()))
    for first, number in zip(np.cumsum(tokens.widths), tokens.num_categories, strict=True):
        rank = np.argsort(np.argsort(-count[first - max(number, 1) : first], kind="stable"))
        if number:
            level[first - number : first] = (rank + 1) // 2 * np.where(rank % 2, 1, -1)
    return level


# Logits


def held_out_split(num_sequences: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Split sequences at random into those of the fit and those that choose the factor."""
    order = np.random.default_rng([seed, 0x5B01]).permutation(num_sequences)
    count = min(int(_HELD * num_sequences), _MAX_HELD)
    return order[count:], order[:count]


def frequencies(tokens: Tokens) -> np.ndarray:
    """Return token frequencies (num_steps, width) among the known values of each column."""
    count, known = tokens.count, tokens.num_known
    num_categories = np.where(tokens.num_categories > 0, tokens.num_categories, 2)
    choices = np.repeat(num_categories, tokens.widths)
    overall = (count.sum(axis=0) + 0.5) / (known.sum(axis=0) + 0.5 * choices)
    return (count + _PRIOR * overall) / (known + _PRIOR)


def shrinkage(tokens: Tokens) -> np.ndarray:
    """Return the shrinkage factor of the regression (num_steps, width), small for few values."""
    return tokens.num_known / (tokens.num_known + _PRIOR)


def logits(frequency: np.ndarray, num_categories: np.ndarray) -> np.ndarray:
    """Return logits of frequencies (num_steps, width); a binary column has 0 categories."""
    binary = np.repeat(num_categories == 0, np.maximum(num_categories, 1))
    return np.log(frequency) - np.where(binary, np.log1p(-np.minimum(frequency, 1 - 1e-9)), 0.0)


def likeliest_factor(
    tokens: Tokens,  # that the frequencies and the regression were not fitted on
    codes: np.ndarray,  # (n_sequences, latent_dim)
    frequency: np.ndarray,  # (num_steps, width)
    slope: np.ndarray,  # (latent_dim, num_steps, width)
    offset: np.ndarray,  # (num_steps, width), output of the regression for a code of 0
    factors: Sequence[float] = FACTORS,  # candidates; the first one, 0, ignores the regression
) -> tuple[float, float]:
    """Return the factor that maximizes the likelihood of tokens, and the share of the loss left."""
    # a regression may predict negative probabilities, but their differences from the frequencies
    # are useful in logits
    of_frequency = logits(frequency, tokens.num_categories)
    values, width = tokens.values.tocsc(), int(tokens.widths.sum())
    is_binary, firsts = tokens.num_categories == 0, np.cumsum(tokens.widths) - tokens.widths
    binary = firsts[is_binary]
    categorical = [
        (i, slice(firsts[i], firsts[i] + tokens.widths[i])) for i in np.flatnonzero(~is_binary)
    ]
    losses = np.zeros(len(factors))  # negative log-likelihoods of the known tokens
    for step in range(tokens.known.shape[1]):
        rows = np.flatnonzero(tokens.lengths > step)
        actual = values[:, step * width : (step + 1) * width].toarray()[rows]
        known = tokens.known[rows, step]
        difference = codes[rows] @ slope[:, step] + offset[step]
        for k, factor in enumerate(factors):
            predicted = of_frequency[step] + factor * difference
            loss = np.logaddexp(0, predicted[:, binary]) - actual[:, binary] * predicted[:, binary]
            losses[k] += loss[known[:, is_binary]].sum()
            for i, block in categorical:
                of_actual = (actual[:, block] * predicted[:, block]).sum(axis=1)
                loss = logsumexp(predicted[:, block], axis=1) - of_actual
                losses[k] += loss[known[:, i]].sum()
    best = int(np.argmin(losses))
    if losses[best] >= losses[0]:
        return 0.0, 1.0
    return float(factors[best]), float(np.clip(losses[best] / losses[0], _MIN_SHARE, 1.0))


# Numeric and token columns together


def mixed_initialization(
    scaled: Sequences,
    latent_dim: int,
    num_steps: int,
    *,
    seed: int,
    corruption: Corruption = Corruption(),  # noqa: B008
) -> LinearInitialization:
    """Find joint principal components of numeric and one-hot columns, and their decoding map."""
    # Numeric columns are decoded as in `linear_initialization`. For categorical columns that
    # regression gives probabilities, whose differences from the frequencies are added to logits, as
    # in `token_initialization`.
    wide, is_token = _as_numeric(scaled)
    place = np.flatnonzero(is_token)
    columns = list(range(len(is_token)))
    settings: dict[str, Any] = {"seed": seed, "corruption": corruption, "noiseless": place.tolist()}
    init = linear_initialization(wide, columns, latent_dim, num_steps, **settings)
    chosen = np.flatnonzero(~scaled.schema.numeric)
    schema = Schema(tuple(scaled.schema.columns[i] for i in chosen))
    tokens = one_hot(Sequences(scaled.values[:, chosen], scaled.offsets, schema=schema), num_steps)
    kept, held = held_out_split(len(scaled), seed)
    factor = 0.0
    if len(held):
        part = linear_initialization(wide[kept], columns, latent_dim, num_steps, **settings)
        given = padded_inputs(wide[held], columns, num_steps, **settings).given
        codes = np.einsum("ntc,tcd->nd", given, part.encoder) + part.encoder_bias
        terms = _regression_terms(part, tokens.take(kept), place)
        factor, _ = likeliest_factor(tokens.take(held), codes, *terms)
    frequency, slope, offset = _regression_terms(init, tokens, place)
    decoder, bias, residual = init.decoder.copy(), init.decoder_bias.copy(), init.residual.copy()
    decoder[..., place] = factor * slope
    bias[:, place] = logits(frequency, tokens.num_categories) + factor * offset
    residual[place] = 1.0
    return replace(init, decoder=decoder, decoder_bias=bias, residual=residual)


def _regression_terms(
    init: LinearInitialization, tokens: Tokens, place: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frequencies, and slope and offset of the regression relative to them."""
    frequency, share = frequencies(tokens), shrinkage(tokens)
    offset = init.decoder_bias[:, place] - frequency
    return frequency, share * init.decoder[..., place], share * offset


def _as_numeric(scaled: Sequences) -> tuple[Sequences, np.ndarray]:
    """Return numeric and one-hot columns as numeric ones, and which of them are one-hot."""
    parts, is_token = [], []
    for i, column in enumerate(scaled.schema.columns):
        values = scaled.values[:, [i]]
        if column.column_type.has_categories:
            ones = (values == np.arange(len(column.categories))).astype(float)
            values = np.where(values < len(column.categories), ones, np.nan)
        parts.append(values)
        is_token += [not column.column_type.is_number] * values.shape[1]
    schema = Schema(tuple(Column(f"{i}", "numeric") for i in range(len(is_token))))
    return Sequences(np.hstack(parts), scaled.offsets, schema=schema), np.array(is_token)
