"""Export of the explorer as one file, which holds the data and works without a server.

`page/embedded` has the JavaScript that decodes and answers in place of the server.
"""

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

from refold._support.atomic_files import atomic_writer
from refold._support.messages import warn
from refold.errors import ParameterError, python_or_cli
from refold.explore._atlas import MAP_NAMES, Atlas
from refold.explore._server import PAGE_FOLDER
from refold.model import ModelLike, model_of
from refold.network.packed.network import PackedNetwork
from refold.network.specification import clip_length_std, get_linear_path_map
from refold.sequences.types import output_slices
from refold.serve import to_json

# JavaScript reads integers below this without loss of digits.
_MAX_SAFE_INTEGER = 2**53
# Parameters of a scaler that the page needs, besides its shift.
_SCALER_KEYS = ("mode", "dtype", "scale", "statistics_mean", "statistics_scale")
# Names of the weights that compute a sequence from its code. The page has no encoder, which would
# need more JavaScript and a much larger file.
_DECODER_WEIGHT_PATTERN = re.compile(r"(?:decoder|start)_\d+/|(?:head|hidden|length|linear_steps)/")
# The modules of the page keep to simple forms of imports and exports, so that two patterns are
# enough to join them. This one matches `import { a, b } from "./file.js";` at the start of a line.
_MODULE_IMPORT_PATTERN = re.compile(r'(?m)^import (\{[^}]*\}) from "(\.{1,2}/[\w./-]+)";\n')
# Matches `export` before a class, a function or a constant at the start of a line.
_MODULE_EXPORT_PATTERN = re.compile(r"(?m)^export (?=(?:async )?(?:class|function|const) ([\w$]+))")


def export_page(atlas: Atlas, path: str | Path, *, name: str = "model", umap: bool = False) -> int:
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
        If a field, by which the map could be colored, cannot be computed and is left out.

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
    num_bytes = 0
    with atomic_writer(path) as stream:
        blocks = make_data_blocks(atlas, name, includes_umap=umap)
        for text in render_page(PAGE_FOLDER / "embedded" / "exported.js", blocks):
            num_bytes += stream.write(text.encode())
    return num_bytes


def check_exportable(model: ModelLike) -> None:
    """Raise a ParameterError if an exported page cannot decode with a model."""
    # only the pretrained model reads curves: series resampled to a fixed number of points
    if model_of(model).specification.is_curve_network:
        raise ParameterError(
            "An exported page cannot decode the curves of the pretrained model. Open this model "
            f"{python_or_cli('with refold.explore.explore', 'without --export')}, or fit a "
            "model."
        )
    if not isinstance(model_of(model).network, PackedNetwork):
        raise ParameterError(
            "Only default models with LSTMs can be exported, because a page has no Keras. Open "
            f"this model {python_or_cli('with refold.explore.explore', 'without --export')}."
        )


def make_data_blocks(
    atlas: Atlas, model_name: str, *, includes_umap: bool = False
) -> Iterator[tuple[str, str, bytes]]:
    """Yield name, type (a dtype, or "json") and compressed content of each block of data."""
    sequences = atlas.sequences
    network: Any = atlas.model.network  # a PackedNetwork: `check_exportable` refuses others
    weights = {key: x for key, x in network.weights.items() if _DECODER_WEIGHT_PATTERN.match(key)}
    # the linear path, a linear map from the code to each step, has three arrays; the page reads one
    if "linear_steps/start" in weights:
        weights["linear_steps/map"] = get_linear_path_map(weights, "linear_steps")
        for last_part in ("start", "unit", "change"):
            del weights[f"linear_steps/{last_part}"]
    for key, array in weights.items():
        yield _compress_array(f"weights/{key}", array)
    yield _compress_array("codes", atlas.codes)
    yield _compress_array("lengths", sequences.lengths.astype(np.int32))
    scaled = atlas.model.error_scaler.transform(sequences).values
    for i, column in enumerate(sequences.schema.columns):
        values = scaled[:, i].astype(np.float32)
        if column.column_type.has_categories:
            # An unknown category has the index after the categories, and a missing value has the
            # index after that. The smallest dtype for these indices makes the page smaller.
            missing_index = len(column.categories) + 1
            # the page reads uint8, uint16 and int32, but not uint32
            dtype = np.min_scalar_type(missing_index) if missing_index < 1 << 16 else np.int32
            values = np.where(np.isnan(values), missing_index, values).astype(dtype)
        yield _compress_array(f"values/{i}", values)
    map_names = MAP_NAMES if includes_umap else ["pca"]
    # `max_seconds=None` waits until a map or a field is computed
    maps: dict[str, Any] = {key: atlas.map(key, max_seconds=None) for key in map_names}
    for key, code_map in maps.items():
        yield _compress_array(f"places/{key}", code_map.vectors)
    fields = []
    for field in atlas.fields:
        try:
            values = field.result(max_seconds=None)
        except ParameterError as error:
            warn(f"The page has no {field.name!r}. {error}")
        else:
            yield _compress_array(f"fields/{len(fields)}", values)
            fields.append(field.describe())
    if atlas.model.calibration is not None:
        yield _compress_array("anomaly", atlas.score_components)
    # last, because the descriptions of fields are complete only after their values are computed
    about = _describe_page(atlas, model_name, maps, fields)
    yield "about", "json", zlib.compress(to_json(about), level=6)


