"""The autoencoder as a collection transformer of aeon, for its pipelines and grid searches.

No other module imports aeon, because the import takes seconds.
"""

from typing import TYPE_CHECKING, Any

import numpy as np

from refold._support.optional_imports import import_optional
from refold.errors import DataError, ParameterError
from refold.estimator import SequenceAutoencoder, fit_copy
from refold.sequences import Sequences

if TYPE_CHECKING:
    from aeon.transformations.collection import (
        BaseCollectionTransformer,
        CollectionInverseTransformerMixin,
    )
else:
    _collection = import_optional(
        "aeon.transformations.collection", extra="aeon", purpose="refold.for_aeon"
    )
    BaseCollectionTransformer = _collection.BaseCollectionTransformer
    CollectionInverseTransformerMixin = _collection.CollectionInverseTransformerMixin

__all__ = ["AutoencoderTransformer"]


class AutoencoderTransformer(CollectionInverseTransformerMixin, BaseCollectionTransformer):
    """Autoencoder as a collection transformer of aeon: from series to codes and back.

    ``transform`` returns an array of shape (n_cases, width of the code). scikit-learn's estimators
    read it as a table, and aeon's classifiers, regressors and clusterers as a collection of
    univariate series. ``inverse_transform`` decodes codes, with predicted lengths.

    Parameters
    ----------
    autoencoder : SequenceAutoencoder, optional
        Estimator, of which a copy is fitted. The default is ``SequenceAutoencoder()``.
    as_features : bool, default=False
        Return `SequenceAutoencoder.features` of the codes instead of the codes. Features suit
        classifiers better, and ``inverse_transform`` cannot decode them. If the autoencoder has a
        ``window``, ``transform`` always returns `SequenceAutoencoder.pooled`.

    Attributes
    ----------
    autoencoder_ : SequenceAutoencoder
        The fitted estimator.

    Raises
    ------
    MissingExtraError
        On import, if aeon is not installed.

    See Also
    --------
    refold.sequences.Sequences.from_aeon : Rules for padding and missing values.

    Examples
    --------
    >>> import numpy as np
    >>> from refold import SequenceAutoencoder
    >>> from refold.for_aeon import AutoencoderTransformer
    >>> X = [np.random.default_rng(i).normal(size=(2, 5 + i % 3)) for i in range(12)]
    >>> ae = SequenceAutoencoder(3, units=8, latent_steps=0, max_epochs=2, random_state=0)
    >>> transformer = AutoencoderTransformer(ae)
    >>> codes = transformer.fit_transform(X)
    >>> codes.shape, transformer.inverse_transform(codes)[0].shape[0]
    ((12, 3), 2)
    """

    _tags = {  # noqa: RUF012  (aeon's convention)
        "X_inner_type": ["np-list", "numpy3D"],
        "output_data_type": "Tabular",
        "capability:multivariate": True,
        "capability:unequal_length": True,
        "capability:missing_values": True,
        "capability:inverse_transform": True,
    }

    def __init__(
        self,
        autoencoder: SequenceAutoencoder | None = None,
        as_features: bool = False,  # noqa: FBT001, FBT002  (aeon's convention)
    ) -> None:
        self.autoencoder = autoencoder
        self.as_features = as_features
        super().__init__()

    def _fit(self, X: object, y: object = None) -> "AutoencoderTransformer":  # noqa: ARG002
        """Fit a copy of the autoencoder."""
        self.autoencoder_ = fit_copy(self.autoencoder, Sequences.from_aeon(X))
        return self

    def _transform(self, X: object, y: object = None) -> np.ndarray:  # noqa: ARG002
        """Return the codes, features or pooled vectors of cases, (n_cases, width)."""
        sequences = Sequences.from_aeon(X)
        # with a window, a case has several codes, and aeon needs one row for each case
        if self.autoencoder_.window is not None:
            return self.autoencoder_.pooled(sequences).astype(np.float64)
        codes = self.autoencoder_.encode(sequences)
        # float64, as aeon's own transformers return
        return (self.autoencoder_.features(codes) if self.as_features else codes).astype(np.float64)

    def _inverse_transform(self, X: object, y: object = None) -> np.ndarray | list[np.ndarray]:  # noqa: ARG002
        """Return the cases, each (n_channels, n_timepoints), that are decoded from codes."""
        if self.autoencoder_.window is not None:
            raise ParameterError(
                "inverse_transform decodes codes. With a window, transform returns one vector for "
                "all codes of a case. Fit without a window for an inverse."
            )
        if self.as_features:
            raise ParameterError(
                "inverse_transform decodes codes, but transform returns their features. Use "
                "as_features=False for an inverse."
            )
        codes = np.asarray(X)
        # aeon passes a table (n_cases, width) as a collection (n_cases, n_channels=1, width)
        if codes.ndim == 3:
            if codes.shape[1] != 1:
                raise DataError(
                    f"Got codes of {codes.shape[1]} channels, shape {codes.shape}. Expected one "
                    "code per case, as transform returns them."
                )
            codes = codes[:, 0]
        return Sequences.from_list(self.autoencoder_.inverse_transform(codes)).to_aeon()

    @classmethod
    def _get_test_params(cls, parameter_set: str = "default") -> dict[str, Any]:  # noqa: ARG003
        """Return arguments that make aeon's estimator checks fast."""
        tiny: dict[str, Any] = {"latent_dim": 2, "units": 4, "max_epochs": 1, "latent_steps": 0}
        return {"autoencoder": SequenceAutoencoder(**tiny, validation_fraction=0, random_state=0)}
