"""What each mechanism of a fit is worth: default fits with one mechanism switched off at a time.

``python -m benchmarks.ablation`` fits Refold to the sets for choosing (and to variants of them with
missing values and with mixed columns) with 4 and 16 latent dimensions, once as it is and once
without each mechanism that can apply to the set.  It takes about three hours on two cores.  Fits
end by early stopping, not by time, so a busy machine does not change a result.

Each result is stored in ``results/ablation.json`` as soon as it is measured.  A second call
continues there, and measures again what an earlier version of the code has measured.  At the end,
the table is written from all stored results.  ``--report`` writes it without measuring.
"""

import argparse
import statistics
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from benchmarks._process import MeasurementError, measure
from benchmarks._results import FOLDER, machine, read_records, replace, table, today, write_page
from benchmarks._sets import CHOOSE, DATA
from benchmarks.fidelity_peers.methods import METHODS, OURS

SIZES = (4, 16)
# Mechanisms of large codes are measured at this size only.
LARGE = 32
# Time limit of a fit. No set needs as much on an idle core.
SECONDS = 300
RESULTS = FOLDER / "ablation.json"
# Variants of sets for choosing: a fifth of the values is missing at random, or there is a column of
# another type (whether life expectancy rose; whether the temperature falls, is steady or rises).
VARIANTS = ("countries_gaps", "trace_gaps", "countries_mixed", "temperatures_mixed")
# Smaller errors count as this one.
SMALLEST = 1e-6
DEFAULT = "default"


class Mechanism(NamedTuple):
    """A mechanism, how to switch it off in this process, and the sets to which it applies."""

    title: str
    switch_off: Callable[[], None]
    applies: Callable[["Facts"], bool]
    sizes: tuple[int, ...] = SIZES


class Facts(NamedTuple):
    """What a data set has."""

    numeric: bool  # all columns
    tokens: bool  # all columns
    mixed: bool
    ragged: bool
    gaps: bool
    longest: int
    num_sequences: int


def _replace(module: str, name: str, value: Any) -> None:
    """Replace a name of a module of the training."""
    import importlib

    owner = importlib.import_module(f"refold.training.{module}")
    if not hasattr(owner, name):
        raise SystemExit(f"refold.training.{module} has no {name}, so the ablation has to change.")
    setattr(owner, name, value)


def _constant(module: str, name: str, value: Any) -> Callable[[], None]:
    """Return a function that replaces a function of the training by a constant."""
    return lambda: _replace(module, name, lambda *_args, **_kwargs: value)


def _no_mixtures() -> None:
    from refold.training.initialization._principal_components import _VARIATION_MIXTURES as MIXTURES

    _replace("initialization._principal_components", "_VARIATION_MIXTURES", MIXTURES[:1])


def _no_stationary_priors() -> None:
    from refold.training.initialization import _numeric_columns as columns

    kept = tuple(prior for prior in columns._DECODER_PRIORS if not prior[0])
    _replace("initialization._numeric_columns", "_DECODER_PRIORS", kept)


def _no_initialization() -> None:
    """Keep no initialization as a candidate; training starts from it."""
    from refold.training.initialization._initial_weights import InitialWeights

    initialize = InitialWeights.initialize

    def never_kept(self: Any, phase: str) -> bool:
        initialize(self, phase)
        self._weights_by_phase[phase] = None
        return False

    InitialWeights.initialize = never_kept  # type: ignore[method-assign]


