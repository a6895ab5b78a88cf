"""``refold cluster``: groups of similar sequences."""

import math
from typing import Annotated, Any

import typer

import refold
from refold._support.rules import check_only_one
from refold.cli._console import log
from refold.cli._files_and_streams import (
    TABLE_FORMATS,
    check_distinct,
    check_one_stream,
    data_formats,
    plan_file,
    plan_output,
)
from refold.cli._options import LatentSteps, Model, NumClusters, Quiet, Seed, TableFormat
from refold.cli._picture_files import plan_picture, write_picture
from refold.cli._reading import Reading
from refold.cli._saved_models import check_feature_names, id_name, load_model, write_sequences
from refold.cli._table_files import write_table

__all__ = ["cluster"]


def cluster(
    model: Model,
    data: Annotated[
        str | None, typer.Argument(metavar="[DATA]", help="File of sequences, or -.")
    ] = None,
    *,
    index: Annotated[
        str | None,
        typer.Option(metavar="INDEX", help="Index from `refold index`, instead of DATA."),
    ] = None,
    output: Annotated[
        str,
        typer.Option(
            "--output", "-o", metavar="TABLE", help="File for one row per sequence, or -."
        ),
    ] = "-",
    clusters: Annotated[
        str | None,
        typer.Option(metavar="TABLE", help="File for one row per cluster: .parquet or .jsonl."),
    ] = None,
    centers: Annotated[
        str | None,
        typer.Option(metavar="DATA", help="File for the decoded centers, one per cluster."),
    ] = None,
    num_clusters: NumClusters = None,
    min_size: Annotated[
        int | None,
        typer.Option(
            min=2,
            metavar="N",
            help=r"Smallest cluster of HDBSCAN. \[default: a hundredth, and at least 5]",
        ),
    ] = None,
    distance: Annotated[
        str | None,
        typer.Option(
            metavar="VECTORS",
            help="What distances are measured on: features of the sequences, or the code. "
            r"\[default: those of the index, or features]",
        ),
    ] = None,
    picture: Annotated[
        str | None,
        typer.Option(metavar="PICTURE", help="Image file for a map of the clusters: .png or .svg."),
    ] = None,
    seed: Seed = None,
    latent_steps: LatentSteps = None,
    reading: Reading,
    output_format: TableFormat = None,
    quiet: Quiet = False,
) -> None:
    """Find clusters of similar sequences."""
    check_only_one("DATA or --index", data, index)
    check_one_stream(model, data)
    target = plan_output(output, TABLE_FORMATS, output_format)
    table_target, center_target = (
        None
        if name is None
        else plan_file(name, formats, f"{option} cannot be standard output. Name a file.")
        for name, formats, option in (
            (clusters, ("parquet", "jsonl"), "--clusters"),
            (centers, data_formats(), "--centers"),
        )
    )
    picture_target = plan_picture(picture)
    check_distinct([target, table_target, center_target, picture_target], (data,))
    loaded = load_model(model, latent_steps=latent_steps)
    if center_target is not None:
        check_feature_names(loaded.schema, center_target.format)
    asked = {
        "num_clusters": num_clusters,
        "min_size": min_size,
        "distance": distance,
        "random_state": 0 if seed is None else seed,
        "verbose": int(not quiet),
    }
    if index is not None:
        opened = refold.search.Index.open(index, loaded)
        found = refold.search.cluster(loaded, index=opened, **asked)
    else:
        with reading.opened(loaded, str(data)) as source:
            found = refold.search.cluster(loaded, source, **asked)
    with target.writing() as path:
        write_table(path, found.rows(id_name(loaded.schema, ("cluster", "distance"))))
    if table_target is not None:
        with table_target.writing() as path:
            write_table(path, found.to_table())
    if center_target is not None:
        decoded = loaded.decode(found.centers)
        write_sequences(decoded, loaded.schema, center_target, quiet=quiet)
    if picture_target is not None:
        write_picture(_map(found).figure, picture_target)
    if not quiet:
        _log(found, "HDBSCAN" if num_clusters is None else "k-means")


def _map(found: "refold.search.Clusters") -> Any:
    """Draw the vectors in the plane, with the id of the sequence nearest to each center."""
    names = [f"{i} ({size})" for i, size in enumerate(found.sizes)]
    labels = [names[label] if label >= 0 else "noise" for label in found.labels]
    marked = {int(row): str(found.ids[row]) for row in found.nearest}
    return refold.plots.code_map(found.vectors, labels, marked, label_name="cluster (size)")


def _log(found: "refold.search.Clusters", method: str) -> None:
    count = len(found)
    line = f"{method} found {count} cluster{'s' * (count != 1)} of {len(found.ids)} sequences"
    if method == "HDBSCAN":
        line += f"; {100 * found.noise:.1f} % are noise"
    if not math.isnan(found.silhouette):
        line += f"; the mean silhouette is {found.silhouette:.3f}"
    if not count:
        line += ". A smaller --min-size may find some, and --num-clusters N always does"
    log(f"{line}.")
