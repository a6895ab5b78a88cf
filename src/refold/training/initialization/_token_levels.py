"""Codes that store tokens: one latent dimension for each of the first tokens of a sequence.

A linear map can do this. The encoder writes a number, the level of the token, into the dimension of
its step. The decoder's logits are those of the nearest level, and they are linear in the code.
"""

import numpy as np

from refold.training.initialization._one_hot import Tokens

# Difference in logits between a stored token and its neighbor.
_MARGIN = 12.0


def stored_tokens(tokens: Tokens, latent_dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the linear maps of a code that stores the first tokens of a sequence.

    The most frequent token of a column has level 0. The next ones have 1, -1, 2, -2 and so on, so
    that frequent tokens take little room, and the distance of two levels is large. A missing token
    is decoded as the most frequent one.

    Parameters
    ----------
    tokens : Tokens
    latent_dim : int
        Number of tokens to store.

    Returns
    -------
    encoder : array of shape (latent_dim, num_steps * width)
        Codes have a mean square of 1, except dimensions that always hold 0.
    slope : array of shape (latent_dim, num_steps, width)
        Weights of the code in the logits.
    offset : array of shape (num_steps, width)

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> from refold.training.initialization._one_hot import one_hot
    >>> tokens = one_hot(as_sequences(["abc", "caa", "b"]), 3)
    >>> encoder, slope, offset = stored_tokens(tokens, 3)
    >>> written = np.tensordot(tokens.values @ encoder.T, slope, 1) + offset
    >>> written.argmax(axis=2)[:2].tolist()
    [[0, 1, 2], [2, 0, 0]]
    """
    num_steps, width = tokens.count.shape
    firsts, level = np.cumsum(tokens.widths) - tokens.widths, _levels(tokens)
    encoder, slope = np.zeros((2, latent_dim, num_steps, width))
    offset = np.zeros((num_steps, width))
    power = tokens.count * level**2 / max(len(tokens.lengths), 1)
    for i in range(min(latent_dim, num_steps * len(firsts))):
        step, column = divmod(i, len(firsts))
        block = step, slice(firsts[column], firsts[column] + tokens.widths[column])
        distance = 1 / np.sqrt(power[block].sum() or 1.0)
        encoder[i][block] = distance * level[block[1]]
        slope[i][block] = 2 * _MARGIN / distance * level[block[1]]
        offset[block] = -_MARGIN * level[block[1]] ** 2
    return encoder.reshape(latent_dim, -1), slope, offset


def _levels(tokens: Tokens) -> np.ndarray:
    """Return the level of each token, an integer; a binary column has level 1 where it is true."""
    count, level = tokens.count.sum(axis=0), np.ones(int(tokens.widths.sum()))
    for first, number in zip(np.cumsum(tokens.widths), tokens.num_categories, strict=True):
        rank = np.argsort(np.argsort(-count[first - max(number, 1) : first], kind="stable"))
        if number:
            level[first - number : first] = (rank + 1) // 2 * np.where(rank % 2, 1, -1)
    return level
