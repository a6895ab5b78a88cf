"""One HTML file from the page, its modules and data: no server, and no request to elsewhere."""

import base64
import hashlib
import html
import re
from collections.abc import Iterable
from pathlib import Path

# A module imports and exports by name, at the beginning of a line, and exports no variable that
# changes: it becomes a function that returns its exports.
_IMPORT = re.compile(r'^import (\{[^}]*\}) from "(\.{1,2}/[\w./-]+)";\n', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=(?:async )?(?:class|function|const) (\w+))", re.MULTILINE)
_LEFT = re.compile(r"^(?:import|export)\b|\bimport\(", re.MULTILINE)


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