def _compress_array(block_name: str, array: np.ndarray) -> tuple[str, str, bytes]:
    """Return the name, the type and the compressed bytes of an array."""
    # The bytes are ordered in planes. The first plane has the first bytes of all numbers, the next
    # plane has their second bytes, and so on. This order compresses better, because neighboring
    # numbers often share bytes.
    numbers = np.ascontiguousarray(array).reshape(-1)
    planes = numbers.view(np.uint8).reshape(len(numbers), numbers.itemsize).T
    return block_name, numbers.dtype.name, zlib.compress(planes.tobytes(), level=6)


def _describe_page(
    atlas: Atlas, model_name: str, maps: dict[str, Any], color_fields: list[dict[str, Any]]
) -> dict[str, Any]:
    """Return what a page needs to know besides arrays, as JSON content."""
    model, sequences, schema = atlas.model, atlas.sequences, atlas.sequences.schema
    specification, projection = model.specification, atlas.projection
    ids = sequences.ids.tolist()
    if any(isinstance(id_, int) and abs(id_) >= _MAX_SAFE_INTEGER for id_ in ids):
        ids = [*map(str, ids)]
    # the page also needs values that the specification derives
    specification_fields = asdict(specification) | {
        "num_outputs": specification.num_outputs,
        "length_index": specification.length_index,
        # mean and standard deviation of log(1 + length), for a code that holds the length
        "log_length_moments": specification.log_length_moments,
        # standard deviation of the lengths in steps, for a model that predicts the length
        "length_std": clip_length_std(specification.length_deviation),
        "max_log_length": specification.max_log_length,
        "outputs": [
            {
                "link": output.type.link,
                "width": output.output_slice.stop - output.output_slice.start,
                "one_hot": output.type.has_categories,
            }
            for output in output_slices(specification.column_types, specification.num_categories)
        ],
        "custom": None,  # has no meaning on a page, and may be large
    }
    columns = []
    for column in schema.columns:
        column_type = column.column_type
        description = {
            "name": column.name,
            "link": column_type.link,
            "number": column_type.is_number,
            "centered": column_type.is_centered,
            "whole": column_type.is_whole,
        }
        if column_type.has_categories:
            # the names are the categories as text, which may be numbers
            names = [*map(str, column.categories)]
            description |= {"categories": column.categories, "names": names}
        columns.append(description)
    scaler, error_scaler = model.scaler, model.error_scaler
    max_length = 2 * specification.max_steps  # the bound of `Model.predict_lengths`
    longest = max(model.max_training_length, int(sequences.lengths.max()))
    # The page warns of a place or code that is farther than this from all sequences. The distance
    # is infinite, which JSON cannot write, if there are too few sequences to say what is far.
    far_distances = {key: code_map.far_threshold for key, code_map in maps.items()}
    far_distances["codes"] = atlas.weighted_codes.far_threshold
    page_info = {"model": model_name, "ids": ids, "maps": [*maps], "fields": color_fields}
    return {
        "info": atlas.describe() | page_info,
        "far_distances": {k: x if np.isfinite(x) else None for k, x in far_distances.items()},
        "projection": {
            "mean": projection.mean,
            "weights": projection.weights,
            "axes": projection.axes,
            "scale": projection.scale,
        },
        "model": {
            "specification": specification_fields,
            # scaling subtracts the shift of a column (its mean, but 0 for counts), and divides by
            # the scale
            "scaler": {key: scaler.to_dict()[key] for key in _SCALER_KEYS}
            | {"shift": scaler.shift(schema)},
            "error_scaler": {"shift": error_scaler.shift(schema), "scale": error_scaler.scale_},
            "columns": columns,
            # upper bound of the predicted length of a code, which the page shows only as a number
            "max_predicted_length": max_length,
            # upper bound of the length of a sequence that the page decodes and draws
            "max_decoded_length": min(max_length, longest),
        },
    }


