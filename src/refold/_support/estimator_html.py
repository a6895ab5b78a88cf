"""HTML repr of the estimator: scikit-learn's diagram and a table about the fitted model."""

from typing import Any

from sklearn.base import BaseEstimator

from refold._support.console import describe_epochs
from refold._support.html_tables import columns_in_words, facts

__all__ = ["NotebookMixin"]


class NotebookMixin(BaseEstimator):
    """Mixin that adds the table to scikit-learn's repr in notebooks."""

    @property
    def _repr_html_(self) -> Any:
        diagram = super()._repr_html_  # AttributeError if scikit-learn is set to text
        return lambda: diagram() + _fitted(self)

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle = super()._repr_mimebundle_(**kwargs)
        if "text/html" in bundle:
            bundle["text/html"] += _fitted(self)
        return bundle


def _fitted(ae: Any) -> str:
    """Return an HTML table about the fitted model; an empty string before `fit`."""
    if not ae.__sklearn_is_fitted__():
        return ""
    phases = ae.history_["phase"]
    epochs, refit = phases.count("validated"), phases.count("refit")
    kept = describe_epochs(ae.best_epoch_, epochs)
    best = ae._fitted.best
    patches = f", read in patches of {ae.patch_}" if ae.patch_ > 1 else ""
    rows = [
        ("columns", columns_in_words(ae.schema_)),
        ("longest sequence", f"{ae.max_steps_} steps{patches}"),
        ("code", f"{len(ae.get_feature_names_out())} latent dimensions"),
        ("parameters", f"{ae.n_parameters_:,}"),
        ("epochs", kept + (f", then {refit} on all sequences" if refit else "")),
        ("best held-out loss", "" if best is None else f"{best[1]:.4g}"),
    ]
    return facts("Fitted", rows)
