"""``refold probe``: the linear probe accuracy of codes, of their features, and of PCA."""

import json
from dataclasses import asdict
from typing import Annotated, Any

import typer

import refold
from refold.cli._console import log, print_table
from refold.cli._options import AsJson, Data, LabelFile, LatentSteps, Model, Quiet
from refold.cli._reading import Reading, check_label_files, require_in_memory
from refold.cli._saved_models import load_model

__all__ = ["probe"]


def probe(
    model: Model,
    data: Data,
    *,
    label: Annotated[
        str, typer.Option(metavar="NAME", help="Column of labels, one value per sequence.")
    ],
    labels: LabelFile = None,
    folds: Annotated[
        int, typer.Option(min=2, metavar="N", help="Folds of the cross-validation.")
    ] = 5,
    seed: Annotated[
        int,
        typer.Option("--seed", min=0, max=2**32 - 1, metavar="N", help="Random seed of the folds."),
    ] = 0,
    latent_steps: LatentSteps = None,
    reading: Reading,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Measure the linear probe accuracy of codes and of their features, next to that of PCA.

    Cross-validates a logistic regression on the codes, on features of the sequences that they
    decode to, and on PCA codes of the same size.
    """
    check_label_files(data, labels)
    loaded = load_model(model, latent_steps=latent_steps)
    with reading.labelled(loaded, data, label, labels) as (source, found):
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
        name: refold.evaluation.probe(one, found, folds=folds, seed=seed)
        for name, one in vectors.items()
    }
    if as_json:
        typer.echo(json.dumps({name: asdict(one) for name, one in results.items()}))
    else:
        _print(results, codes.shape[1])
    if not quiet:
        one = results["Refold"]
        log(
            f"{one.num_classes} classes, {one.num_folds} folds. Always predicting the most "
            f"frequent class has an accuracy of {100 * one.chance:.1f} %. PCA is fitted on these "
            "sequences."
        )


def _print(results: dict[str, Any], size: int) -> None:
    print_table(
        (f"{size} latent dimensions", "linear probe accuracy"),
        [
            (name, f"{100 * one.accuracy:.1f} % ± {100 * one.deviation:.1f}")
            for name, one in results.items()
        ],
    )
