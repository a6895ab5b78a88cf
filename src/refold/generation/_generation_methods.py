"""New sequences by way of codes: drawn from a density, from N(0, 1), or between two."""

from numbers import Real
from typing import Any

import numpy as np
from sklearn.utils.validation import check_is_fitted

from refold._support.argument_checks import check_whole, draw_seed
from refold.errors import DataError, ParameterError
from refold.generation._code_density import fit_density
from refold.inference import Draw, check_can_sample
from refold.sequences import as_sequences

__all__ = ["GenerationMixin"]


class GenerationMixin:
    """``generate``, ``interpolate`` and ``sample``, of an estimator that encodes and decodes.

    Examples
    --------
    >>> import refold
    >>> issubclass(refold.SequenceAutoencoder, GenerationMixin)
    True
    """

    def generate(
        self: Any,
        n: int = 1,
        *,
        components: int | None = None,
        temperature: float = 0.0,
        lengths: Any = None,
        clip: bool = True,
        random_state: Any = None,
    ) -> list[Any]:
        """Draw new sequences: codes from a density of those of the training data, decoded.

        The density is a Gaussian mixture, fitted to the codes of up to 1024 of the sequences that
        the model was trained on.

        Parameters
        ----------
        n : int, default=1
            How many.
        components : int, optional
            Gaussians of the mixture; by default by the Bayesian information criterion.
        temperature : float, default=0.0
            Of labels and binary values: 0 takes the likeliest, 1 draws by the decoder's
            probabilities, less draws likelier ones. Numbers are means whatever it is.
        lengths : array of int of shape (n,), optional
            Number of steps of each; by default as predicted from the code.
        clip : bool, default=True
            Keep each numeric column within the range that it had in training.
        random_state : int, RandomState or None, default=None
            Fixes the draws.

        Returns
        -------
        list
            As ``inverse_transform`` gives them.

        Raises
        ------
        ParameterError
            If an argument cannot be used, or the model's file keeps no codes.
        DataError
            If the lengths cannot be written.

        Warns
        -----
        UserWarning
            If the model's file has no ranges of columns to clip by.

        Examples
        --------
        >>> import refold
        >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
        >>> ae = refold.SequenceAutoencoder(
        ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
        ... )
        >>> [new.shape for new in ae.fit(sines).generate(2, lengths=[20, 5], random_state=0)]
        [(20,), (5,)]
        """
        check_is_fitted(self)
        n = check_whole("n", n, 0)
        warm = isinstance(temperature, Real) and not isinstance(temperature, bool)
        if not warm or not 0 <= temperature < float("inf"):
            raise ParameterError(
                f"temperature must be a number of at least 0. Got {temperature!r}."
            )
        seed = draw_seed(random_state)
        codes = fit_density(self._known().codes, components, seed=seed).draw(n, seed=seed)
        draw = Draw(float(temperature), seed) if temperature > 0 else None
        return self._decode(codes, lengths, draw=draw, clip=clip)

    def interpolate(self: Any, a: Any, b: Any, steps: int = 10, *, clip: bool = True) -> list[Any]:
        """Go from one sequence to another by way of their codes.

        Parameters
        ----------
        a, b : array of shape (length, features), list or str
            Two sequences in the form that ``fit`` was given.
        steps : int, default=10
            How many sequences, both ends included.
        clip : bool, default=True
            Keep each numeric column within the range that it had in training.

        Returns
        -------
        list
            What the codes on the straight line between the two decode to, each of the length that
            its code holds.

        Raises
        ------
        ParameterError
            If there are to be fewer than 2 steps.
        DataError
            If one of the two is not a sequence of the training data's columns.

        Warns
        -----
        UserWarning
            If the model's file has no ranges of columns to clip by.

        Examples
        --------
        >>> import refold
        >>> ae = refold.SequenceAutoencoder(
        ...     2, units=8, latent_steps=0, max_epochs=2, random_state=0
        ... )
        >>> words = ["on", "in", "no", "inn", "non", "noon", "onion", "nine"] * 4
        >>> len(ae.fit(words).interpolate("on", "inn", steps=4))
        4
        """
        check_is_fitted(self)
        steps = check_whole("steps", steps, 2)
        ends = as_sequences([a, b], schema=self.schema_)
        if len(ends) != 2:
            raise DataError("a and b must be one sequence each.")
        first, last = self.encode(ends)
        shares = np.linspace(0.0, 1.0, steps, dtype=np.float32)[:, None]
        return self._decode((1 - shares) * first + shares * last, clip=clip)

    def sample(
        self: Any,
        n: int = 1,
        *,
        lengths: Any = None,
        clip: bool = True,
        random_state: Any = None,
    ) -> list[Any]:
        """Draw new sequences: codes from N(0, 1), decoded.

        Parameters
        ----------
        n : int, default=1
            How many.
        lengths : array of int of shape (n,), optional
            Number of steps of each; by default as predicted from the code.
        clip : bool, default=True
            Keep each numeric column within the range that it had in training.
        random_state : int, RandomState or None, default=None
            Fixes the draws.

        Returns
        -------
        list
            As ``inverse_transform`` gives them.

        Raises
        ------
        ParameterError
            If the model is not variational, or scales each sequence by itself, so that level and
            spread of a new one are unknown.
        DataError
            If the lengths cannot be written.

        Warns
        -----
        UserWarning
            If the model's file has no ranges of columns to clip by.

        Examples
        --------
        >>> import refold
        >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
        >>> ae = refold.SequenceAutoencoder(
        ...     4, variational=True, units=8, latent_steps=0, max_epochs=2, random_state=0
        ... ).fit(sines)
        >>> [new.shape for new in ae.sample(2, lengths=[20, 5], random_state=0)]
        [(20,), (5,)]
        """
        check_is_fitted(self)
        n = check_whole("n", n, 0)
        check_can_sample(self._network, self.scaler_)
        rng = np.random.default_rng(draw_seed(random_state))
        width = self._network.specification.latent_dim
        return self._decode(rng.standard_normal((n, width)), lengths, clip=clip)
