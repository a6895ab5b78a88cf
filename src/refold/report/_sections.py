"""A section of the page, made from a fitted model and sequences that it has not seen."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from refold.report._measure import Result
from refold.report._page import Figure, Section
from refold.report._svg import themed_svg

if TYPE_CHECKING:
    import numpy as np

    from refold.sequences import Sequences

__all__ = ["section"]

NUM_EXAMPLES = 6


def section(
    model: Any,
    held_out: "Sequences",
    result: Result,
    *,
    summary: str,
    labels: "Sequence[Any] | np.ndarray | None" = None,
    label_name: str | None = None,
) -> Section:
    """Draw what a fitted model does with held-out sequences.

    Parameters
    ----------
    model : SequenceAutoencoder
        Fitted.
    held_out : Sequences of shape (n_sequences,)
    result : Result
        What was measured on them.
    summary : str
        A few sentences on the data.
    labels : sequence of shape (n_sequences,), optional
        Colours of the codes on the map; by default the lengths.
    label_name : str, optional
        What the labels are.

    Returns
    -------
    Section

    Raises
    ------
    MissingExtraError
        If the extra ``plots`` is not installed.
    """
    from refold import plots

    held_out = held_out.align(model.schema_)
    codes = model.transform(held_out)
    if labels is None:
        labels, label_name = held_out.lengths, label_name or "steps"
    shown = _examples(held_out)
    chosen = held_out[shown]
    back = model.inverse_transform(codes[shown])
    annotations = {int(i): str(held_out.ids[i]) for i in shown}
    prefix = "".join(letter if letter.isalnum() else "-" for letter in result.name.lower())
    numeric = bool(model.schema_.numeric.any())
    figures = [
        Figure(
            "Architecture",
            "Layers with the shape of their output, without the batch, and their parameters. "
            "T is the number of steps.",
            themed_svg(
                lambda: plots.architecture(model.encoder_, model.decoder_), name=f"{prefix}-model"
            ),
            wide=True,
        ),
        Figure(
            "Losses by epoch",
            "Training stops when the validation loss no longer falls; the best epoch is kept.",
            themed_svg(lambda: plots.loss_curves(model.history_), name=f"{prefix}-losses"),
        ),
        Figure(
            "Map of the codes",
            "Each point is a held-out sequence. The named ones are drawn below.",
            themed_svg(
                lambda: plots.code_map(codes, labels, annotations, label_name=label_name),
                name=f"{prefix}-codes",
            ),
        ),
        Figure(
            "Originals under their reconstructions" if numeric else "Originals and reconstructions",
            "Held-out sequences, decoded from their codes alone: the original wide and pale, the "
            "reconstruction dashed."
            if numeric
            else "Held-out sequences, decoded from their codes alone: above the original, below "
            "the reconstruction; what differs is framed in red.",
            themed_svg(
                lambda: plots.reconstructions(chosen, back)[0], name=f"{prefix}-reconstructions"
            ),
            wide=True,
        ),
    ]
    facts = [
        (result.text(result.value), "held-out sequences, own lengths"),
        (result.text(result.pca), "PCA of the same size, told the lengths"),
        (str(result.code_size), "numbers a code"),
        (f"{result.seconds:.0f} s", "training"),
    ]
    return Section(result.name, summary, facts, figures)


def _examples(held_out: "Sequences") -> "np.ndarray":
    """Pick a few sequences from the shortest to the longest."""
    import numpy as np

    order = np.argsort(held_out.lengths, kind="stable")
    places = np.linspace(0, len(order) - 1, min(NUM_EXAMPLES, len(order)))
    return order[places.round().astype(int)]
