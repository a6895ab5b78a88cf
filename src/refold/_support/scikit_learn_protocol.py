"""scikit-learn's protocol for transformers, without its classes.

Loading a model and encoding with it do not import scikit-learn, so the estimator does not inherit
from scikit-learn's classes. What scikit-learn alone asks for (tags, metadata routing, the parts of
a diagram) comes from scikit-learn's own code, which runs on a view of the estimator.
"""

import functools
import importlib
import inspect
import sys
import textwrap
from typing import Any, Self

import numpy as np

from refold.errors import NotFittedError, ParameterError

__all__ = ["ScikitLearnProtocol", "as_output", "check_fitted", "scikit_learn_view"]


def check_fitted(estimator: Any) -> None:
    """Raise an error if an estimator is not fitted.

    Parameters
    ----------
    estimator : estimator
        With the method ``__sklearn_is_fitted__``.

    Raises
    ------
    NotFittedError
        It is also scikit-learn's error of this name if scikit-learn is imported.
    ParameterError
        If it is no estimator.

    Examples
    --------
    >>> import refold
    >>> check_fitted(refold.SequenceAutoencoder())
    Traceback (most recent call last):
    ...
    refold.errors.NotFittedError: This SequenceAutoencoder is not fitted yet. Call fit first.
    """
    if isinstance(estimator, type) or not hasattr(estimator, "__sklearn_is_fitted__"):
        got = (
            f"the class {estimator.__name__}"
            if isinstance(estimator, type)
            else (f"a {type(estimator).__name__}")
        )
        raise ParameterError(f"Expected a fitted SequenceAutoencoder. Got {got}.")
    if not estimator.__sklearn_is_fitted__():
        error = _not_fitted_error() if "sklearn" in sys.modules else NotFittedError
        raise error(f"This {type(estimator).__name__} is not fitted yet. Call fit first.")


def as_output(estimator: Any, codes: np.ndarray, given: Any) -> Any:
    """Convert codes to the container that ``set_output`` or scikit-learn's configuration asks for.

    Parameters
    ----------
    estimator : ScikitLearnProtocol
    codes : array of shape (n_sequences, width of the code)
    given : object
        The sequences. If they are a pandas object with one row per sequence, a pandas frame of
        codes has the same index.

    Returns
    -------
    array, pandas.DataFrame or polars.DataFrame

    Raises
    ------
    ParameterError
        If it is another container.
    """
    container = getattr(estimator, "_sklearn_output_config", {}).get("transform")
    if container is None and "sklearn" in sys.modules:
        container = sys.modules["sklearn"].get_config()["transform_output"]
    if container in (None, "default"):
        return codes
    if container not in ("pandas", "polars"):
        raise ParameterError(
            f"The output of transform must be 'default', 'pandas' or 'polars'. Got {container!r}."
        )
    library, names = importlib.import_module(container), list(estimator.get_feature_names_out())
    if container == "polars":
        return library.DataFrame(codes, schema=names, orient="row")
    indexed = isinstance(given, library.DataFrame | library.Series) and len(given) == len(codes)
    return library.DataFrame(codes, index=given.index if indexed else None, columns=names)


def scikit_learn_view(estimator: Any) -> Any:
    """Return an estimator that inherits from scikit-learn's classes and shares all attributes.

    Parameters
    ----------
    estimator : ScikitLearnProtocol

    Returns
    -------
    sklearn.base.BaseEstimator

    Examples
    --------
    >>> import refold
    >>> from sklearn.base import TransformerMixin
    >>> isinstance(scikit_learn_view(refold.SequenceAutoencoder()), TransformerMixin)
    True
    """
    view = object.__new__(_view_class(type(estimator)))
    view.__dict__ = estimator.__dict__
    return view


def _of_view(name: str) -> Any:
    """Return a property that has the value of an attribute of the view."""
    return property(lambda estimator: getattr(scikit_learn_view(estimator), name))


