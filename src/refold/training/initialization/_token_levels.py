"""Codes that store tokens: one latent dimension for each of the first tokens of a sequence."""

import numpy as np

from refold.training.initialization._one_hot import Tokens

# A linear map can store tokens. The encoder writes a number, the level of the token, into the
# dimension of its step. The decoder's logits are those of the nearest level, and they are linear in
# the code. The most frequent token of a column has level 0. The next ones have 1, -1, 2, -2 and so
# on, so that frequent tokens take little room, and the distance of two levels is large. A missing
# token is decoded as the most frequent one.

# Difference in logits between a stored token and its neighbor.
_MARGIN = 12.0


def stored_tokens(tokens: Tokens, latent_dim: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the linear maps of a code that stores the first tokens of a sequence."""
    # Returns the encoder (latent_dim, num_steps * width), whose codes have a mean square of 1
    # except dimensions that always hold 0, and weights (latent_dim, num_steps, width) and offsets
    # (num_steps, width) of the logits.
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
