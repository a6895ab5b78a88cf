"""A page of the explorer that works without a server: the data and the decoder are in the page."""

import base64
import hashlib
import html
import re
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from refold._support.output import warn
from refold._support.paths import atomic_writer
from refold.errors import ParameterError, spelled
from refold.explore._atlas import MAPS, Atlas
from refold.explore._server import PAGE
from refold.model import ModelLike, model_of
from refold.network.packed.network import PackedNetwork
from refold.network.specification import length_unit, linear_map
from refold.sequences.types import outputs_of
from refold.serve import to_json

# Identifiers that JavaScript reads without a loss.
_SAFE = 2**53
# What the page holds of a scaler.
_SCALER = ("mode", "dtype", "mean", "scale", "statistics_mean", "statistics_scale")
# Weights that compute a sequence from its code; the page does not encode. That would take a second
# encoder and latent optimization in JavaScript, and its weights would be much of the file.
_DECODING = re.compile(r"(?:decoder|start)_\d+/|(?:head|hidden|length|linear_steps)/")
# A module imports and exports by name, at the beginning of a line, and exports no variable that
# changes: it becomes a function that returns its exports.
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "(\.{1,2}/[\w./-]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:class|function|const) (\w+))", re.MULTILINE)


def export_page(
    atlas: Atlas,
    path: str | Path,
    *,
    name: str = "model",
    umap: bool = False,
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

    Returns
    -------
    int
        Size of the page in bytes.

    Raises
    ------
    ParameterError
        If the model is not a default model with LSTMs.

    Warns
    -----
    UserWarning
        If what the map can be colored by lacks something that could not be computed.

    Examples
    --------
    >>> import tempfile
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(4, units=8, latent_steps=0, max_epochs=2, random_state=0)
    >>> path = Path(tempfile.mkdtemp()) / "sines.html"
    >>> export_page(Atlas(ae.fit(sines), sines), path) == path.stat().st_size
    True
    """
    check_exportable(atlas.model)
    size = 0
    with atomic_writer(path) as file:
        blocks = exported_blocks(atlas, name, umap=umap)
        for part in whole_page(PAGE / "embedded" / "exported.js", blocks):
            size += file.write(part.encode())
    return size


def check_exportable(model: ModelLike) -> None:
    """Raise a ParameterError if a page cannot compute with a model."""
    if model_of(model).specification.grid:
        raise ParameterError(
            "A page cannot compute with the pretrained model, whose curves it does not know. Open "
            f"it {spelled('with refold.explore.explore', 'without --export')}, or fit a model."
        )
    if not isinstance(model_of(model).network, PackedNetwork):
        raise ParameterError(
            "Only default models with LSTMs can be exported, because a page has no Keras. Open "
            f"this model {spelled('with refold.explore.explore', 'without --export')}."
        )


def exported_blocks(
    atlas: Atlas, name: str, *, umap: bool = False
) -> Iterator[tuple[str, str, bytes]]:
    """Yield the name, the type and the compressed content of all that a page holds."""
    sequences = atlas.sequences
    network: Any = atlas.model.network  # a PackedNetwork: `check_exportable` refuses others
    weights = {name: array for name, array in network.weights.items() if _DECODING.match(name)}
    if "linear_steps/start" in weights:  # which are joined to one map
        weights["linear_steps/map"] = linear_map(weights, "linear_steps")
        for part in ("start", "unit", "change"):
            del weights[f"linear_steps/{part}"]
    for key, array in weights.items():
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
    maps: dict[str, Any] = {key: atlas.map(key, wait=None) for key in MAPS[: 1 + umap]}
    for key, flat in maps.items():
        yield _packed(f"places/{key}", flat.vectors)
    fields = []
    for field in atlas.fields:
        try:
            values = field.result(wait=None)
        except ParameterError as error:
            warn(f"The page has no {field.name!r}. {error}")
        else:
            yield _packed(f"fields/{len(fields)}", values)
            fields.append(field.describe())
    if atlas.model.calibration is not None:
        yield _packed("anomaly", atlas.score_components)
    # the last, because it describes the values of fields that were computed before
    yield "about", "json", zlib.compress(to_json(_about(atlas, name, maps, fields)), 6)


def _packed(name: str, array: np.ndarray) -> tuple[str, str, bytes]:
    """Compress an array: the first bytes of all numbers, then the second ones, and so on."""
    content = np.ascontiguousarray(array).reshape(-1)
    planes = content.view(np.uint8).reshape(len(content), content.itemsize).T
    return name, content.dtype.name, zlib.compress(planes.tobytes(), 6)


def _about(
    atlas: Atlas, name: str, maps: dict[str, Any], fields: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return all that a page needs to know beside arrays."""
    model, sequences = atlas.model, atlas.sequences
    specification, projection = model.specification, atlas.projection
    ids = sequences.ids.tolist()
    if any(isinstance(identity, int) and abs(identity) >= _SAFE for identity in ids):
        ids = [*map(str, ids)]
    sizes = asdict(specification) | {
        "num_outputs": specification.num_outputs,
        "length_index": specification.length_index,
        "length_scale": specification.length_scale,
        "length_unit": length_unit(specification.length_deviation),
        "max_log_length": specification.max_log_length,
        "outputs": [
            {
                "link": output.type.link,
                "width": output.block.stop - output.block.start,
                "one_hot": output.type.has_categories,
            }
            for output in outputs_of(specification.column_types, specification.num_categories)
        ],
        "custom": None,
    }
    columns = []
    for column in sequences.schema.columns:
        kind = column.column_type
        columns.append(
            {
                "name": column.name,
                "link": kind.link,
                "number": kind.is_number,
                "centered": kind.is_centered,
                "whole": kind.is_whole,
            }
        )
        if kind.has_categories:
            names = [*map(str, column.categories)]
            columns[-1] |= {"categories": column.categories, "names": names}
    scaler, error_scaler = model.scaler, model.error_scaler
    longest = 2 * specification.max_steps
    reach = {key: flat.reach for key, flat in maps.items()} | {"codes": atlas.similar.reach}
    return {
        "info": atlas.describe() | {"model": name, "ids": ids, "maps": [*maps], "fields": fields},
        "reach": {key: value if np.isfinite(value) else None for key, value in reach.items()},
        "projection": {
            "mean": projection.mean,
            "weights": projection.weights,
            "axes": projection.axes,
            "scale": projection.scale,
        },
        "model": {
            "specification": sizes,
            "scaler": {key: scaler.to_dict()[key] for key in _SCALER}
            | {"mean": scaler.shift(sequences.schema)},
            "units": {
                "mean": error_scaler.shift(sequences.schema),
                "scale": error_scaler.scale_,
            },
            "columns": columns,
            "longest": longest,
            "most_steps": min(longest, max(model.max_steps, int(sequences.lengths.max()))),
        },
    }


# The page has plain modules and no bundler. A browser does not import modules from `file://`, so
# the page that needs no server has one script.
def joined_modules(entry: Path) -> str:
    """Join a JavaScript module and all that it imports into one script without imports."""
    names: dict[Path, str] = {}
    parts: list[str] = []

    def add(path: Path) -> str:
        if path in names:
            return names[path]
        text = _IMPORT.sub(
            lambda match: f"const {match[1]} = {add((path.parent / match[2]).resolve())};\n",
            path.read_text(encoding="utf-8"),
        )
        exported = _EXPORT.findall(text)
        body = f"{_EXPORT.sub('', text).rstrip()}\nreturn {{ {', '.join(exported)} }};"
        names[path] = f"module_{len(names)}"
        parts.append(f"const {names[path]} = (() => {{\n{body}\n}})();")
        return names[path]

    add(entry.resolve())
    return "\n".join(parts)


def whole_page(entry: Path, blocks: Iterable[tuple[str, str, bytes]]) -> Iterable[str]:
    """Yield the parts of one HTML file: the page, its style and script, and blocks of data."""
    # by the hashes, the browser runs this script and uses this style alone; it opens no connection
    script, style = joined_modules(entry), (PAGE / "style.css").read_text(encoding="utf-8")
    icon = base64.b64encode((PAGE / "icon.svg").read_bytes()).decode()
    policy = (
        f"default-src 'none'; script-src '{_digest(script)}'; style-src '{_digest(style)}'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    meta = f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">'
    text = (PAGE / "index.html").read_text(encoding="utf-8")
    for tag, replacement in (
        ('<meta charset="utf-8">', f'<meta charset="utf-8">\n{meta}'),
        ('<link rel="stylesheet" href="/page/style.css">', f"<style>{style}</style>"),
        ('<script type="module" src="/page/served.js"></script>\n', ""),
        ("/page/icon.svg", f"data:image/svg+xml;base64,{icon}"),
    ):
        text = text.replace(tag, replacement)
    before, end, after = text.partition("</body>")
    yield before
    for block in blocks:
        yield data_element(*block)
    yield f'<script type="module">{script}</script>\n'
    yield end + after


def data_element(name: str, kind: str, content: bytes) -> str:
    """Return an element that holds data for a script, and that the browser does not run."""
    opening = f'<script type="text/plain" data-name="{html.escape(name)}" data-type="{kind}">'
    return f"{opening}{base64.b64encode(content).decode()}</script>\n"


def _digest(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
