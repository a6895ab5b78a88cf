"""``refold index``, ``search`` and ``cluster``: indexes, nearest neighbors and clusters."""

import contextlib
import math
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

import refold
from refold._support.messages import pluralize
from refold._support.rules import check_exactly_one
from refold.cli import _options as options
from refold.cli._inputs import ReadOptions, load_model, read_codes
from refold.cli._outputs import TABLE_FORMATS, CommandFiles, log_line, name_id_column

# Number of hits of the first query in a picture. With more, the panels would be small.
_NUM_HITS_IN_PICTURE = 6


def index(
    model_file: options.ModelFile,
    data_file: options.OptionalDataFile = None,
    /,
    *,
    output: Annotated[str, Parameter(alias="-o", metavar="INDEX")],
    add: bool = False,
    may_replace_rows: Annotated[bool, Parameter(name="--replace")] = False,
    removed_ids: Annotated[options.NameList, Parameter(name="--remove")] = None,
    remove_where: Annotated[str | None, Parameter(metavar="CONDITION")] = None,
    metadata_columns: Annotated[options.NameList, Parameter(name="--metadata")] = None,
    label_file: options.LabelFile = None,
    vector_kind: Annotated[str, Parameter(metavar="VECTORS")] = "features",
    latent_steps: options.LatentSteps = None,
    read_options: ReadOptions = ReadOptions(),
    quiet: options.Quiet = False,
) -> None:
    """Encode sequences into an index for `refold search`, or change an index.

    Args:
        data_file: File of sequences to add, or -.
        output: File of the index.
        add: Add the rows to an existing index.
        may_replace_rows: Add the rows to an existing index. They replace rows with the same ids.
        removed_ids: Ids of rows to remove from an existing index.
        remove_where: Condition on rows to remove from an existing index, as for `refold search`.
        metadata_columns: Columns to store with the codes, one value per sequence, for hits and
            --where.
        vector_kind: What distances are measured on: features of the sequences, or the code.
    """
    changes = data_file, removed_ids, remove_where
    check_exactly_one("DATA to add, or --remove or --remove-where", *changes)
    files = CommandFiles(data_file)
    model, verbose = load_model(model_file, latent_steps=latent_steps), int(not quiet)
    if data_file is None:
        opened_index = refold.search.Index.open(output, model, verbose=verbose)
        num_removed = opened_index.remove(removed_ids, where=remove_where)
        summary = f"Removed {num_removed} of {len(opened_index) + num_removed} rows from"
    else:
        with read_options.open_with_labels(
            model, data_file, files, metadata_columns, label_file
        ) as (sequences, values_by_column):
            model = model.adapt(sequences)
            windows = model.windows(sequences)
            sequences = windows.sequences
            metadata: dict[str, Any] = {}
            if model.window is not None:
                # the series of each window, and where the window begins and ends
                table = windows.to_table("series")
                metadata |= zip(table.column_names, table.columns, strict=True)
            for name, values in values_by_column.items():
                if values.dtype.kind == "U":
                    # Labels are read as integers or text. Conditions such as "load < 0.5" compare
                    # numbers, so text such as 0.25 becomes a number.
                    with contextlib.suppress(ValueError):
                        values = values.astype(float)
                metadata[name] = values[windows.series]  # each window has the value of its series
            if add or may_replace_rows:
                opened_index = refold.search.Index.open(output, model, verbose=verbose)
                opened_index.add(sequences, metadata=metadata, replace=may_replace_rows)
            else:
                settings = {"metadata": metadata, "vector_kind": vector_kind, "verbose": verbose}
                opened_index = refold.search.Index.create(output, model, sequences, **settings)
        summary = f"Wrote {len(sequences)} rows to"
    if not quiet:
        log_line(f"{summary} {output}. It has {len(opened_index)} rows.")


def search(
    model_file: options.ModelFile,
    index_file: options.IndexFile,
    data_file: options.OptionalDataFile = None,
    /,
    *,
    query_ids: Annotated[options.NameList, Parameter(name="--like")] = None,
    code_file: Annotated[str | None, Parameter(name="--codes", metavar="CODES")] = None,
    k: Annotated[options.PositiveInt, Parameter(name="-k")] = 10,
    condition: Annotated[str | None, Parameter(name="--where", metavar="CONDITION")] = None,
    output: options.TableOutput = "-",
    picture_file: options.PictureFile = None,
    latent_steps: options.LatentSteps = None,
    read_options: ReadOptions = ReadOptions(),
    quiet: options.Quiet = False,
) -> None:
    """Find the nearest sequences in an index.

    Args:
        index_file: File from `refold index`.
        data_file: File of sequences to search for, or -.
        query_ids: Ids of index rows to search for, instead of DATA.
        code_file: File of codes to search for, instead of DATA.
        k: Hits per query.
        condition: Condition on id and metadata, as in SQL: "site = 'a'".
        output: File for one row per hit, or -.
        picture_file: Image file that draws each hit of the first query over it: .png or .svg.
    """
    check_exactly_one("DATA, --like ids or --codes to search for", data_file, query_ids, code_file)
    files = CommandFiles(data_file, code_file)
    target = files.add_output(output, TABLE_FORMATS)
    picture_target = files.add_optional_picture(picture_file)
    model = load_model(model_file, latent_steps=latent_steps)
    opened_index = refold.search.Index.open(index_file, model, verbose=int(not quiet))
    sequences = None
    if data_file is not None:
        sequences = read_options.read_sequences(model, data_file, files)
        queries: dict[str, Any] = {"X": sequences}
    elif query_ids is not None:
        queries = {"ids": query_ids}
    else:
        codes, code_ids, _ = read_codes(str(code_file), read_options.input_format, model)
        queries = {"codes": codes, "query_names": code_ids}
    hits = opened_index.search(**queries, k=k, where=condition)
    target.write_table(hits.to_table())
    if picture_target is not None:
        axes = refold.search.plot_hits(model, hits, sequences, max_hits=_NUM_HITS_IN_PICTURE)
        picture_target.write_picture(axes[0].figure)
    if not quiet:
        counts = f"{hits.table.num_rows} hits of {len(hits)} queries in {len(opened_index)} rows"
        log_line(f"Found {counts}.")


