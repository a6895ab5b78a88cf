"""The manifest of an output folder, by which a second run knows what is done."""

import hashlib
import json
from dataclasses import asdict
from typing import Any

import refold
from refold.cluster._operations import ModelOperation
from refold.cluster._source import SourceFiles
from refold.cluster._storage import Place, make_folder, read_bytes, replaced
from refold.cluster._worker import MODEL
from refold.errors import ParameterError

MANIFEST = "_refold.json"
_FORMAT = 1
# Entries that may differ between two runs with the same output, and how messages call the others.
_CALLED = {
    "format": "another format of the manifest",
    "refold": "another version of Refold",
    "operation": "another operation",
    "model": "another model",
    "settings": "other settings",
    "options": "other columns",
    "part_steps": "another part_steps",
    "files": "other source files",
}


def manifest_of(source: SourceFiles, operation: ModelOperation, model_hash: str) -> dict[str, Any]:
    """Return all that determines the parts of a run, as JSON values."""
    settings = {name: one for name, one in operation.settings.items() if name != "threads"}
    found = {
        "format": _FORMAT,
        "refold": refold.__version__,
        "operation": operation.name,
        "model": model_hash,
        "settings": settings | {"id_name": operation.id_name},
        "options": asdict(source.options),
        "part_steps": source.part_steps,
        "units": len(source.units),
        "files": [[file.name, *file.stamp, file.num_rows] for file in source.files],
    }
    return json.loads(json.dumps(found))


def run_of(manifest: dict[str, Any]) -> str:
    """Return the hash of a manifest, which each of its parts has."""
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def begin(output: Place, manifest: dict[str, Any], model: bytes) -> None:
    """Write the manifest and the model, or refuse a folder with the parts of another run."""
    names = make_folder(output)
    place = output.beside(MANIFEST)
    before = read_bytes(place) if MANIFEST in names else None
    if before is None:
        # files of other programs stay as they are
        if strange := [name for name in sorted(names) if not name.startswith((".", "_"))]:
            raise ParameterError(
                f"The output folder {output.name()} holds {strange[0]!r}, and has no manifest "
                f"{MANIFEST} of a run. Name a new folder."
            )
        with replaced(place) as stream:
            stream.write(json.dumps(manifest, indent=1).encode())
    try:
        found = manifest if before is None else json.loads(before)
    except ValueError as error:
        raise ParameterError(
            f"{place.name()} is damaged. Delete the folder, or name a new one."
        ) from error
    if not isinstance(found, dict) or found != manifest:
        raise ParameterError(
            f"The output folder {output.name()} holds parts of a run with "
            f"{_difference(found, manifest)}. Name a new folder, or repeat that run."
        )
    if MODEL not in names:
        with replaced(output.beside(MODEL)) as stream:
            stream.write(model)


def _difference(found: object, manifest: dict[str, Any]) -> str:
    if not isinstance(found, dict):
        return _CALLED["format"]
    key = next((one for one in _CALLED if found.get(one) != manifest[one]), "files")
    before, now = found.get(key), manifest[key]
    if key == "files" and isinstance(before, list):
        names = {one[0]: one for one in before}
        for one in now:
            if one[0] in names and names[one[0]] != one:
                return f"another state of {one[0]}, which has changed"
        return f"{len(before)} source files, not these {len(now)}"
    if key in ("settings", "options") and isinstance(before, dict):
        key = next(one for one in now if before.get(one) != now[one])
        before, now = before.get(key), now[key]
        return f"{key}={before!r}, not {now!r}"
    if key == "model":
        return _CALLED[key]
    return f"{_CALLED[key]} ({before!r}, not {now!r})"
