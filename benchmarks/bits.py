"""Held-out error against bits per value: codes of Refold and of PCA, SZ3 and QABBA.

``python -m benchmarks.bits`` runs 12 fits of at most 20 seconds each. It needs the dependency group
``peers``. Methods whose packages are not installed are named and left out.

All methods get the same test sequences, standardized by the training split. Refold and PCA are
fitted on the training split, and their weights are not counted. SZ3 and QABBA need no training, and
all of their bytes are counted. Refold decodes the lengths from the codes, and the other methods are
told them.
"""

from collections.abc import Iterator
from importlib.util import find_spec
from typing import NamedTuple

import numpy as np
from matplotlib.figure import Figure

import refold
from benchmarks._results import FOLDER, PACKAGES, table, write_page
from benchmarks.fidelity_peers.data import DATA
from refold.evaluation import PCABaseline, nmse
from refold.plots._matplotlib import tidy
from refold.plots.charts import ACCENT, CONTRAST, PALETTE
from refold.sequences import Scaler, Sequences

SETS = ("vowels", "italy", "gunpoint")
SIZES = (2, 4, 8, 16)
SECONDS = 20.0  # time limit for a fit of Refold
BOUNDS = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0)  # error bounds of SZ3, in standard deviations
TOLERANCES = (0.01, 0.05, 0.2)  # `tol` of QABBA
ALPHAS = (0.01, 0.05, 0.2, 0.5)  # `alpha` of QABBA
BITS = {"float32": 32, "float16": 16}


class Point(NamedTuple):
    """One setting of a method: its name, bits per value, and error."""

    method: str
    setting: str
    bits: float
    error: float


def round_trip(codes: np.ndarray, dtype: str) -> tuple[np.ndarray, int]:
    """Return codes after they are stored as a type and read again, and the bits that they need."""
    return codes.astype(dtype).astype(np.float32), BITS[dtype] * codes.size


def autoencoders(train: Sequences, test: Sequences, units: Scaler) -> Iterator[Point]:
    """Measure the codes of Refold."""
    for size in SIZES:
        ae = refold.SequenceAutoencoder(size, time_budget=SECONDS, random_state=0, verbose=0)
        codes = ae.fit(train).transform(test)
        for dtype in BITS:
            read, bits = round_trip(codes, dtype)
            error = nmse(test, ae.inverse_transform(read), units)
            yield Point(f"Refold, {dtype}", f"{size} dimensions", bits / test.values.size, error)


def components(train: Sequences, test: Sequences, units: Scaler) -> Iterator[Point]:
    """Measure the codes of PCA."""
    for size in SIZES:
        pca = PCABaseline(size).fit(train)
        codes = pca.transform(test)
        mean, axes = pca.pca_.mean_, pca.pca_.components_
        for dtype in BITS:
            read, bits = round_trip(codes, dtype)
            back = decoded(pca, test, read @ axes + mean)
            bits_per_value = bits / test.values.size
            error = nmse(test, back, units)
            yield Point(f"PCA, {dtype}", f"{size} components", bits_per_value, error)


def decoded(pca: PCABaseline, test: Sequences, rows: np.ndarray) -> list[np.ndarray]:
    """Return the sequences of rows of padded, standardized values."""
    padded = rows.reshape(len(rows), pca.max_steps_, -1)
    num_features, steps = test.values.shape[1], pca.max_steps_
    scaled = [
        np.pad(row[:n, :num_features], ((0, max(0, n - steps)), (0, 0)))
        for row, n in zip(padded, test.lengths, strict=True)
    ]
    values = Sequences(np.concatenate(scaled), test.offsets, schema=test.schema)
    return pca.scaler_.inverse_transform(values).to_list()


def sz3(test: Sequences, scaled: Sequences, units: Scaler) -> Iterator[Point]:
    """Measure SZ3, with the array layout that needs the fewest bytes."""
    from pysz import sz, szConfig, szErrorBoundMode

    values = np.ascontiguousarray(scaled.values, np.float32)
    config = szConfig()
    config.errorBoundMode = szErrorBoundMode.ABS
    lengths = set(test.lengths.tolist())
    layouts = {values.shape, values.T.shape}
    if len(lengths) == 1:
        layouts.add((len(test), *lengths, values.shape[1]))
    for bound in BOUNDS:
        config.absErrorBound = bound
        found = []
        for shape in layouts:
            array = np.ascontiguousarray(values.T) if shape == values.T.shape else values
            made = sz.compress(array.reshape(shape), config)[0].copy()
            back = sz.decompress(made, np.float32, shape)[0]
            back = back.T if shape == values.T.shape else back
            found.append((made.size, back.reshape(values.shape)))
        size, back = min(found, key=lambda one: one[0])
        error = nmse(test, unscaled(back, test, units), units)
        yield Point("SZ3", f"bound {bound:g}", 8 * size / values.size, error)


