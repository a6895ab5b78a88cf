"""``refold index``, ``search`` and ``cluster``: sequences that are similar."""

import math
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

import refold
from refold._support.rules import check_only_one
from refold.cli import _options as options
from refold.cli._inputs import Reading, load_model, read_codes
from refold.cli._outputs import (
    TABLE_FORMATS,
    Files,
    data_formats,
    id_name,
    log,
)

# Hits of the first query in a picture.
_DRAWN = 6


def index(
    model: options.ModelFile,
    data: options.OptionalFile = None,
    /,
    *,
    output: Annotated[str, Parameter(alias="-o", metavar="INDEX")],
    add: bool = False,
    replace: bool = False,
    remove: options.Names = None,
    remove_where: Annotated[str | None, Parameter(metavar="CONDITION")] = None,
    metadata: options.Names = None,
    labels: options.LabelFile = None,
    distance: Annotated[str, Parameter(metavar="VECTORS")] = "features",
    latent_steps: options.LatentSteps = None,
    reading: Reading = Reading(),
    quiet: options.Quiet = False,
) -> None:
    """Encode sequences into an index for `refold search`, or change an index.

    Args:
        data: File of sequences to add, or -.
        output: File of the index.
        add: Add the rows to an existing index.
        replace: Add the rows to an existing index, and replace those with their ids.
        remove: Ids of rows to remove from an existing index.
        remove_where: Condition on rows to remove from an existing index, as for `refold search`.
        metadata: Columns to store with the codes, one value per sequence, for hits and --where.
        distance: What distances are measured on: features of the sequences, or the code.
    """
    check_only_one("DATA to add, or --remove or --remove-where", data, remove, remove_where)
    files = Files(data)
    loaded, verbose = load_model(model, latent_steps=latent_steps), int(not quiet)
    if data is None:
        opened = refold.search.Index.open(output, loaded, verbose=verbose)
        count = opened.remove(remove, where=remove_where)
        done = f"Removed {count} of {len(opened) + count} rows from"
    else:
        columns = reading.described(loaded, data, files, metadata or [], labels)
        with columns as (source, fields):
            loaded = loaded.adapt(source)
            windows = loaded.windows(source)
            source = windows.sequences
            described = {name: _numbers(v)[windows.series] for name, v in fields.items()}
            if loaded.window is not None:
                places = windows.to_table("series")
                described = {name: places[name] for name in places.column_names} | described
            if add or replace:
                opened = refold.search.Index.open(output, loaded, verbose=verbose)
                opened.add(source, metadata=described, replace=replace)
            else:
                settings = {"metadata": described, "distance": distance, "verbose": verbose}
                opened = refold.search.Index.create(output, loaded, source, **settings)
        done = f"Wrote {len(source)} rows to"
    if not quiet:
        log(f"{done} {output}. It has {len(opened)} rows.")


def _numbers(values: Any) -> Any:
    """Return numbers if all values are numbers; labels are read as integers or text."""
    try:
        return values.astype(float) if values.dtype.kind == "U" else values
    except ValueError:
        return values


def search(
    model: options.ModelFile,
    index: options.File,
    data: options.OptionalFile = None,
    /,
    *,
    ids: Annotated[options.Names, Parameter(name="--like")] = None,
    codes: Annotated[str | None, Parameter(metavar="CODES")] = None,
    k: Annotated[options.Positive, Parameter(name="-k")] = 10,
    where: Annotated[str | None, Parameter(metavar="CONDITION")] = None,
    output: options.Table = "-",
    picture: options.Picture = None,
    latent_steps: options.LatentSteps = None,
    reading: Reading = Reading(),
    quiet: options.Quiet = False,
) -> None:
    """Find the nearest sequences in an index.

    Args:
        index: File from `refold index`.
        data: File of sequences to search for, or -.
        ids: Ids of rows of the index to search for, not DATA.
        codes: File of codes to search for, not DATA.
        k: Hits per query.
        where: Condition on id and metadata, as in SQL: "site = 'a'".
        output: File for one row per hit, or -.
        picture: Image file for the first query under its hits: .png or .svg.
    """
    check_only_one("DATA, --like ids or --codes to search for", data, ids, codes)
    files = Files(data, codes)
    target = files.output(output, TABLE_FORMATS)
    picture_target = files.picture(picture)
    loaded = load_model(model, latent_steps=latent_steps)
    opened = refold.search.Index.open(index, loaded, verbose=int(not quiet))
    sequences = None
    if data is not None:
        sequences = reading.read(loaded, data, files)
        queries = {"X": sequences}
    elif ids is not None:
        queries = {"ids": ids}
    else:
        values, names, _ = read_codes(str(codes), reading.input_format, loaded)
        queries = {"codes": values, "names": names}
    hits = opened.search(**queries, k=k, where=where)
    target.write_table(hits.to_table())
    if picture_target is not None:
        axes = refold.search.draw(loaded, hits, sequences, num=_DRAWN)
        picture_target.write_picture(axes[0].figure)
    if not quiet:
        log(f"Found {hits.table.num_rows} hits of {len(hits)} queries in {len(opened)} rows.")


