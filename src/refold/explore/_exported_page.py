"""A page of the explorer that works without a server: the data and the decoder are in the page."""

import base64
import functools
import hashlib
import html
import re
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.progress import Progress

from refold._support.output import warn
from refold._support.progress_bars import progress_bar
from refold.errors import ParameterError, argument, spelled
from refold.explore._atlas import Atlas
from refold.explore._fields import ColorField
from refold.explore._umap import UmapJob
from refold.model import ModelLike, model_of
from refold.network.packed.network import PackedNetwork
from refold.network.specification import length_unit, linear_map
from refold.sequences import Scaler, atomic_writer
from refold.sequences.types import outputs_of
from refold.serve import to_json

PAGE = Path(__file__).parent / "page"
# Identifiers that JavaScript reads without a loss.
_SAFE = 2**53
# What the page holds of a scaler.
_SCALER = ("mode", "dtype", "mean", "scale", "statistics_mean", "statistics_scale")
# Weights that compute a sequence from its code; the page does not encode.
_DECODING = re.compile(r"(?:decoder|start)_\d+/|(?:head|hidden|length|linear_steps)/")
# A module imports and exports by name, at the beginning of a line, and exports no variable that
# changes: it becomes a function that returns its exports.
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "(\.{1,2}/[\w./-]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:class|function|const) (\w+))", re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b|\bimport\(", re.MULTILINE)


def export_page(
    atlas: Atlas,
    path: str | Path,
    *,
    name: str = "model",
    umap: bool = False,
    max_megabytes: float = 200,
    verbose: int = 0,
) -> int:
    """Write the page of an atlas as one file, which works without a server and decodes by itself.

    The page holds the decoder, the codes and the sequences, in single precision.

    Parameters
    ----------
    atlas : Atlas
        The sequences and their map. Its model must be a default model with LSTMs.
    path : path
        File to write.
    name : str, default="model"
        Name of the model, for the title.
    umap : bool, default=False
        Whether the page has a UMAP map, too. It is computed first.
    max_megabytes : float, default=200
        Largest page to write. Browsers open pages of some hundred megabytes.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    int
        Size of the page in bytes.

    Raises
    ------
    ParameterError
        If the model is not a default model with LSTMs, or the page would be larger than
        ``max_megabytes``.
    FileAccessError
        If the file cannot be written. It is written completely or not at all.

    Warns
    -----
    UserWarning
        If what the map can be colored by lacks something that could not be computed.

    Examples
    --------
    >>> import tempfile
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(
    ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
    ... ).fit(sines)
    >>> path = Path(tempfile.mkdtemp()) / "sines.html"
    >>> export_page(Atlas(ae, sines), path, name="sines") == path.stat().st_size
    True
    """
    check_exportable(atlas.model)
    most, size = int(max_megabytes * 1e6), 0
    with atomic_writer(path) as file, progress_bar(disable=not verbose) as bar:
        held = exported_blocks(atlas, name, bar, umap=umap)
        for part in whole_page(PAGE, PAGE / "embedded" / "exported.js", held):
            content = part.encode()
            size += len(content)
            if size > most:
                raise ParameterError(
                    f"The page of {len(atlas.codes)} sequences would be larger than "
                    f"{max_megabytes:g} MB. Allow a larger one with {argument('max_megabytes')}, "
                    f"or show fewer sequences{spelled('', ' with --max-sequences')}."
                )
            file.write(content)
    return size


def check_exportable(model: ModelLike) -> None:
    """Raise a ParameterError if a page cannot compute with a model."""
    if not isinstance(model_of(model).network, PackedNetwork):
        raise ParameterError(
            "Only default models with LSTMs can be exported, because a page has no Keras. Open "
            f"this model {spelled('with refold.explore.explore', 'without --export')}."
        )


def exported_blocks(
    atlas: Atlas, name: str, bar: Progress, *, umap: bool = False
) -> Iterator[tuple[str, str, bytes]]:
    """Yield the name, the type and the compressed content of all that a page holds."""
    sequences = atlas.sequences
    network: Any = atlas.model.network  # a PackedNetwork: `check_exportable` refuses others
    for key, array in _weights(network).items():
        yield _packed(f"weights/{key}", array)
    yield _packed("codes", atlas.codes)
    yield _packed("lengths", sequences.lengths.astype(np.int32))
    scaled = atlas.model.error_scaler.transform(sequences).values
    for i, column in enumerate(sequences.schema.columns):
        values = scaled[:, i].astype(np.float32)
        if column.column_type.has_categories:
            missing = len(column.categories) + 1
            kind = np.min_scalar_type(missing) if missing < 1 << 16 else np.int32
            values = np.where(np.isnan(values), missing, values).astype(kind)
        yield _packed(f"values/{i}", values)
    maps: dict[str, Any] = {"pca": atlas.map("pca")}
    if umap:
        maps["umap"] = _finished(bar, "UMAP", lambda: atlas.map("umap", 0.2), atlas.umap)
    for key, flat in maps.items():
        yield _packed(f"places/{key}", flat.places)
    fields = []
    for field in atlas.fields:
        values = _finished(bar, field.name, functools.partial(_values_of, field), field)
        if len(values) == len(sequences):
            yield _packed(f"fields/{len(fields)}", values)
            fields.append(field.describe())
    if atlas.model.calibration is not None:
        yield _packed("anomaly", atlas.score_components)
    # the last, because it describes the values of fields that were computed before
    yield "about", "json", zlib.compress(to_json(_about(atlas, name, maps, fields)), 6)


def _values_of(field: ColorField) -> np.ndarray | None:
    values = field.values(0.2)
    if field.failure:
        warn(f"The page has no {field.name!r}. {field.failure}")
        return np.zeros(0)
    return values


def _finished(
    bar: Progress, what: str, found: Callable[[], Any], work: ColorField | UmapJob
) -> Any:
    """Wait for something that is computed in the background, and show how much is done."""
    task = bar.add_task(what, total=1.0)
    while (result := found()) is None:
        bar.update(task, completed=work.done)
    bar.update(task, completed=1.0)
    return result


def _about(
    atlas: Atlas, name: str, maps: dict[str, Any], fields: list[dict[str, Any]]
) -> dict[str, Any]:
    model, sequences = atlas.model, atlas.sequences
    specification, projection = model.specification, atlas.projection
    ids = sequences.ids.tolist()
    if any(isinstance(one, int) and abs(one) >= _SAFE for one in ids):
        ids = [str(one) for one in ids]
    sizes = asdict(specification) | {
        "num_outputs": specification.num_outputs,
        "length_index": specification.length_index,
        "length_scale": specification.length_scale,
        "length_unit": length_unit(specification.length_deviation),
        "max_log_length": specification.max_log_length,
        "outputs": [
            {
                "link": one.type.link,
                "width": one.block.stop - one.block.start,
                "one_hot": one.type.has_categories,
            }
            for one in outputs_of(specification.column_types, specification.num_categories)
        ],
        "custom": None,
    }
    scaler = model.scaler.to_dict()
    longest = 2 * specification.max_steps

    def shift(scaler: Scaler) -> np.ndarray:
        return scaler.shift(sequences.schema)

    return {
        "info": atlas.describe()
        | {"model": name, "ids": ids, "maps": [*maps], "fields": fields}
        | {"id_name": sequences.schema.id_name},
        "reach": {key: _finite(flat.reach) for key, flat in maps.items()}
        | {"codes": _finite(atlas.similar.reach)},
        "projection": {
            "mean": projection.mean,
            "weights": projection.weights,
            "axes": projection.axes,
            "scale": projection.scale,
        },
        "model": {
            "specification": sizes,
            "scaler": {key: scaler[key] for key in _SCALER} | {"mean": shift(model.scaler)},
            "units": {"mean": shift(model.error_scaler), "scale": model.error_scaler.scale_},
            "columns": [
                {
                    "name": column.name,
                    "link": column.column_type.link,
                    "number": column.column_type.is_number,
                    "centered": column.column_type.is_centered,
                    "whole": column.column_type.is_whole,
                }
                | (
                    {"categories": column.categories, "names": [*map(str, column.categories)]}
                    if column.column_type.has_categories
                    else {}
                )
                for column in sequences.schema.columns
            ],
            "longest": longest,
            "most_steps": min(longest, max(atlas.model.max_steps, int(sequences.lengths.max()))),
        },
    }


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def _weights(network: PackedNetwork) -> dict[str, np.ndarray]:
    """Return the weights that the page computes with; those of the linear path are joined."""
    found = {name: array for name, array in network.weights.items() if _DECODING.match(name)}
    if "linear_steps/start" in found:
        found["linear_steps/map"] = linear_map(found, "linear_steps")
        for part in ("start", "unit", "change"):
            del found[f"linear_steps/{part}"]
    return found


def _packed(name: str, array: np.ndarray) -> tuple[str, str, bytes]:
    """Compress an array: the first bytes of all numbers, then the second ones, and so on."""
    content = np.ascontiguousarray(array).reshape(-1)
    planes = content.view(np.uint8).reshape(len(content), content.itemsize).T
    return name, content.dtype.name, zlib.compress(planes.tobytes(), 6)


def joined_modules(entry: Path) -> str:
    """Join a JavaScript module and all that it imports into one script without imports."""
    names: dict[Path, str] = {}
    begun: set[Path] = set()
    parts: list[str] = []

    def add(path: Path) -> str:
        if path in names:
            return names[path]
        if path in begun:
            raise ValueError(f"{path.name} imports itself, through other modules.")
        begun.add(path)
        text = _IMPORT.sub(
            lambda found: f"const {found[1]} = {add((path.parent / found[2]).resolve())};\n",
            path.read_text(encoding="utf-8"),
        )
        exported = _EXPORT.findall(text)
        text = _EXPORT.sub("", text)
        if found := _LEFT.search(text):
            line = text[found.start() :].partition("\n")[0]
            raise ValueError(
                f"{path.name} imports or exports in a way that cannot be joined: {line}"
            )
        names[path] = f"module_{len(names)}"
        body = f"{text.rstrip()}\nreturn {{ {', '.join(exported)} }};"
        parts.append(f"const {names[path]} = (() => {{\n{body}\n}})();")
        return names[path]

    add(entry.resolve())
    return "\n".join(parts)


def whole_page(page: Path, entry: Path, blocks: Iterable[tuple[str, str, bytes]]) -> Iterable[str]:
    """Yield the parts of one HTML file: the page, its style and script, and blocks of data."""
    # by the hashes, the browser runs this script and uses this style alone; it opens no connection
    script, style = joined_modules(entry), (page / "style.css").read_text(encoding="utf-8")
    if re.search(r"</script|<!--", script, re.IGNORECASE):
        raise ValueError("A script in a page cannot hold the end of a script or a comment of HTML.")
    icon = base64.b64encode((page / "icon.svg").read_bytes()).decode()
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    text = (page / "index.html").read_text(encoding="utf-8")
    for tag, replacement in (
        (
            '<meta charset="utf-8">\n',
            '<meta charset="utf-8">\n'
            f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">\n',
        ),
        ('<link rel="stylesheet" href="/page/style.css">', f"<style>{style}</style>"),
        ('<script type="module" src="/page/served.js"></script>\n', ""),
    ):
        if text.count(tag) != 1:
            raise ValueError(f"The page must have one {tag.strip()}.")
        text = text.replace(tag, replacement)
    text = text.replace("/page/icon.svg", f"data:image/svg+xml;base64,{icon}")
    before, end, after = text.partition("</body>")
    yield before
    for name, kind, content in blocks:
        yield data_element(name, kind, content)
    yield f'<script type="module">{script}</script>\n'
    yield end + after


def data_element(name: str, kind: str, content: bytes) -> str:
    """Return an element that holds data for a script, and that the browser does not run."""
    opening = f'<script type="text/plain" data-name="{html.escape(name)}" data-type="{kind}">'
    return f"{opening}{base64.b64encode(content).decode()}</script>\n"


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
