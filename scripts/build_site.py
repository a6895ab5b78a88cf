"""Build the documentation site: ``python scripts/build_site.py`` writes ``site/``.

Pages link to each other as files of the repository, so that links work there.  The site has the
pages of ``docs`` at its root, next to those of ``OUTSIDE``.  This script copies them to
``build/site`` with their names on the site, adapts their links, and runs Zensical on the copies.
Linked files that are not pages are copied, too.
"""

import posixpath
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
STAGED = ROOT / "build" / "site"
# Pages outside of docs, and their paths on the site.
OUTSIDE = {
    "CHANGELOG.md": "changelog.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks/index.md",
    "examples/classifier/README.md": "examples/classifier.md",
    "examples/question/README.md": "examples/question.md",
    "examples/tracking/README.md": "examples/tracking.md",
}
LINK = re.compile(r"^(?P<code> *```.*?^ *```$)|\]\((?P<target>[^)\s]+)\)", re.MULTILINE | re.DOTALL)
EMPTY = re.compile(r"\s*–\s*<div class=\"doc-md-description\">\s*</div>")


def pages() -> dict[str, str]:
    """Return the path of each page in the repository, with its path on the site."""
    found = {
        path.relative_to(ROOT).as_posix(): path.relative_to(ROOT / "docs").as_posix()
        for path in sorted((ROOT / "docs").rglob("*.md"))
    }
    results = (path.relative_to(ROOT).as_posix() for path in ROOT.glob("benchmarks/results/*.md"))
    # The site does not need the page that says where to find it.
    return found | OUTSIDE | {name: name for name in results} | {"README.md": "index.md"}


def stage() -> None:
    """Copy the pages, and the files that they link to, to ``STAGED``."""
    shutil.rmtree(STAGED, ignore_errors=True)
    for folder in ("javascripts", "stylesheets"):
        shutil.copytree(ROOT / "docs" / folder, STAGED / folder)
    places = pages()
    for source, place in places.items():
        if source != "README.md":
            text = (ROOT / source).read_text(encoding="utf-8")
            written = STAGED / place
            written.parent.mkdir(parents=True, exist_ok=True)
            written.write_text(_with_links_of_the_site(text, source, places), encoding="utf-8")


def _with_links_of_the_site(text: str, source: str, places: dict[str, str]) -> str:
    def changed(match: re.Match) -> str:
        target = match["target"]
        if target is None or target.startswith(("https://", "http://", "mailto:", "#")):
            return match[0]
        path, hash_sign, anchor = target.partition("#")
        linked = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if linked not in places:
            _copy(linked, source)
        place = places.get(linked, linked.removeprefix("docs/"))
        relative = posixpath.relpath(place, posixpath.dirname(places[source]) or ".")
        return f"]({relative}{hash_sign}{anchor})"

    return LINK.sub(changed, text)


def _copy(linked: str, source: str) -> None:
    if not (ROOT / linked).is_file():
        raise SystemExit(f"{source} links to {linked}, which is no file.")
    copy = STAGED / linked.removeprefix("docs/")
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / linked, copy)


def drop_empty_descriptions() -> None:
    """Remove the dash after a name or type that has no description."""
    for page in (ROOT / "site" / "reference").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(EMPTY.sub("", text), encoding="utf-8")


if __name__ == "__main__":
    stage()
    command = [Path(sys.executable).with_name("zensical"), "build", "--clean", "--strict"]
    failed = subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603
    if not failed:
        drop_empty_descriptions()
    sys.exit(failed)