def cluster(
    model_file: options.ModelFile,
    data_file: options.OptionalDataFile = None,
    /,
    *,
    input_index_file: Annotated[str | None, Parameter(name="--index", metavar="INDEX")] = None,
    output: options.TableOutput = "-",
    cluster_table_file: Annotated[str | None, Parameter(name="--clusters", metavar="TABLE")] = None,
    center_file: Annotated[str | None, Parameter(name="--centers", metavar="DATA")] = None,
    method: Annotated[str, Parameter(metavar="METHOD")] = "k-means",
    num_clusters: options.NumClusters = None,
    min_size: Annotated[int | None, Parameter(validator=Number(gte=2), metavar="N")] = None,
    vector_kind: Annotated[
        str | None, Parameter(metavar="VECTORS", show_default="those of the index, or features")
    ] = None,
    picture_file: options.PictureFile = None,
    seed: options.OptionalSeed = None,
    latent_steps: options.LatentSteps = None,
    read_options: ReadOptions = ReadOptions(),
    quiet: options.Quiet = False,
) -> None:
    """Find clusters of similar sequences.

    Args:
        data_file: File of sequences, or -.
        input_index_file: Index from `refold index`, instead of DATA.
        output: File for one row per sequence, or -.
        cluster_table_file: File for one row per cluster: .jsonl, .csv or .parquet.
        center_file: File for the decoded centers, one per cluster.
        method: k-means, or hdbscan, which leaves sequences in sparse regions out as noise.
        min_size: Minimum size of a cluster of HDBSCAN. [default: 1 % of the sequences, at least 5]
        vector_kind: What distances are measured on: features of the sequences, or the code.
        picture_file: Image file for a map of the clusters: .png or .svg.
    """
    check_exactly_one("DATA or --index", data_file, input_index_file)
    files = CommandFiles(data_file)
    target = files.add_output(output, TABLE_FORMATS)
    table_target = files.add_optional_output("--clusters", cluster_table_file, TABLE_FORMATS)
    center_target = files.add_optional_output("--centers", center_file)
    picture_target = files.add_optional_picture(picture_file)
    model = load_model(model_file, latent_steps=latent_steps)
    settings = {"method": method, "num_clusters": num_clusters, "min_size": min_size}
    settings |= {"vector_kind": vector_kind, "random_state": seed or 0, "verbose": int(not quiet)}
    if input_index_file is not None:
        opened_index = refold.search.Index.open(input_index_file, model)
        clustering = refold.search.cluster(model, index=opened_index, **settings)
        # a pretrained model gets the number of columns from the codes, because there are no data
        model = model.adapt_to_code_width(clustering.centers)
    else:
        with read_options.open_sequences(model, str(data_file), files) as sequences:
            model = model.adapt(sequences)
            clustering = refold.search.cluster(model, sequences, **settings)
    # the id column has its name in the data, unless another column of the table has that name
    id_column = name_id_column(model.schema, ("cluster", "distance"))
    target.write_table(clustering.to_assignment_table(id_column))
    if table_target is not None:
        table = clustering.to_table()
        if table_target.format_name == "csv":
            # CSV has no lists, so each code takes several columns
            table = table.drop_columns("code")
            for i, values in enumerate(clustering.centers.T):
                table = table.append_column(f"code{i}", [values])
        table_target.write_table(table)
    if center_target is not None:
        decoded = model.decode(clustering.centers)
        center_target.write_sequences(decoded, model.schema, quiet=quiet)
    if picture_target is not None:
        cluster_names = [f"{i} ({num_members})" for i, num_members in enumerate(clustering.sizes)]
        # -1 is the label of noise
        labels = [cluster_names[label] if label >= 0 else "noise" for label in clustering.labels]
        # the picture shows the id of the sequence nearest to each center
        ids_by_row = {int(row): str(clustering.ids[row]) for row in clustering.nearest}
        axes = refold.plots.code_map(
            clustering.vectors, labels, ids_by_row, label_name="cluster (size)"
        )
        picture_target.write_picture(axes.figure)
    if quiet:
        return
    count = len(clustering)
    algorithm = "HDBSCAN" if method == "hdbscan" else method
    summary = f"{algorithm} found {pluralize(count, 'cluster')} of {len(clustering.ids)} sequences"
    if method == "hdbscan":
        summary += f"; {100 * clustering.noise_share:.1f} % are noise"
    if not math.isnan(clustering.silhouette):
        summary += f"; the mean silhouette is {clustering.silhouette:.3f}"
    if not count:
        summary += ". A smaller --min-size may find some, and --method k-means always does"
    log_line(f"{summary}.")
