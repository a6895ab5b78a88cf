"""`generate`, `interpolate` and `sample`, the generative methods of the estimator."""

from numbers import Real
from typing import Any

import numpy as np

from refold import generation
from refold._estimator_base import EstimatorBase
from refold._support.argument_checks import check_whole, draw_seed
from refold._support.scikit_learn_protocol import check_fitted
from refold.errors import DataError, ParameterError, argument
from refold.inference import Draw, check_can_sample
from refold.sequences import as_sequences


class GenerationMixin(EstimatorBase):
    """Methods for generating sequences, for an estimator that encodes and decodes.

    Examples
    --------
    >>> import refold
    >>> issubclass(refold.SequenceAutoencoder, GenerationMixin)
    True
    """

    def generate(
        self,
        n: int = 1,
        *,
        components: int | None = None,
        temperature: float = 0.0,
        lengths: Any = None,
        clip: bool = True,
        random_state: Any = None,
    ) -> list[Any]:
        """Decode codes drawn from a density of the codes of the training data.

        The density is a Gaussian mixture, fitted to the codes of up to 1024 training sequences.

        Parameters
        ----------
        n : int, default=1
            Number of sequences.
        components : int, optional
            Number of components of the mixture. By default the Bayesian information criterion
            chooses it.
        temperature : float, default=0.0
            Temperature of categorical and binary columns: 0 takes the most likely value, 1 draws
            from the decoder's probabilities, and values in between favor likely values. Numeric
            values are always means.
        lengths : array of int of shape (n,), optional
            Length of each sequence. By default it is predicted from the code.
        clip : bool, default=True
            Clip each numeric column to its range in the training data.
        random_state : int, RandomState, Generator or None, default=None
            Seed of the draws.

        Returns
        -------
        list
            Sequences, as ``inverse_transform`` returns them.

        Raises
        ------
        ParameterError
            If an argument is invalid, or the model file has no codes.
        DataError
            If the lengths are invalid.

        Warns
        -----
        UserWarning
            If the model file has no column ranges for ``clip``.

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
        check_fitted(self)
        n = check_whole("n", n, 0)
        warm = isinstance(temperature, Real) and not isinstance(temperature, bool)
        if not warm or not 0 <= temperature < float("inf"):
            raise ParameterError(
                f"{argument('temperature')} must be a number of at least 0. Got {temperature!r}."
            )
        seed = draw_seed(random_state)
        codes = generation.fit_density(self._known().codes, components, seed=seed).draw(
            n, seed=seed
        )
        return self._decode(codes, lengths, draw=Draw.at(temperature, seed), clip=clip)

    def interpolate(self, a: Any, b: Any, steps: int = 10, *, clip: bool = True) -> list[Any]:
        """Interpolate between two sequences in the latent space.

        Parameters
        ----------
        a, b : array of shape (length, features), list or str
            Two sequences in the layout of the training data.
        steps : int, default=10
            Number of sequences, both ends included.
        clip : bool, default=True
            Clip each numeric column to its range in the training data.

        Returns
        -------
        list
            Sequences decoded from codes on the straight line between both codes, with predicted
            lengths.

        Raises
        ------
        ParameterError
            If ``steps`` is below 2.
        DataError
            If ``a`` or ``b`` is not one sequence with the columns of the training data.

        Warns
        -----
        UserWarning
            If the model file has no column ranges for ``clip``.

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
        check_fitted(self)
        steps = check_whole("steps", steps, 2)
        ends = as_sequences([a, b], schema=self.schema_)
        if len(ends) != 2:
            raise DataError("a and b must be one sequence each.")
        (first, last), _ = next(self._encoded(self._opened(ends, "codes")))
        shares = np.linspace(0.0, 1.0, steps, dtype=np.float32)[:, None]
        return self._decode((1 - shares) * first + shares * last, clip=clip)

    def sample(
        self,
        n: int = 1,
        *,
        lengths: Any = None,
        clip: bool = True,
        random_state: Any = None,
    ) -> list[Any]:
        """Decode codes drawn from N(0, 1), for a variational model.

        Parameters
        ----------
        n : int, default=1
            Number of sequences.
        lengths : array of int of shape (n,), optional
            Length of each sequence. By default it is predicted from the code.
        clip : bool, default=True
            Clip each numeric column to its range in the training data.
        random_state : int, RandomState, Generator or None, default=None
            Seed of the draws.

        Returns
        -------
        list
            Sequences, as ``inverse_transform`` returns them.

        Raises
        ------
        ParameterError
            If the model is not variational, or scales each sequence by itself, because the mean and
            scale of a new one are then unknown.
        DataError
            If the lengths are invalid.

        Warns
        -----
        UserWarning
            If the model file has no column ranges for ``clip``.

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
        check_fitted(self)
        n = check_whole("n", n, 0)
        check_can_sample(self._network, self.scaler_)
        rng = np.random.default_rng(draw_seed(random_state))
        width = self._network.specification.latent_dim
        return self._decode(rng.standard_normal((n, width)), lengths, clip=clip)