def cluster(
    model: options.ModelFile,
    data: options.OptionalFile = None,
    /,
    *,
    index: Annotated[str | None, Parameter(metavar="INDEX")] = None,
    output: options.Table = "-",
    clusters: Annotated[str | None, Parameter(metavar="TABLE")] = None,
    centers: Annotated[str | None, Parameter(metavar="DATA")] = None,
    method: Annotated[str, Parameter(metavar="METHOD")] = "k-means",
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
    quiet: options.Quiet = False,
) -> None:
    """Find clusters of similar sequences.

    Args:
        data: File of sequences, or -.
        index: Index from `refold index`, instead of DATA.
        output: File for one row per sequence, or -.
        clusters: File for one row per cluster: .jsonl, .csv or .parquet.
        centers: File for the decoded centers, one per cluster.
        method: k-means, or hdbscan, which leaves sequences in sparse regions out as noise.
        min_size: Smallest cluster of HDBSCAN. [default: a hundredth, and at least 5]
        distance: What distances are measured on: features of the sequences, or the code.
        picture: Image file for a map of the clusters: .png or .svg.
    """
    check_only_one("DATA or --index", data, index)
    files = Files(data)
    target = files.output(output, TABLE_FORMATS)
    table_target = files.optional("--clusters", clusters, TABLE_FORMATS)
    center_target = files.optional("--centers", centers, data_formats())
    picture_target = files.picture(picture)
    loaded = load_model(model, latent_steps=latent_steps)
    settings = {
        "method": method,
        "num_clusters": num_clusters,
        "min_size": min_size,
        "distance": distance,
        "random_state": 0 if seed is None else seed,
        "verbose": int(not quiet),
    }
    if index is not None:
        opened = refold.search.Index.open(index, loaded)
        groups = refold.search.cluster(loaded, index=opened, **settings)
        loaded = loaded.with_columns_of(groups.centers)
    else:
        with reading.opened(loaded, str(data), files) as source:
            loaded = loaded.adapt(source)
            groups = refold.search.cluster(loaded, source, **settings)
    target.write_table(groups.rows(id_name(loaded.schema, ("cluster", "distance"))))
    if table_target is not None:
        table = groups.to_table()
        if table_target.format == "csv":  # which has no lists
            table = table.drop_columns("code")
            for i, values in enumerate(groups.centers.T):
                table = table.append_column(f"code{i}", [values])
        table_target.write_table(table)
    if center_target is not None:
        decoded = loaded.decode(groups.centers)
        center_target.write_sequences(decoded, loaded.schema, quiet=quiet)
    if picture_target is not None:
        names = [f"{i} ({size})" for i, size in enumerate(groups.sizes)]
        texts = [names[label] if label >= 0 else "noise" for label in groups.labels]
        # the sequence nearest to each center has its id in the picture
        marked = {int(row): str(groups.ids[row]) for row in groups.nearest}
        axes = refold.plots.code_map(groups.vectors, texts, marked, label_name="cluster (size)")
        picture_target.write_picture(axes.figure)
    if quiet:
        return
    count = len(groups)
    name = "HDBSCAN" if method == "hdbscan" else method
    line = f"{name} found {count} cluster{'s' * (count != 1)} of {len(groups.ids)} sequences"
    if method == "hdbscan":
        line += f"; {100 * groups.noise:.1f} % are noise"
    if not math.isnan(groups.silhouette):
        line += f"; the mean silhouette is {groups.silhouette:.3f}"
    if not count:
        line += ". A smaller --min-size may find some, and --method k-means always does"
    log(f"{line}.")