class ScikitLearnProtocol:
    """What scikit-learn expects of a transformer beside ``fit`` and ``transform``.

    A subclass defines ``__sklearn_is_fitted__`` and ``_n_features_out``, and its constructor only
    assigns its arguments.

    Examples
    --------
    >>> from sklearn.base import clone
    >>> import refold
    >>> clone(refold.SequenceAutoencoder(latent_dim=4, units=8))
    SequenceAutoencoder(latent_dim=4, units=8)
    """

    n_features_in_: int
    _n_features_out: Any
    _sklearn_output_config: dict[str, str]

    @classmethod
    def _get_param_names(cls) -> list[str]:
        return sorted(list(inspect.signature(cls.__init__).parameters)[1:])

    def get_params(self, deep: bool = True) -> dict[str, Any]:  # noqa: ARG002, FBT001, FBT002
        """Return the arguments of the constructor.

        Parameters
        ----------
        deep : ignored
            No argument is an estimator.

        Returns
        -------
        dict
        """
        return {name: getattr(self, name) for name in self._get_param_names()}

    def set_params(self, **params: Any) -> Self:
        """Set arguments of the constructor.

        Parameters
        ----------
        **params
            Values by name. They are checked in ``fit``.

        Returns
        -------
        SequenceAutoencoder

        Raises
        ------
        ParameterError
            If the constructor has no such argument.
        """
        names = self._get_param_names()
        for name in params:
            if name not in names:
                raise ParameterError(
                    f"{type(self).__name__} has no argument {name!r}. It has {', '.join(names)}."
                )
        vars(self).update(params)
        return self

    def fit_transform(self: Any, X: Any, y: Any = None, **fit_params: Any) -> Any:
        """Fit to sequences and encode them.

        Parameters
        ----------
        X, y, **fit_params
            Arguments of ``fit``.

        Returns
        -------
        array of float32 of shape (n_sequences, latent_dim)
            As ``transform`` returns it.
        """
        return self.fit(X, y, **fit_params).transform(X)

    def get_feature_names_out(self, input_features: Any = None) -> np.ndarray:
        """Return the names of the latent dimensions, as ``set_output`` uses them.

        Parameters
        ----------
        input_features : sequence of str, optional
            Names of the columns. Only their number is checked.

        Returns
        -------
        array of str of shape (width of the code,)

        Raises
        ------
        ParameterError
            If the number of ``input_features`` differs from the number of columns.
        """
        check_fitted(self)
        if input_features is not None and len(input_features) != self.n_features_in_:
            raise ParameterError(
                "input_features should have length equal to number of features "
                f"({self.n_features_in_}), got {len(input_features)}"
            )
        name = type(self).__name__.lower()
        return np.array([f"{name}{i}" for i in range(self._n_features_out)], dtype=object)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Set the container that ``transform`` and ``fit_transform`` return.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, optional
            "default" is an array. None changes nothing.

        Returns
        -------
        SequenceAutoencoder
        """
        if transform is not None:
            # under the name that scikit-learn's clone copies
            self._sklearn_output_config = {"transform": transform}
        return self

    def set_fit_request(self, **requests: Any) -> Self:
        """Choose the arguments of ``fit`` that scikit-learn's metadata routing passes on.

        Parameters
        ----------
        **requests : bool, str or None
            As for any estimator of scikit-learn.

        Returns
        -------
        SequenceAutoencoder
        """
        scikit_learn_view(self).set_fit_request(**requests)
        return self

    def set_inverse_transform_request(self, **requests: Any) -> Self:
        """Choose the arguments of ``inverse_transform`` that metadata routing passes on.

        Parameters
        ----------
        **requests : bool, str or None
            As for any estimator of scikit-learn.

        Returns
        -------
        SequenceAutoencoder
        """
        scikit_learn_view(self).set_inverse_transform_request(**requests)
        return self

    get_metadata_routing = _of_view("get_metadata_routing")
    # what the diagram of a pipeline shows of its steps
    _get_params_html = _of_view("_get_params_html")
    _get_fitted_attr_html = _of_view("_get_fitted_attr_html")
    _get_doc_link = _of_view("_get_doc_link")

    def __sklearn_tags__(self) -> Any:
        return scikit_learn_view(self).__sklearn_tags__()

    def __repr__(self) -> str:
        name, defaults = type(self).__name__, inspect.signature(type(self)).parameters
        given = (
            f"{parameter}={value!r}"
            for parameter, value in self.get_params().items()
            if repr(value) != repr(defaults[parameter].default)
        )
        return textwrap.fill(
            f"{name}({', '.join(given)})",
            width=80,
            subsequent_indent=" " * (len(name) + 1),
            break_long_words=False,
            break_on_hyphens=False,
        )


@functools.cache
def _view_class(cls: type) -> type:
    """Return a class with scikit-learn's methods in place of those of `ScikitLearnProtocol`.

    It has no properties that end in an underscore, because a diagram would compute all of them.
    """
    from sklearn.base import BaseEstimator, ClassNamePrefixFeaturesOutMixin, TransformerMixin

    members = {
        name: value
        for base in reversed(cls.__mro__)
        if base not in (ScikitLearnProtocol, object)
        for name, value in vars(base).items()
        if name not in ("__dict__", "__weakref__", "__sklearn_tags__")
        if not (isinstance(value, property) and name.endswith("_"))
    }
    bases = ClassNamePrefixFeaturesOutMixin, TransformerMixin, BaseEstimator
    return type(cls.__name__, bases, members)


@functools.cache
def _not_fitted_error() -> type[Exception]:
    """Return an error that is both ours and scikit-learn's, and ours in another process."""
    members = {
        "__module__": NotFittedError.__module__,
        "__reduce__": lambda error: (NotFittedError, error.args),
    }
    bases = NotFittedError, sys.modules["sklearn"].exceptions.NotFittedError
    return type("NotFittedError", bases, members)