def qabba(test: Sequences, scaled: Sequences, units: Scaler) -> Iterator[Point]:
    """Measure QABBA on the features of all sequences, extended to one length."""
    from qabba import QABBA

    steps = int(test.lengths.max())
    series = [np.pad(one, ((0, steps - len(one)), (0, 0)), "edge").T for one in as_arrays(scaled)]
    series = np.concatenate(series).astype(np.float64)
    for tolerance in TOLERANCES:
        for alpha in ALPHAS:
            model = QABBA(tol=tolerance, alpha=alpha, symbol_codec="huffman").fit(series)
            # In qabba 0.2.0, the symbols of `fit` do not match the centers of `inverse_transform`.
            symbols = model.transform(series)
            bits = model.storage_breakdown(symbols).total_bits
            rows = model.inverse_transform(symbols, model.start_values_)
            padded = np.array([np.pad(row, (0, steps), "edge")[:steps] for row in rows])
            padded = padded.reshape(len(test), -1, steps).transpose(0, 2, 1)
            back = np.concatenate([row[:n] for row, n in zip(padded, test.lengths, strict=True)])
            error = nmse(test, unscaled(back, test, units), units)
            setting = f"tol={tolerance:g}, alpha={alpha:g}"
            yield Point("QABBA", setting, bits / test.values.size, error)


def as_arrays(sequences: Sequences) -> list[np.ndarray]:
    """Return arrays of shape (length, features)."""
    return np.split(sequences.values, sequences.offsets[1:-1])


def unscaled(values: np.ndarray, test: Sequences, units: Scaler) -> list[np.ndarray]:
    """Return standardized values as sequences in the units of the data."""
    made = Sequences(values.astype(np.float32), test.offsets, schema=test.schema)
    return units.inverse_transform(made).to_list()


def measure(name: str) -> list[Point]:
    """Measure all methods on a data set."""
    train, test = DATA[name].load()
    units = Scaler.fit(train)
    scaled = units.transform(test)
    found = [*autoencoders(train, test, units), *components(train, test, units)]
    for package, method in (("pysz", sz3), ("qabba", qabba)):
        if find_spec(package):
            found += method(test, scaled, units)
        else:
            print(f"{method.__name__} is left out: {package} is not installed")
    return found


def frontier(points: list[Point]) -> list[Point]:
    """Return the points that no other one beats in bits and in error, by their bits."""
    kept: list[Point] = []
    for point in sorted(points, key=lambda point: (point.bits, point.error)):
        if not kept or point.error < kept[-1].error:
            kept.append(point)
    return kept


def by_method(points: list[Point]) -> dict[str, list[Point]]:
    """Return the frontier of each method."""
    names = dict.fromkeys(point.method for point in points)
    return {name: frontier([point for point in points if point.method == name]) for name in names}


def draw(found: dict[str, list[Point]]) -> None:
    """Draw ``results/bits.png``."""
    styles = {
        "Refold, float32": (ACCENT, "o:"),
        "Refold, float16": (ACCENT, "o--"),
        "PCA, float32": (CONTRAST, "s:"),
        "PCA, float16": (CONTRAST, "s--"),
        "SZ3": (PALETTE[2], "^-"),
        "QABBA": (PALETTE[4], "v-"),
    }
    figure = Figure(figsize=(9.5, 3.6), layout="constrained")
    for ax, (name, points) in zip(figure.subplots(1, len(found)), found.items(), strict=True):
        for method, line in by_method(points).items():
            colour, style = styles[method]
            x, y = [point.bits for point in line], [point.error for point in line]
            ax.plot(x, y, style, color=colour, label=method, markersize=3.5, linewidth=1.4)
        ax.set(xscale="log", yscale="log", xlabel="bits per value", title=DATA[name].title)
        ax.set_ylim(top=2)
        tidy(ax, grid="both")
    figure.axes[0].set_ylabel("NMSE of held-out sequences")
    figure.axes[-1].legend(frameon=False, fontsize="x-small")
    figure.savefig(FOLDER / "bits.png", dpi=150)


def main() -> None:
    """Measure, and write ``results/bits.md`` and ``results/bits.png``."""
    found = {name: measure(name) for name in SETS}
    cost, parts = [], []
    for name, points in found.items():
        errors = {(point.method, point.setting): point.error for point in points}
        for size in SIZES:
            exact, half = (errors[f"Refold, {dtype}", f"{size} dimensions"] for dtype in BITS)
            more = f"{100 * (half / exact - 1):+.3f} %"
            cost.append([DATA[name].title, str(size), f"{exact:.5f}", more])
        rows = [
            [point.method, point.setting, f"{point.bits:.3f}", f"{point.error:.4f}"]
            for line in by_method(points).values()
            for point in line
        ]
        header = ["method", "setting", "bits per value", "NMSE"]
        parts += [f"## {DATA[name].title}, {DATA[name].about}", table(header, rows)]
    write_page(
        "bits",
        "Error against bits per value",
        [
            "The data is the test split, in the units of the standard deviations of the training "
            "split. A value is one feature at one step, which has 32 bits as float32. Refold and "
            "PCA are fitted on the training split, and their weights are not counted. SZ3 and "
            "QABBA need no training, and all of their bits are counted: QABBA counts its own, "
            "with its Huffman code. Refold decodes the lengths from the codes, and the other "
            f"methods are told them. A fit of Refold has {SECONDS:g} seconds. One seed.",
            "![Held-out error by bits per value, one panel for each data set](bits.png)",
            "## What fewer bits cost Refold",
            table(["data", "latent dimensions", "float32: NMSE", "float16"], cost),
            "The tables below show the settings that no other setting of the same method beats. "
            "QABBA takes series of one length, so those of JapaneseVowels are extended by their "
            "last value.",
            *parts,
        ],
        packages=(*PACKAGES, "pysz", "qabba"),
    )
    draw(found)


if __name__ == "__main__":
    main()
