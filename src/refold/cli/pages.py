"""``refold report``, ``explore`` and ``demo``, which write pages, and ``data``, for data sets."""

import contextlib
import random
import sys
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

import refold
from refold._support.optional_imports import check_report_packages
from refold.cli import _options as options
from refold.cli import _outputs as outputs
from refold.cli._inputs import ReadOptions, load_model, read_codes, require_in_memory
from refold.cli.codes import encode, reconstruct
from refold.errors import ParameterError

# Maximum number of sequences in an exported page, unless --max-sequences is set. With more, the
# file is larger, and a browser opens it more slowly.
_MAX_SEQUENCES_IN_EXPORTED_PAGE = 100_000
# Names of the data sets, each with its line in the list of `refold data`.
_DATA_SET_DESCRIPTIONS = {
    "moving-ones": "a moving one: 8 binary features, 0 to 10 steps",
    "question": 'moving one, 5 features, zero-padded to 10 steps: question "LSTM Autoencoder"',
    "random-one-hot": "random one-hot tokens: 5 binary features, 10 steps",
    "noisy-sines": "noisy sines of random length, 1 feature",
    "ramps": "four ramps, 1 feature, as in the second answer to this question",
    "japanese-vowels": "270 utterances of 9 speakers, 12 features",
    "japanese-vowels-test": "370 other utterances of the same speakers",
}


def report(
    model_file: options.ModelFile,
    data_file: options.DataFile,
    /,
    *,
    output: Annotated[str, Parameter(alias="-o", metavar="PAGE")],
    label_column: options.LabelColumn = None,
    label_file: options.LabelFile = None,
    train_file: Annotated[options.FileOption, Parameter(name="--train")] = None,
    max_sequences: options.PositiveInt = 2000,
    seed: options.Seed = 0,
    latent_steps: options.LatentSteps = None,
    read_options: ReadOptions = ReadOptions(),
    quiet: options.Quiet = False,
) -> None:
    """Write a page about the data, the model, its errors next to PCA's, and the codes.

    The page is a single file that opens without a network connection.

    Args:
        output: File for the page: .html.
        label_column: Column of labels, one value per sequence, for colors.
        train_file: Training data to fit PCA on, if DATA is not the training data. [default: PCA is
            cross-fitted on DATA]
        max_sequences: Sequences to show, drawn at random if there are more.
    """
    files = outputs.CommandFiles(data_file, train_file)
    target = files.add_output(output, outputs.PAGE_FORMATS, option="--output")
    check_report_packages()
    options.check_dependent_option("--labels", label_file, "--label NAME", label_column)
    model = load_model(model_file, latent_steps=latent_steps)
    # without a training file, the training sequences are None
    train_context: Any = contextlib.nullcontext()
    if train_file is not None:
        # if the labels are in the data file, the training file likely has the label column, too
        ignored = [label_column] if label_column is not None and label_file is None else []
        train_context = read_options.open_sequences(
            model, train_file, files, ignored_columns=ignored
        )
    label_columns = None if label_column is None else [label_column]
    context = read_options.open_with_labels(model, data_file, files, label_columns, label_file)
    with context as (sequences, labels), train_context as train_sequences:
        # not at the top, because this import takes longer than the answer to a mistake in the data
        from refold.report import report as write_report

        title = "standard input" if data_file == outputs.STANDARD_STREAM else Path(data_file).name
        result = write_report(
            model,
            sequences,
            str(target.path),
            labels=None if label_column is None else labels[label_column],
            label_name=label_column,
            train=train_sequences,
            title=title,
            max_sequences=max_sequences,
            seed=seed,
            verbose=int(not quiet),
        )
    code_size, pca_size = result.code_size, result.pca_size  # pca_size is 0 without PCA
    pca_heading = "PCA" if pca_size in (0, code_size) else f"PCA, {pca_size} dimensions"
    rows = []
    for score in result.scores:
        pca_text = "none" if score.pca is None else score.format_number(score.pca)
        rows.append((score.meaning, score.format_number(score.value), pca_text))
    outputs.print_table((f"codes of {code_size} dimensions", "Refold", pca_heading), rows)
    if not quiet:
        outputs.log_line(f"Open {output} in a browser.")


