"""HTML repr of the estimator: scikit-learn's diagram and a table about the fitted model."""

import sys
from html import escape
from typing import Any

from refold._support.console import describe_epochs
from refold._support.html_tables import columns_in_words, facts
from refold._support.scikit_learn_protocol import scikit_learn_view

__all__ = ["NotebookMixin"]


class NotebookMixin:
    """Mixin for the repr in notebooks, which has scikit-learn's diagram if it is imported."""

    @property
    def _repr_html_(self) -> Any:
        if "sklearn" in sys.modules:
            diagram = scikit_learn_view(self)._repr_html_  # AttributeError if it is set to text
        else:
            diagram = lambda: f"<pre>{escape(repr(self))}</pre>"  # noqa: E731
        return lambda: diagram() + _fitted(self)

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        html = getattr(self, "_repr_html_", None)
        return {"text/plain": repr(self)} | ({} if html is None else {"text/html": html()})


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
