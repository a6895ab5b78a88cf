"""``refold report``, ``probe`` and ``demo``: how well models encode data."""

import contextlib
import time
import warnings
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter
from cyclopts.validators import Number

import refold
from refold.cli import _options as options
from refold.cli._inputs import Reading, load_model, require_in_memory
from refold.cli._outputs import PAGE_FORMATS, STREAM, Files, log, print_json, print_table


def report(
    model: options.ModelFile,
    data: options.DataFile,
    /,
    *,
    output: Annotated[str, Parameter(alias="-o", metavar="PAGE")],
    label: options.Name = None,
    labels: options.LabelFile = None,
    train: options.SideFile = None,
    max_sequences: options.Positive = 2000,
    seed: options.FixedSeed = 0,
    latent_steps: options.LatentSteps = None,
    reading: Reading = Reading(),
    quiet: options.Quiet = False,
) -> None:
    """Write a page about the data, the model, its errors next to PCA's, and the codes.

    The page is a single file that opens without a network connection.

    Args:
        output: File for the page: .html.
        label: Column of labels, one value per sequence, for colors.
        train: Training data, to fit PCA on, if DATA is other data. [default: cross-fit on DATA]
        max_sequences: Sequences to show, drawn at random if there are more.
    """
    files = Files(model, data, train)
    target = files.output(output, PAGE_FORMATS, option="--output")
    from refold.report import check_packages
    from refold.report import report as write_report

    check_packages()
    options.check_needs("--labels", labels, "--label NAME", label)
    loaded = load_model(model, latent_steps=latent_steps)
    columns = [] if label is None else [label]
    described = reading.described(loaded, data, files, columns, labels)
    others: Any = contextlib.nullcontext()
    if train is not None:
        left_out = label if labels is None else None
        others = reading.opened(loaded, train, files, left_out=left_out)
    with described as (source, values), others as fitted_on, target.writing() as path:
        result = write_report(
            loaded,
            source,
            path,
            labels=None if label is None else values[label],
            label_name=label,
            train=fitted_on,
            title="standard input" if data == STREAM else Path(data).name,
            max_sequences=max_sequences,
            seed=seed,
            verbose=0 if quiet else 1,  # logs the stages of the page
        )
    size, pca_size = result.code_size, result.pca_size
    pca = "PCA" if pca_size in (0, size) else f"PCA, {pca_size} dimensions"
    rows = [
        (
            score.meaning,
            score.number(score.value),
            "none" if score.pca is None else score.number(score.pca),
        )
        for score in result.scores
    ]
    print_table((f"codes of {size} dimensions", "Refold", pca), rows)
    if not quiet:
        log(f"Open {output} in a browser.")


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

    Args:
        label: Column of labels, one value per sequence.
        folds: Folds of the cross-validation.
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
        heading = f"{codes.shape[1]} latent dimensions", "linear probe accuracy"
        rows = [
            (name, f"{100 * result.accuracy:.1f} % ± {100 * result.deviation:.1f}")
            for name, result in results.items()
        ]
        print_table(heading, rows)
    if not quiet:
        result = results["Refold"]
        log(
            f"{result.num_classes} classes, {result.num_folds} folds. Always predicting the most "
            f"frequent class has an accuracy of {100 * result.chance:.1f} %. PCA is fitted on "
            "these sequences."
        )


_INTRODUCTION = (
    "The models encode sequences of different lengths as short vectors, and decode the sequences "
    "from the vectors alone. Everything below was measured on sequences that the models were not "
    "trained on, with default settings."
)
# Titles, numbers of latent dimensions and summaries of the data sets.
_DATA_SETS = {
    "moving-ones": (
        "Moving ones",
        4,
        "The data of the question: a one that moves through eight features, for 0 to 10 steps. "
        "Some steps are all zero and some sequences are empty, so padding must not be mistaken for "
        "data. Only the length describes such a sequence, and PCA is given the lengths. Trained on "
        "4,000 sequences, measured on 1,000 others.",
    ),
    "japanese-vowels": (
        "Japanese vowels",
        16,
        "Nine speakers say two vowels. Each utterance has 7 to 29 steps of 12 cepstral "
        "coefficients. Trained on 270 utterances, measured on 370 others. The map is colored by "
        "speaker; the model was trained without speakers.",
    ),
}


def demo(
    *,
    output: Annotated[Path, Parameter(alias="-o", metavar="FOLDER")] = Path("demo"),
    seed: options.FixedSeed = 0,
    max_epochs: options.Count = None,
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
    page = Files().output(str(output / "index.html"), PAGE_FORMATS)  # checks the folder

    ones, vowels = refold.datasets.moving_ones(5000, seed=seed), refold.datasets.japanese_vowels()
    num_train = len(ones) * 4 // 5
    speakers = {"labels": vowels.test_labels, "label_name": "speaker"}
    splits = {
        "moving-ones": (ones[:num_train], ones[num_train:], {}),
        "japanese-vowels": (vowels.train, vowels.test, speakers),
    }
    sections, downloads, verbose = [], [], 0 if quiet else 1
    for name, (title, latent_dim, summary) in _DATA_SETS.items():
        train, held_out, colors = splits[name]
        if not quiet:
            log(f"{title}: {latent_dim} latent dimensions")
        model = refold.SequenceAutoencoder(
            latent_dim, random_state=seed, max_epochs=max_epochs, verbose=verbose
        )
        started = time.perf_counter()
        model.fit(train)
        seconds = time.perf_counter() - started
        files = _write_files(model, held_out, output / name)
        downloads += [(file, f"{title}: {content}") for file, content in files.items()]
        sections.append(
            section(
                model,
                held_out,
                title=title,
                summary=summary,
                train=train,
                seed=seed,
                seconds=seconds,
                verbose=verbose,
                **colors,
            )
        )
    title = "Sequences, encoded and decoded"
    with page.writing() as path:
        write_page(path, sections, title=title, introduction=_INTRODUCTION, downloads=downloads)
    rows = [
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
    ]
    headings = ("data", "held out", "latent dim.", "Refold", "PCA with lengths", "seconds")
    print_table(headings, rows)
    if not quiet:
        others = "The models, codes and sequences are in the same folder."
        log(f"Open {page.name} in a browser. {others}")


def _write_files(model: Any, held_out: "refold.Sequences", place: Path) -> dict[str, str]:
    """Write a model, held-out sequences, their codes and reconstructions; describe the files."""
    from refold.cli._codes import write_codes

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # the section of the page repeats them
        codes = model.transform(held_out)
        decoded = model.reconstruct(held_out, codes=codes)
    back = refold.sequences.Sequences.from_list(decoded, schema=model.schema_, ids=held_out.ids)
    files = {
        f"{place.name}.refold": "the model",
        f"{place.name}.parquet": "the held-out sequences",
        f"{place.name}-codes.parquet": "their codes, with ids",
        f"{place.name}-reconstructed.parquet": "the sequences decoded from the codes",
    }
    model_file, data, code_file, reconstructions = (place.parent / name for name in files)
    model.save(model_file)
    refold.sequences.write(held_out, data)
    write_codes(code_file, [(codes, held_out.ids)], len(codes), model=model.model_)
    refold.sequences.write(back, reconstructions)
    return files