def explore(
    model_file: Annotated[options.FileArgument, Parameter(name="MODEL")],
    data_file: Annotated[options.FileArgument, Parameter(name="DATA")],
    /,
    *,
    label_columns: Annotated[list[str] | None, Parameter(name="--label", metavar="NAME")] = None,
    label_file: options.LabelFile = None,
    code_file: Annotated[str | None, Parameter(name="--codes", metavar="CODES")] = None,
    num_clusters: options.NumClusters = None,
    port: Annotated[int, Parameter(validator=Number(gte=0, lte=65535), metavar="N")] = 8000,
    page_file: Annotated[str | None, Parameter(name="--export", metavar="PAGE")] = None,
    max_sequences: options.OptionalPositiveInt = None,
    has_umap: Annotated[bool, Parameter(name="--umap")] = False,
    latent_steps: options.LatentSteps = None,
    read_options: ReadOptions = ReadOptions(),
    quiet: options.Quiet = False,
) -> None:
    """Open a map of codes in the browser: every place on it decodes to a sequence.

    The page is for this machine only. Ctrl-C stops it. With --export, the page is a file that you
    can share: it holds the data and the decoder.

    Args:
        model_file: Model file from `refold fit`.
        data_file: File of sequences.
        label_columns: Column to color by, one value per sequence. Repeat for more.
        code_file: File of the codes of DATA, from `refold encode`, to save time.
        port: Port of the page; 0 takes a free one.
        page_file: Write the page to this .html file instead. The file needs no server.
        max_sequences: Sequences to show, drawn at random. [default: all, or 100,000 with --export]
        has_umap: Put a UMAP map into the page of --export, too.
    """
    files = outputs.CommandFiles(data_file, code_file, label_file)
    target = files.add_optional_output("--export", page_file, outputs.PAGE_FORMATS)
    # not at the top, because this import takes long, and most commands do not need it
    from refold.explore import Atlas, check_exportable, export_page
    from refold.explore import explore as explore_atlas

    outputs.check_no_streams("refold explore", model_file, data_file, code_file, label_file)
    model = load_model(model_file, latent_steps=latent_steps)
    if target is not None:
        check_exportable(model)
        max_sequences = max_sequences or _MAX_SEQUENCES_IN_EXPORTED_PAGE
    context = read_options.open_with_labels(model, data_file, files, label_columns, label_file)
    with context as (opened_sequences, labels):
        sequences = require_in_memory(opened_sequences, data_file)
    model = model.adapt(sequences)
    windows, codes = model.windows(sequences), None
    sequences = windows.sequences
    # `windows.lengths` has one length for each series
    noun = "sequences" if model.window is None else f"windows of {len(windows.lengths)} series"
    # each window has the label of its series
    labels = {name: values[windows.series] for name, values in labels.items()}
    if code_file is not None:
        codes, ids, _ = read_codes(code_file, format_name=None, model=model)
        if ids.astype(str).tolist() != sequences.ids.astype(str).tolist():
            problem = f"{code_file} does not hold the codes of {data_file}: the ids differ."
            raise ParameterError(f"{problem} Encode {data_file} again.")
    if max_sequences is not None and len(sequences) > max_sequences:
        # the same seed in each run, so that the page shows the same sequences again
        num_sequences = len(sequences)
        drawn_rows = sorted(random.Random(0).sample(range(num_sequences), max_sequences))  # noqa: S311
        sequences, codes = sequences[drawn_rows], None if codes is None else codes[drawn_rows]
        labels = {name: [values[i] for i in drawn_rows] for name, values in labels.items()}
        if not quiet:
            outputs.log_line(f"Showing {max_sequences} of {num_sequences} {noun}, drawn at random.")
    atlas = Atlas(model, sequences, codes=codes, fields=labels, num_clusters=num_clusters)
    if target is not None:
        num_bytes = export_page(atlas, str(target.path), name=Path(model_file).stem, umap=has_umap)
        if not quiet:
            outputs.log_line(f"{page_file} has {num_bytes / 1e6:.1f} MB. Open it in a browser.")
        return
    if not quiet:
        outputs.log_line(f"The map has {len(atlas.codes)} {noun}. Open its address in a browser.")
    explore_atlas(model_file, atlas, port=port)


def data(
    name: options.OptionalFileArgument = None,
    /,
    *,
    output: options.SequenceOutput = "-",
    num_sequences: Annotated[options.OptionalInt, Parameter(name="-n")] = None,
    seed: options.Seed = 0,
    label_file: Annotated[str | None, Parameter(name="--labels", metavar="TABLE")] = None,
    quiet: options.Quiet = False,
) -> None:
    """Write a data set to a file, or list the data sets.

    Args:
        name: Name of the data set. Without a name, all data sets are listed.
        num_sequences: Number of sequences.
        label_file: File for one label per sequence: the speaker. Only japanese-vowels data has it.
    """
    if name is None:
        if output != outputs.STANDARD_STREAM or num_sequences is not None or label_file is not None:
            raise ParameterError(f"Name a data set to write: {', '.join(_DATA_SET_DESCRIPTIONS)}.")
        names = refold.datasets.list_data_sets()
        rows = [(data_set, _DATA_SET_DESCRIPTIONS.get(data_set, "")) for data_set in names]
        outputs.print_table(("name", "description"), rows, num_text_columns=2)
        return
    files = outputs.CommandFiles()
    target = files.add_output(output)
    label_target = files.add_optional_output("--labels", label_file, outputs.TABLE_FORMATS)
    sequences = refold.datasets.load(name, n=num_sequences, seed=seed)
    if label_target is not None:
        import pyarrow as pa

        label_column, label_values = refold.datasets.labels_of(name)
        ids = sequences.ids.tolist()
        label_target.write_table(pa.table({"id": ids, label_column: label_values[: len(ids)]}))
    refold.sequences.write(sequences, target.path or sys.stdout.buffer, format=target.format_name)
    if not quiet and target.path is not None:
        outputs.log_line(f"Wrote {len(sequences)} sequences to {output}")


