"""Random cuts that split training sequences into an input and the future steps to forecast.

Half of the draws cut off the last ``forecast_steps`` steps. A quarter cut at a random step, so that
the network does not depend on one position. A quarter cut nothing, because whole sequences must be
encoded well, too.
"""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from refold.sequences import Sequences, pad, split_at
from refold.training.data._padded_batches import Batch

# Share of the draws that cut nothing.
_WHOLE = 0.25
# Share of the draws that cut nothing or exactly the last steps.
_LAST = 0.75


def cut_batch(batch: Batch, key: Any, forecast_steps: int) -> Batch:
    """Cut the sequences of a batch and add the future steps as targets; traced by JAX.

    Parameters
    ----------
    batch : Batch
        Batch of a network that reads padding.
    key : array
        JAX random key.
    forecast_steps : int

    Returns
    -------
    Batch
        The shorter sequences; ``future`` is NaN beyond the end of a sequence.
    """
    cuts = _cuts(batch.lengths.astype(jnp.int32), key, forecast_steps)
    num_steps, num_features = batch.y.shape[1:]
    before = (jnp.arange(num_steps) < cuts[:, None])[..., None]
    nothing = jnp.full((len(batch.y), forecast_steps, num_features), jnp.nan, batch.y.dtype)
    longer = jnp.concatenate([batch.y, nothing], axis=1)

    def after(y: Any, start: Any) -> Any:
        return jax.lax.dynamic_slice(y, (start, 0), (forecast_steps, num_features))

    return batch._replace(
        x=jnp.where(before, batch.x, jnp.nan),
        y=jnp.where(before, batch.y, jnp.nan),
        lengths=cuts.astype(batch.lengths.dtype),
        future=jax.vmap(after)(longer, cuts),
    )


def cut_sequences(
    sequences: Sequences, forecast_steps: int, seed: int
) -> tuple[Sequences, Sequences]:
    """Cut sequences as `cut_batch` does.

    Returns
    -------
    before, after : Sequences

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> before, after = cut_sequences(as_sequences([[1.0, 2.0, 3.0]] * 100), 1, seed=0)
    >>> sorted(set(before.lengths.tolist())), set((before.lengths + after.lengths).tolist())
    ([1, 2, 3], {3})
    """
    key = jax.random.PRNGKey(seed)
    lengths = sequences.lengths.astype(np.int32)
    return split_at(sequences, np.asarray(jax.jit(_cuts)(lengths, key, forecast_steps)))


def kept_share(lengths: np.ndarray, forecast_steps: int) -> float:
    """Return the expected share of steps before the cuts.

    Examples
    --------
    >>> kept_share(np.array([10, 10]), 4)
    0.6875
    """
    lengths = np.asarray(lengths, float)
    anywhere = (lengths + 1) / 2 * (lengths > 0)
    last = np.where(lengths > forecast_steps, lengths - forecast_steps, anywhere)
    kept = _WHOLE * lengths + (_LAST - _WHOLE) * last + (1 - _LAST) * anywhere
    return float(kept.sum() / max(1.0, lengths.sum()))


def next_steps(after: Sequences, forecast_steps: int) -> np.ndarray:
    """Return the next steps as forecast targets.

    Parameters
    ----------
    after : Sequences
        The remaining steps of each sequence, of any length.
    forecast_steps : int
        Number of steps to forecast.

    Returns
    -------
    array of shape (n_sequences, forecast_steps, n_features)
        NaN beyond the end of a sequence and where nothing was observed.

    Examples
    --------
    >>> from refold.sequences import as_sequences
    >>> next_steps(as_sequences([[1.0, 2.0, 3.0], [4.0]]), 2)[:, :, 0].tolist()
    [[1.0, 2.0], [4.0, nan]]
    """
    first, _ = split_at(after, np.minimum(after.lengths, forecast_steps))
    return pad(first, np.arange(len(first)), forecast_steps)[1]


def _cuts(lengths: Any, key: Any, forecast_steps: int) -> Any:
    """Draw the number of steps before each cut; an empty sequence stays empty."""
    choice, position = jax.random.uniform(key, (2, len(lengths)))
    last = lengths - forecast_steps
    anywhere = jnp.minimum(lengths, 1 + jnp.floor(position * lengths).astype(lengths.dtype))
    cuts = jnp.where((choice < _LAST) & (last > 0), last, anywhere)
    return jnp.where(choice < _WHOLE, lengths, cuts)
