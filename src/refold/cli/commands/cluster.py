"""``refold cluster``: groups of similar sequences."""

import math
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

import refold
from refold._support.rules import check_only_one
from refold.cli import _options as options
from refold.cli._console import log
from refold.cli._files import TABLE_FORMATS, Files, data_formats
from refold.cli._models import check_feature_names, id_name, load_model, write_sequences
from refold.cli._reading import Reading

__all__ = ["cluster"]


def cluster(
    model: options.ModelFile,
    data: options.OptionalFile = None,
    /,
    *,
    index: Annotated[str | None, Parameter(metavar="INDEX")] = None,
    output: options.Table = "-",
    clusters: Annotated[str | None, Parameter(metavar="TABLE")] = None,
    centers: Annotated[str | None, Parameter(metavar="DATA")] = None,
    num_clusters: options.NumClusters = None,
    min_size: Annotated[int | None, Parameter(validator=Number(gte=2), metavar="N")] = None,
    distance: Annotated[
        str | None,
        Parameter(metavar="VECTORS", show_default="those of the index, or features"),
    ] = None,
    picture: options.Picture = None,
    seed: options.Seed = None,
    latent_steps: options.LatentSteps = None,
    reading: Reading = Reading(),
    output_format: options.TableFormat = None,
    quiet: options.Quiet = False,
) -> None:
    """Find clusters of similar sequences.

    Parameters
    ----------
    data
        File of sequences, or -.
    index
        Index from `refold index`, instead of DATA.
    output
        File for one row per sequence, or -.
    clusters
        File for one row per cluster: .parquet or .jsonl.
    centers
        File for the decoded centers, one per cluster.
    min_size
        Smallest cluster of HDBSCAN. [default: a hundredth, and at least 5]
    distance
        What distances are measured on: features of the sequences, or the code.
    picture
        Image file for a map of the clusters: .png or .svg.
    """
    check_only_one("DATA or --index", data, index)
    files = Files(model, data)
    target = files.output(output, TABLE_FORMATS, output_format)
    table_target = files.named_output("--clusters", clusters, ("parquet", "jsonl"))
    center_target = files.named_output("--centers", centers, data_formats())
    picture_target = files.picture(picture)
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
        with reading.opened(loaded, str(data), files) as source:
            found = refold.search.cluster(loaded, source, **asked)
    target.write_table(found.rows(id_name(loaded.schema, ("cluster", "distance"))))
    if table_target is not None:
        table_target.write_table(found.to_table())
    if center_target is not None:
        decoded = loaded.decode(found.centers)
        write_sequences(decoded, loaded.schema, center_target, quiet=quiet)
    if picture_target is not None:
        picture_target.write_picture(_map(found).figure)
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