def demo(
    *,
    output: Annotated[Path, Parameter(alias="-o", metavar="FOLDER")] = Path("demo"),
    seed: options.Seed = 0,
    max_epochs: options.OptionalInt = None,
    quiet: options.Quiet = False,
) -> None:
    """Fit two data sets, and write a page about the models, codes and reconstructions.

    Args:
        output: Folder for the results.
        max_epochs: Maximum number of epochs, for a quick look.
    """
    check_report_packages()
    # not at the top, because this import takes long, and most commands do not need it
    from refold.report import make_report_section, write_page

    output.mkdir(parents=True, exist_ok=True)
    # before the fits, because this checks that the page can be written
    page = outputs.CommandFiles().add_output(str(output / "index.html"), outputs.PAGE_FORMATS)
    sections: list[Any] = []
    downloads: list[tuple[str, str]] = []  # files next to the page, with descriptions
    settings: dict[str, Any] = {"verbose": int(not quiet)}

    def fit_and_add_section(
        file_stem: str,
        latent_dim: int,
        train_sequences: "refold.Sequences",
        test_sequences: "refold.Sequences",
        **section_arguments: Any,  # of `make_report_section`
    ) -> None:
        """Fit a model, write its files, and add its section to the page."""
        title = section_arguments["title"]
        if not quiet:
            outputs.log_line(f"{title}: {latent_dim} latent dimensions")
        model = refold.SequenceAutoencoder(
            latent_dim, random_state=seed, max_epochs=max_epochs, **settings
        )
        start_time = time.perf_counter()
        model.fit(train_sequences)
        seconds = time.perf_counter() - start_time
        descriptions = {
            f"{file_stem}.refold": "the model",
            f"{file_stem}.parquet": "the held-out sequences",
            f"{file_stem}-codes.parquet": "their codes, with ids",
            f"{file_stem}-reconstructed.parquet": "the sequences decoded from the codes",
        }
        files = [str(output / file_name) for file_name in descriptions]
        model_file, data_file, code_file, reconstructed_file = files
        model.save(model_file)
        refold.sequences.write(test_sequences, data_file)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # the page shows these warnings
            encode(model_file, data_file, output=code_file, quiet=True)
            reconstruct(model_file, data_file, output=reconstructed_file, quiet=True)
        downloads.extend((file, f"{title}: {text}") for file, text in descriptions.items())
        section_arguments |= {"train": train_sequences, "seed": seed, "fit_seconds": seconds}
        section_arguments |= settings
        sections.append(make_report_section(model, test_sequences, **section_arguments))

    moving_ones = refold.datasets.moving_ones(5000, seed=seed)
    num_train = len(moving_ones) * 4 // 5  # 4,000 sequences, as the summary says
    fit_and_add_section(
        file_stem="moving-ones",
        latent_dim=4,
        train_sequences=moving_ones[:num_train],
        test_sequences=moving_ones[num_train:],
        title="Moving ones",
        summary="Data of the question on LSTM autoencoders: a one that moves through eight "
        "features, for 0 to 10 steps. Some steps are all zero and some sequences are empty, so "
        "padding must not be mistaken for data. Only the length describes such a sequence, and PCA "
        "is given the lengths. Trained on 4,000 sequences, measured on 1,000 others.",
    )
    vowels = refold.datasets.japanese_vowels()
    fit_and_add_section(
        file_stem="japanese-vowels",
        latent_dim=16,
        train_sequences=vowels.train,
        test_sequences=vowels.test,
        title="Japanese vowels",
        summary="Nine speakers say two vowels. Each utterance has 7 to 29 steps of 12 cepstral "
        "coefficients. Trained on 270 utterances, measured on 370 others. The map is colored by "
        "speaker; the model was trained without speakers.",
        labels=vowels.test_labels,
        label_name="speaker",
    )
    write_page(
        str(page.path),
        sections,
        downloads=downloads,
        title="Sequences, encoded and decoded",
        introduction="The models encode sequences of different lengths as short vectors, and "
        "decode the sequences from the vectors alone. Everything below was measured on sequences "
        "that the models were not trained on, with default settings.",
    )
    rows = []
    for result in (page_section.result for page_section in sections):
        score = result.scores[0]  # the main score
        score_texts = score.text(score.value), score.text(score.pca)
        counts = f"{result.num_sequences:,}", str(result.code_size)
        rows.append((result.name, *counts, *score_texts, f"{result.seconds:.1f}"))
    headings = ("data", "held out", "latent dim.", "Refold", "PCA with lengths", "seconds")
    outputs.print_table(headings, rows)
    if not quiet:
        note = "The models, codes and sequences are in the same folder."
        outputs.log_line(f"Open {page.file_name} in a browser. {note}")