# A browser does not import modules from `file://`, so an exported page has a single script. This
# function replaces a bundler.
def join_modules(entry_path: Path) -> str:
    """Join a JavaScript module and all that it imports into one script without imports."""
    variables: dict[Path, str] = {}  # name of the variable that holds the exports of each module
    scripts: list[str] = []

    def add_module(path: Path) -> str:
        """Add a module after its imports, as a function call, and return its variable."""
        if path in variables:
            return variables[path]
        text = _MODULE_IMPORT_PATTERN.sub(
            lambda match: f"const {match[1]} = {add_module((path.parent / match[2]).resolve())};\n",
            path.read_text(encoding="utf-8"),
        )
        exported_names = ", ".join(_MODULE_EXPORT_PATTERN.findall(text))
        body = f"{_MODULE_EXPORT_PATTERN.sub('', text).rstrip()}\nreturn {{ {exported_names} }};"
        variables[path] = f"module_{len(variables)}"
        scripts.append(f"const {variables[path]} = (() => {{\n{body}\n}})();")
        return variables[path]

    add_module(entry_path.resolve())
    return "\n".join(scripts)


def render_page(entry_script_path: Path, blocks: Iterable[tuple[str, str, bytes]]) -> Iterable[str]:
    """Yield the text of an HTML file, in pieces: the page, the blocks of data and the script."""
    # With this policy, the browser runs only the script and the style with these hashes, and opens
    # no connection.
    script = join_modules(entry_script_path)
    style = (PAGE_FOLDER / "style.css").read_text(encoding="utf-8")
    icon = base64.b64encode((PAGE_FOLDER / "icon.svg").read_bytes()).decode()
    policy = (
        f"default-src 'none'; script-src '{_hash_for_policy(script)}'; style-src "
        f"'{_hash_for_policy(style)}'; img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    meta = f'<meta http-equiv="Content-Security-Policy" content="{html.escape(policy)}">'
    text = (PAGE_FOLDER / "index.html").read_text(encoding="utf-8")
    # tags of the page that the server sends, and what an exported page has instead
    for tag, replacement in (
        ('<meta charset="utf-8">', f'<meta charset="utf-8">\n{meta}'),
        ('<link rel="stylesheet" href="/page/style.css">', f"<style>{style}</style>"),
        ('<script type="module" src="/page/served.js"></script>\n', ""),
        ("/page/icon.svg", f"data:image/svg+xml;base64,{icon}"),
    ):
        text = text.replace(tag, replacement)
    beginning, end_tag, rest = text.partition("</body>")
    yield beginning
    for block in blocks:
        yield make_data_element(*block)
    yield f'<script type="module">{script}</script>\n{end_tag}{rest}'


def make_data_element(block_name: str, dtype_or_json: str, compressed_bytes: bytes) -> str:
    """Return a script element with a block of data, which the browser does not run."""
    attributes = f'data-name="{html.escape(block_name)}" data-type="{dtype_or_json}"'
    content = base64.b64encode(compressed_bytes).decode()
    return f'<script type="text/plain" {attributes}>{content}</script>\n'


def _hash_for_policy(script_or_style: str) -> str:
    """Return the hash of a script or a style, as a content security policy writes it."""
    return "sha256-" + base64.b64encode(hashlib.sha256(script_or_style.encode()).digest()).decode()
