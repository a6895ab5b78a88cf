"""``refold data`` and ``demo``: data sets to try, and a page about models of two data sets."""

import sys
import time
import warnings
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import refold
from refold.cli import _options as options
from refold.cli._outputs import (
    PAGE_FORMATS,
    STANDARD_STREAM,
    TABLE_FORMATS,
    CommandFiles,
    data_formats,
    log,
    print_table,
)
from refold.cli.codes import encode, reconstruct
from refold.errors import ParameterError

# Names of the data sets, each with its line in the list of `refold data`.
_DATA_SETS = {
    "moving-ones": "a moving one: 8 binary features, 0 to 10 steps",
    "question": "a moving one, 5 features, zero-padded to 10 steps, as in the question",
    "random-one-hot": "random one-hot tokens: 5 binary features, 10 steps",
    "noisy-sines": "noisy sines of random length, 1 feature",
    "ramps": "four ramps, 1 feature, as in the second answer",
    "japanese-vowels": "270 utterances of 9 speakers, 12 features",
    "japanese-vowels-test": "370 other utterances of the same speakers",
}


def data(
    name: options.OptionalFile = None,
    /,
    *,
    output: options.DataOutput = "-",
    num_sequences: Annotated[options.OptionalInt, Parameter(name="-n")] = None,
    seed: options.Seed = 0,
    label_file: Annotated[str | None, Parameter(name="--labels", metavar="TABLE")] = None,
    quiet: options.Quiet = False,
) -> None:
    """Write a data set to a file, or list the data sets.

    Args:
        name: Name of the data set; without it, list them.
        num_sequences: Number of sequences.
        label_file: File for the labels, one per sequence: the speakers of japanese-vowels.
    """
    if name is None:
        if output != STANDARD_STREAM or (num_sequences, label_file) != (None, None):
            raise ParameterError(f"Name a data set to write: {', '.join(_DATA_SETS)}.")
        names = refold.datasets.names()
        print_table(
            ("name", "description"), [(n, _DATA_SETS.get(n, "")) for n in names], num_text_columns=2
        )
        return
    files = CommandFiles()
    target = files.output(output, data_formats())
    label_target = files.optional_output("--labels", label_file, TABLE_FORMATS)
    sequences = refold.datasets.load(name, n=num_sequences, seed=seed)
    if label_target is not None:
        import pyarrow as pa

        label_column, label_values = refold.datasets.labels_of(name)
        ids = sequences.ids.tolist()
        label_target.write_table(pa.table({"id": ids, label_column: label_values[: len(ids)]}))
    refold.sequences.write(sequences, target.path or sys.stdout.buffer, format=target.format)
    if not quiet and target.path is not None:
        log(f"Wrote {len(sequences)} sequences to {output}")


_INTRODUCTION = (
    "The models encode sequences of different lengths as short vectors, and decode the sequences "
    "from the vectors alone. Everything below was measured on sequences that the models were not "
    "trained on, with default settings."
)
# Each data set of the demo: its name, title, number of latent dimensions and summary.
_MOVING_ONES = (
    "moving-ones",
    "Moving ones",
    4,
    "The data of the question: a one that moves through eight features, for 0 to 10 steps. Some "
    "steps are all zero and some sequences are empty, so padding must not be mistaken for data. "
    "Only the length describes such a sequence, and PCA is given the lengths. Trained on 4,000 "
    "sequences, measured on 1,000 others.",
)
_JAPANESE_VOWELS = (
    "japanese-vowels",
    "Japanese vowels",
    16,
    "Nine speakers say two vowels. Each utterance has 7 to 29 steps of 12 cepstral coefficients. "
    "Trained on 270 utterances, measured on 370 others. The map is colored by speaker; the model "
    "was trained without speakers.",
)


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
    from refold.report import check_packages, section, write_page

    check_packages()
    output.mkdir(parents=True, exist_ok=True)
    page = CommandFiles().output(str(output / "index.html"), PAGE_FORMATS)  # before the fits
    moving_ones = refold.datasets.moving_ones(5000, seed=seed)
    vowels = refold.datasets.japanese_vowels()
    num_train = len(moving_ones) * 4 // 5  # 4,000 sequences, as the summary says
    speakers = {"labels": vowels.test_labels, "label_name": "speaker"}
    sections, downloads = [], []
    settings: dict[str, Any] = {"verbose": 0 if quiet else 1}
    for (name, title, latent_dim, summary), train, held_out, labels in (
        (_MOVING_ONES, moving_ones[:num_train], moving_ones[num_train:], {}),
        (_JAPANESE_VOWELS, vowels.train, vowels.test, speakers),
    ):
        if not quiet:
            log(f"{title}: {latent_dim} latent dimensions")
        model = refold.SequenceAutoencoder(
            latent_dim, random_state=seed, max_epochs=max_epochs, **settings
        )
        start_time = time.perf_counter()
        model.fit(train)
        seconds = time.perf_counter() - start_time
        files = _write_demo_files(model, held_out, str(output / name))
        downloads += [(file, f"{title}: {description}") for file, description in files.items()]
        texts = {"title": title, "summary": summary}
        training = {"train": train, "seed": seed, "seconds": seconds}
        sections.append(section(model, held_out, **training, **texts, **labels, **settings))
    title = "Sequences, encoded and decoded"
    texts = {"title": title, "introduction": _INTRODUCTION}
    write_page(str(page.path), sections, downloads=downloads, **texts)
    rows = [
        (
            result.name,
            f"{result.num_sequences:,}",
            str(result.code_size),
            result.scores[0].text(result.scores[0].value),
            result.scores[0].text(result.scores[0].pca),
            f"{result.seconds:.1f}",
        )
        for result in (page_section.result for page_section in sections)
        if result is not None
    ]
    headings = ("data", "held out", "latent dim.", "Refold", "PCA with lengths", "seconds")
    print_table(headings, rows)
    if not quiet:
        note = "The models, codes and sequences are in the same folder."
        log(f"Open {page.name} in a browser. {note}")


def _write_demo_files(model: Any, held_out: "refold.Sequences", path_prefix: str) -> dict[str, str]:
    """Write a model, held-out sequences, codes and reconstructions; return descriptions by name."""
    files = {
        f"{path_prefix}.refold": "the model",
        f"{path_prefix}.parquet": "the held-out sequences",
        f"{path_prefix}-codes.parquet": "their codes, with ids",
        f"{path_prefix}-reconstructed.parquet": "the sequences decoded from the codes",
    }
    model_file, data_file, code_file, reconstructions = files
    model.save(model_file)
    refold.sequences.write(held_out, data_file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the page shows these warnings
        encode(model_file, data_file, output=code_file, quiet=True)
        reconstruct(model_file, data_file, output=reconstructions, quiet=True)
    return {Path(file).name: description for file, description in files.items()}
