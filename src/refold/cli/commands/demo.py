"""``refold demo``: two data sets from training to figures, in one folder."""

import tempfile
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

import refold
from refold.cli import _options as options
from refold.cli._console import log, print_table
from refold.errors import ParameterError

__all__ = ["demo"]

INTRODUCTION = (
    "The models encode sequences of different lengths as short vectors, and decode the sequences "
    "from the vectors alone. Everything below was measured on sequences that the models were not "
    "trained on, with default settings."
)


@dataclass(frozen=True)
class _Split:
    """Training and held-out sequences, with labels to color the codes by."""

    train: "refold.Sequences"
    held_out: "refold.Sequences"
    labels: Any = None
    label_name: str | None = None


@dataclass(frozen=True)
class _DataSet:
    """A data set of the demo, with its texts and number of latent dimensions."""

    name: str
    title: str
    latent_dim: int
    summary: str
    split: Callable[[int], _Split]


def _moving_ones(seed: int) -> _Split:
    sequences = refold.datasets.moving_ones(5000, seed=seed)
    return _Split(sequences[:4000], sequences[4000:])


def _japanese_vowels(_: int) -> _Split:
    vowels = refold.datasets.japanese_vowels()
    return _Split(vowels.train, vowels.test, vowels.test_labels, "speaker")


DATA_SETS = (
    _DataSet(
        "moving-ones",
        "Moving ones",
        4,
        "The data of the question: a one that moves through eight features, for 0 to 10 steps. "
        "Some steps are all zero and some sequences are empty, so padding must not be mistaken for "
        "data. Only the length describes such a sequence, and PCA is given the lengths. Trained on "
        "4,000 sequences, measured on 1,000 others.",
        _moving_ones,
    ),
    _DataSet(
        "japanese-vowels",
        "Japanese vowels",
        16,
        "Nine speakers say two vowels. Each utterance has 7 to 29 steps of 12 cepstral "
        "coefficients. Trained on 270 utterances, measured on 370 others. The map is colored by "
        "speaker; the model was trained without speakers.",
        _japanese_vowels,
    ),
)


def demo(
    *,
    output: Annotated[Path, Parameter(alias="-o", metavar="FOLDER")] = Path("demo"),
    seed: options.FixedSeed = 0,
    max_epochs: options.Count = None,
    quiet: options.Quiet = False,
) -> None:
    """Fit two data sets, and write a page about the models, codes and reconstructions.

    Parameters
    ----------
    output
        Folder for the results.
    max_epochs
        Maximum number of epochs, for a quick look.
    """
    _prepare(output)
    sections, downloads = [], []
    for data_set in DATA_SETS:
        if not quiet:
            log(f"{data_set.title}: {data_set.latent_dim} latent dimensions")
        part, files = _run(data_set, output, seed, max_epochs, quiet=quiet)
        sections.append(part)
        downloads.extend(files)

    from refold.report import write_page

    page = output / "index.html"
    write_page(
        page,
        sections,
        title="Sequences, encoded and decoded",
        introduction=INTRODUCTION,
        downloads=downloads,
    )
    print_table(
        ("data", "held out", "latent dim.", "Refold", "PCA with lengths", "seconds"),
        [
            (
                row.name,
                f"{row.num_sequences:,}",
                str(row.code_size),
                row.scores[0].text(row.scores[0].value),
                row.scores[0].text(row.scores[0].pca),
                f"{row.seconds:.1f}",
            )
            for row in (part.result for part in sections)
            if row is not None
        ],
    )
    if not quiet:
        log(f"Open {page} in a browser. The models, codes and sequences are in the same folder.")


def _prepare(folder: Path) -> None:
    """Check the packages and the folder before the work."""
    from refold.report import check_packages

    check_packages()
    if folder.exists() and not folder.is_dir():
        raise ParameterError(f"The output {str(folder)!r} is a file. Name a folder.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ParameterError(
            f"The folder {str(folder)!r} cannot be written ({error.strerror}). Name another."
        ) from error


def _run(
    data_set: _DataSet, folder: Path, seed: int, max_epochs: int | None, *, quiet: bool
) -> tuple[Any, list[tuple[str, str]]]:
    """Train on one data set, and return its section of the page and its files."""
    from refold.cli._codes import write_codes
    from refold.report import section

    split = data_set.split(seed)
    model = refold.SequenceAutoencoder(
        data_set.latent_dim, random_state=seed, max_epochs=max_epochs, verbose=0 if quiet else 1
    )
    started = time.perf_counter()
    model.fit(split.train)
    seconds = time.perf_counter() - started

    held_out = split.held_out
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the section repeats them
        codes = model.transform(held_out)
        decoded = model.reconstruct(held_out, codes=codes)
    back = refold.sequences.Sequences.from_list(decoded, schema=model.schema_, ids=held_out.ids)
    name = data_set.name
    model.save(folder / f"{name}.refold")
    refold.sequences.write(held_out, folder / f"{name}.parquet")
    write_codes(
        folder / f"{name}-codes.parquet", [(codes, held_out.ids)], len(codes), model=model.model_
    )
    refold.sequences.write(back, folder / f"{name}-reconstructed.parquet")
    files = [
        (f"{name}.refold", "the model"),
        (f"{name}.parquet", "the held-out sequences"),
        (f"{name}-codes.parquet", "their codes, with ids"),
        (f"{name}-reconstructed.parquet", "the sequences decoded from the codes"),
    ]
    files = [(file, f"{data_set.title}: {content}") for file, content in files]
    part = section(
        model,
        held_out,
        title=data_set.title,
        summary=data_set.summary,
        labels=split.labels,
        label_name=split.label_name,
        train=split.train,
        seed=seed,
        seconds=seconds,
        verbose=0 if quiet else 1,
    )
    return part, files
