"""The server of the explorer: the service with the routes of the page."""

import contextlib
from collections.abc import Iterator
from pathlib import Path

from refold.errors import MissingFileError
from refold.explore._atlas import Atlas
from refold.explore._routes import routes
from refold.serve import ServeSettings, named_paths, running, serve

# A selection of a million sequences is a long list of rows.
MAX_BODY = 64 << 20


def explore(model: str | Path, atlas: Atlas, *, port: int = 8000) -> None:
    """Serve the page of an atlas to this machine until the process receives SIGTERM or Ctrl-C.

    Parameters
    ----------
    model : path
        Model file of the atlas.
    atlas : Atlas
        The sequences and their map.
    port : int, default=8000
        Port; 0 takes a free one.

    Raises
    ------
    FileAccessError
        If the port is in use.
    MissingFileError
        If the model file does not exist.

    See Also
    --------
    exploring : Serves from a thread.

    Examples
    --------
    >>> explore("nowhere.refold", None)
    Traceback (most recent call last):
    refold.errors.MissingFileError: There is no model file 'nowhere.refold'. Check the path.
    """
    path = _existing(model)
    settings = _settings(port)
    more = routes(atlas, path.stem, settings.max_body)
    try:
        serve(named_paths([str(path)]), settings, routes=more)
    finally:
        atlas.umap.stop()


@contextlib.contextmanager
def exploring(model: str | Path, atlas: Atlas, *, port: int = 0) -> Iterator[str]:
    """Serve the page of an atlas from a thread inside a ``with`` block.

    Parameters
    ----------
    model : path
        Model file of the atlas.
    atlas : Atlas
        The sequences and their map.
    port : int, default=0
        Port; 0 takes a free one.

    Yields
    ------
    url : str
        Address of the page.

    Examples
    --------
    >>> import tempfile, urllib.request
    >>> import refold
    >>> sines = refold.datasets.noisy_sines(40, seed=0, max_steps=30)
    >>> ae = refold.SequenceAutoencoder(
    ...     4, units=8, latent_steps=0, max_epochs=2, random_state=0
    ... ).fit(sines)
    >>> path = tempfile.mkdtemp() + "/sines.refold"
    >>> ae.save(path)
    >>> with exploring(path, Atlas(ae, sines)) as url:
    ...     with urllib.request.urlopen(url) as page:
    ...         page.status
    200
    """
    path = _existing(model)
    settings = _settings(port)
    more = routes(atlas, path.stem, settings.max_body)
    with running({path.stem: path}, settings, routes=more) as url:
        try:
            yield url
        finally:
            atlas.umap.stop()


def _settings(port: int) -> ServeSettings:
    return ServeSettings(port=port, max_body=MAX_BODY)


def _existing(model: str | Path) -> Path:
    path = Path(model)
    if not path.is_file():
        raise MissingFileError(f"There is no model file {str(model)!r}. Check the path.")
    return path