def _no_trade_of_lengths() -> None:
    """Let latent optimization ignore the length that a code predicts."""
    from refold.network.packed import latent_optimization

    def nothing(away: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return np.zeros_like(away), np.zeros_like(away)

    latent_optimization.length_error_cost = nothing  # type: ignore[attr-defined]


def _one_decoder() -> None:
    _replace(
        "_specify",
        "_pick_allowed_decoder",
        lambda arguments, **_: "parallel" if arguments.decoder == "auto" else arguments.decoder,
    )


MECHANISMS = {
    "mixtures": Mechanism(
        "surrogates and warped copies in the components of few series",
        _no_mixtures,
        lambda facts: not facts.tokens and facts.num_sequences < 2000,
    ),
    "lengthwise": Mechanism(
        "components and codes by length",
        _constant("_specify", "_allows_maps_by_length", value=False),
        lambda facts: facts.numeric and facts.ragged and not facts.gaps,
    ),
    "stationary": Mechanism(
        "stationary components as a prior of those by length",
        _no_stationary_priors,
        lambda facts: facts.numeric and facts.ragged and not facts.gaps,
    ),
    "decoding_map": Mechanism(
        "choice between components and regression as the decoding map",
        _constant("initialization._numeric_columns", "components_decode_better", value=False),
        lambda facts: facts.numeric and not facts.gaps,
    ),
    "joint": Mechanism(
        "joint components of numeric and token columns",
        _constant("initialization._initial_weights", "_may_fit_mixed_columns", value=False),
        lambda facts: facts.mixed,
    ),
    "time_warp": Mechanism(
        "training on time warps, chosen by density",
        _constant("_specify", "choose_warp_std", 0.0),
        lambda facts: facts.numeric and facts.num_sequences < 600,
    ),
    "rocket": Mechanism(
        "ROCKET features by default",
        _constant("_specify", "_pick_rocket_dim", 0),
        lambda facts: not facts.tokens,
        (LARGE,),
    ),
    "refit": Mechanism(
        "refit on all sequences",
        _constant("_specify", "should_refit", value=False),
        lambda facts: facts.num_sequences < 2000,
    ),
    "keep_initial": Mechanism(
        "the initialization as a candidate (it guards against errors above PCA, and stays)",
        _no_initialization,
        lambda _: True,
    ),
    "latent_steps": Mechanism(
        "latent optimization",
        _constant("_specify", "pick_latent_steps", 0),
        lambda facts: facts.tokens or facts.num_sequences < 2000,
    ),
    "length_trade": Mechanism(
        "lengths in latent optimization",
        _no_trade_of_lengths,
        lambda facts: facts.ragged and (facts.tokens or facts.num_sequences < 2000),
    ),
    "patches": Mechanism(
        "patches of several steps",
        _constant("_specify", "pick_patch", 1),
        lambda facts: not facts.tokens and facts.longest > 100,
    ),
    "decoder": Mechanism(
        "autoregressive decoder for short token sequences",
        _one_decoder,
        lambda facts: facts.tokens,
    ),
    "length_dim": Mechanism(
        "a dimension for the length",
        _constant("_specify", "_pick_length_dim", 0),
        lambda facts: facts.ragged,
    ),
    "batch_size": Mechanism(
        "larger batches for 2000 sequences or more",
        _constant("_specify", "pick_batch_size", 32),
        lambda facts: facts.num_sequences >= 2000,
    ),
}


class Cell(NamedTuple):
    """A default fit without one mechanism; with the code it identifies a result."""

    mechanism: str
    data: str
    size: int
    seed: int


def main() -> None:
    """Measure the results that are missing, and write the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    parser.add_argument("--mechanisms", nargs="+", choices=MECHANISMS, default=list(MECHANISMS))
    parser.add_argument("--sets", nargs="+", choices=_sets(), default=_sets())
    parser.add_argument("--seeds", nargs="+", type=int, default=[0])
    parser.add_argument("--jobs", type=int, default=2, help="fits at a time; default %(default)d")
    parser.add_argument("--report", action="store_true", help="write the table without measuring")
    options = parser.parse_args()
    if not options.report:
        try:
            _measure(options)
        except KeyboardInterrupt:
            print("Interrupted. All results so far are stored, and the next call continues there.")
            raise SystemExit(130) from None
    records = read_records(RESULTS)
    if not records:
        raise SystemExit(f"{RESULTS} has no results. Measure first.")
    days, commits = (sorted({record[name] for record in records}) for name in ("date", "code"))
    period = " to ".join(dict.fromkeys((days[0], days[-1])))
    about = f"{period}, commit {', '.join(commits)}, {machine()}"
    write_page(
        "ablation", "What each mechanism of a fit is worth", list(_page(records)), about=about
    )


def _sets() -> list[str]:
    return [*CHOOSE, *VARIANTS]


def _measure(options: argparse.Namespace) -> None:
    """Fit all cells that have no result of the current code."""
    known: dict[str, Facts] = {}
    for name in options.sets:
        try:
            known[name] = measure(facts_of, name)
        except MeasurementError as error:
            print(f"Skipping {name}: {error}")
    code = METHODS[OURS].code
    records = read_records(RESULTS)
    done = {_cell(record) for record in records if record["code"] == code}
    todo = [cell for cell in _cells(known, options.mechanisms, options.seeds) if cell not in done]
    print(f"{len(todo)} fits to do", flush=True)

    def measured(cell: Cell) -> dict[str, Any]:
        return measure(errors_without, *cell, timeout=3 * SECONDS)

    with ThreadPoolExecutor(options.jobs) as pool:
        for number, (cell, result) in enumerate(zip(todo, pool.map(measured, todo), strict=True)):
            record = {**cell._asdict(), "code": code, "date": today(), **result}
            replace(RESULTS, record, same=Cell._fields)
            print(f"{number + 1}/{len(todo)} {cell}: {result['error']:.5g}", flush=True)


def _cells(
    known: dict[str, Facts], mechanisms: Sequence[str], seeds: Sequence[int]
) -> Iterator[Cell]:
    """Yield the cells of all sets; the default comes first."""
    for seed in seeds:
        for data, facts in known.items():
            chosen = [name for name in mechanisms if MECHANISMS[name].applies(facts)]
            sizes = sorted({size for name in chosen for size in MECHANISMS[name].sizes})
            for size in sizes:
                yield Cell(DEFAULT, data, size, seed)
                for name in chosen:
                    if size in MECHANISMS[name].sizes:
                        yield Cell(name, data, size, seed)


def _cell(record: dict[str, Any]) -> Cell:
    return Cell(*(record[name] for name in Cell._fields))


def _page(records: list[dict[str, Any]]) -> Iterator[str]:
    """Yield the text and the tables of the page."""
    errors = {_cell(record): record["error"] for record in records}
    rows = []
    for name, mechanism in MECHANISMS.items():
        ratios = {}
        for cell, error in errors.items():
            default = errors.get(cell._replace(mechanism=DEFAULT))
            if cell.mechanism == name and default:
                ratio = max(error, SMALLEST) / max(default, SMALLEST)
                ratios.setdefault((cell.data, cell.size), []).append(ratio)
        if ratios:
            means = {key: statistics.geometric_mean(values) for key, values in ratios.items()}
            changed = [ratio for ratio in means.values() if ratio != 1.0]
            mean = statistics.geometric_mean(means.values())
            cells = [mechanism.title, f"{mean:.4f}", f"{len(changed)} of {len(means)}"]
            for extreme in (max, min):
                data, size = extreme(means, key=means.__getitem__)
                cells.append(f"{means[data, size]:.3f} ({data}, {size})")
            rows.append((mean, cells))
    rows.sort(key=lambda row: -row[0])
    yield (
        "Each row is a default fit without one mechanism. A ratio is its held-out error divided by "
        "that of the default; above 1, the mechanism helps. The error is the NMSE of numeric "
        "columns plus the share of wrong categories of the others, with predicted lengths. Means "
        "are geometric, over the sets for choosing to which the mechanism can apply, with 4 and 16 "
        "latent dimensions (ROCKET features: 32)."
    )
    header = ["without", "mean ratio", "cells that change", "largest ratio", "smallest ratio"]
    yield table(header, [row for _, row in rows])


def load_set(name: str) -> tuple[Any, Any]:
    """Return both splits of a set, or of a variant of it."""
    base, _, variant = name.partition("_")
    train, test = DATA[base].splits()
    if not variant:
        return train, test
    train, test = (_varied(part, variant, base, seed) for seed, part in enumerate((train, test)))
    return train, test.convert_to_schema(train.schema)


def facts_of(name: str) -> Facts:
    """Return what the training split of a set has."""
    train, _ = load_set(name)
    numeric, lengths = train.schema.numeric, train.lengths
    return Facts(
        numeric=bool(numeric.all()),
        tokens=not numeric.any(),
        mixed=bool(numeric.any() and not numeric.all()),
        ragged=bool(lengths.min() < lengths.max()),
        gaps=bool(np.isnan(train.values).any()),
        longest=int(lengths.max()),
        num_sequences=len(train),
    )


def _varied(part: Any, variant: str, base: str, seed: int) -> Any:
    """Return a variant of a set: with missing values, or with a column of another type."""
    from refold.sequences import Sequences

    rng = np.random.default_rng([seed, 7])
    if variant == "gaps":
        values = np.where(rng.random(part.values.shape) < 0.2, np.nan, part.values)
        return part.with_values(values)
    rows = []
    for series in part.to_list():
        series = np.asarray(series, float).reshape(len(series), -1)
        change = np.diff(series[:, 0], prepend=series[0, 0])
        if base == "countries":
            extra = [bool(one > 0) for one in change]
        else:
            extra = [("falls", "steady", "rises")[int(np.sign(one)) + 1] for one in change]
        rows.append([(*map(float, step), more) for step, more in zip(series, extra, strict=True)])
    return Sequences.from_list(rows)


def errors_without(mechanism: str, data: str, size: int, seed: int) -> dict[str, float]:
    """Fit without a mechanism, and return the held-out error and that of PCA."""
    import refold
    from refold.evaluation import PCABaseline, fidelity
    from refold.sequences import Scaler

    if mechanism != DEFAULT:
        MECHANISMS[mechanism].switch_off()
    train, test = load_set(data)
    ae = refold.SequenceAutoencoder(size, time_budget=SECONDS, random_state=seed).fit(train)
    units = Scaler.fit(train)
    back = ae.model_.decode(ae.model_.encode(test))
    pca = PCABaseline(size).fit(train, units).reconstruct(test)
    errors = (_total(fidelity(test, one, units)) for one in (back, pca))
    return dict(zip(("error", "pca"), errors, strict=True))


def _total(measured: Any) -> float:
    """Return the NMSE of numeric columns plus the share of wrong categories of the others."""
    numeric = 0.0 if measured.nmse is None else measured.nmse
    return numeric + (0.0 if measured.accuracy is None else 1.0 - measured.accuracy)


if __name__ == "__main__":
    main()
