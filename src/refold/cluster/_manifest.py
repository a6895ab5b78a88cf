"""The manifest of an output folder, by which a second run knows what is done."""

import hashlib
import json
from dataclasses import asdict
from typing import Any

import refold
from refold.cluster._parts import MODEL, ModelOperation
from refold.cluster._source import ClusterSource
from refold.cluster._storage import Place, make_folder, read_bytes, replaced
from refold.errors import ParameterError

MANIFEST = "_refold.json"


def manifest_of(
    source: ClusterSource, operation: ModelOperation, model_hash: str
) -> dict[str, Any]:
    """Return all that determines the parts of a run, as JSON values."""
    manifest = {
        "version": refold.__version__,
        "operation": operation.name,
        "model": model_hash,
        **operation.settings,
        "id_name": operation.id_name,
        **asdict(source.options),
        "part_steps": source.part_steps,
        "files": [[file.name, *file.stamp, file.num_rows] for file in source.files],
    }
    return json.loads(json.dumps(manifest))


def run_of(manifest: dict[str, Any]) -> str:
    """Return the hash of a manifest, which each of its parts has."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def begin(output: Place, manifest: dict[str, Any], model: bytes) -> None:
    """Write the manifest and the model, or refuse a folder with the parts of another run."""
    names = make_folder(output)
    place = output.beside(MANIFEST)
    data = read_bytes(place) if MANIFEST in names else None
    if data is None:
        # files of other programs stay as they are
        if others := [name for name in sorted(names) if not name.startswith((".", "_"))]:
            raise ParameterError(
                f"The output folder {output.name} holds {others[0]!r}, and has no manifest "
                f"{MANIFEST} of a run. Name a new folder."
            )
        data = json.dumps(manifest, indent=1).encode()
        with replaced(place) as stream:
            stream.write(data)
    try:
        earlier = dict(json.loads(data))
    except (ValueError, TypeError) as error:
        raise ParameterError(
            f"{place.name} is damaged. Delete the folder, or name a new one."
        ) from error
    for key in manifest:
        if earlier.get(key) != manifest[key]:
            raise ParameterError(
                f"The output folder {output.name} holds parts of a run with "
                f"{_difference(key, earlier.get(key), manifest[key])}. Name a new folder, or "
                "repeat that run."
            )
    if MODEL not in names:
        with replaced(output.beside(MODEL)) as stream:
            stream.write(model)


def _difference(key: str, before: Any, now: Any) -> str:
    if key == "model":
        return "another model"
    if key != "files":
        return f"{key}={before!r}, not {now!r}"
    stamps = {file[0]: file for file in before or ()}
    for file in now:
        if stamps.get(file[0], file) != file:
            return f"another state of {file[0]}, which has changed"
    others = sorted(stamps.keys() ^ {file[0] for file in now})
    if not others:
        return "source files in another order"
    return f"other source files (only one of the runs has {others[0]})"
