"""``refold probe``: the linear probe accuracy of codes, of their features, and of PCA."""

from dataclasses import asdict
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

import refold
from refold.cli import _options as options
from refold.cli._console import log, print_json, print_table
from refold.cli._files import Files
from refold.cli._models import load_model
from refold.cli._reading import Reading, require_in_memory

__all__ = ["probe"]


def probe(
    model: options.ModelFile,
    data: options.DataFile,
    /,
    *,
    label: Annotated[str, Parameter(metavar="NAME")],
    labels: options.LabelFile = None,
    folds: Annotated[int, Parameter(validator=Number(gte=2), metavar="N")] = 5,
    seed: options.FixedSeed = 0,
    latent_steps: options.LatentSteps = None,
    reading: Reading = Reading(),
    as_json: options.AsJson = False,
    quiet: options.Quiet = False,
) -> None:
    """Measure the linear probe accuracy of codes and of their features, next to that of PCA.

    Cross-validates a logistic regression on the codes, on features of the sequences that they
    decode to, and on PCA codes of the same size.

    Parameters
    ----------
    label
        Column of labels, one value per sequence.
    folds
        Folds of the cross-validation.
    """
    files = Files(model, data)
    loaded = load_model(model, latent_steps=latent_steps)
    with reading.described(loaded, data, files, [label], labels) as (source, columns):
        sequences = require_in_memory(source, data)
    codes = loaded.encode(sequences, verbose=int(not quiet))
    aligned = sequences.align(loaded.schema)
    width = max(1, int(aligned.lengths.max(initial=0))) * sum(
        column.width for column in aligned.schema.columns
    )
    pca = refold.evaluation.PCABaseline(min(codes.shape[1], len(aligned), width)).fit(aligned)
    vectors = {"Refold": codes}
    if loaded.reference is not None:  # model files of early versions have no features
        vectors["Refold, features"] = loaded.features(codes)
    fewer = f", {pca.latent_dim} dimensions" if pca.latent_dim < codes.shape[1] else ""
    vectors[f"PCA{fewer}"] = pca.transform(aligned)
    results = {
        name: refold.evaluation.probe(part, columns[label], folds=folds, seed=seed)
        for name, part in vectors.items()
    }
    if as_json:
        print_json({name: asdict(result) for name, result in results.items()})
    else:
        _print(results, codes.shape[1])
    if not quiet:
        result = results["Refold"]
        log(
            f"{result.num_classes} classes, {result.num_folds} folds. Always predicting the most "
            f"frequent class has an accuracy of {100 * result.chance:.1f} %. PCA is fitted on "
            "these sequences."
        )


def _print(results: dict[str, Any], size: int) -> None:
    print_table(
        (f"{size} latent dimensions", "linear probe accuracy"),
        [
            (name, f"{100 * result.accuracy:.1f} % ± {100 * result.deviation:.1f}")
            for name, result in results.items()
        ],
    )
