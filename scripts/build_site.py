"""Build the documentation site: ``python scripts/build_site.py`` writes ``site/``.

Pages link to each other as files of the repository, so that links work there.  The site has the
pages of ``docs`` at its root, next to ``PAGES_OUTSIDE_DOCS``.  This script copies them to
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
# Folder of the copies, from which Zensical builds the site.
STAGING_FOLDER = ROOT / "build" / "site"
# Pages outside of docs, and their paths on the site.
PAGES_OUTSIDE_DOCS = {
    "CHANGELOG.md": "changelog.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "CONTRIBUTING.md": "contributing.md",
    "SECURITY.md": "security.md",
    "benchmarks/README.md": "benchmarks/index.md",
    "examples/classifier/README.md": "examples/classifier.md",
    "examples/question/README.md": "examples/question.md",
    "examples/tracking/README.md": "examples/tracking.md",
}
# A link of Markdown, or a block of code, in which links stay as they are.
LINK_OR_CODE = re.compile(
    r"^(?P<code> *```.*?^ *```$)|\]\((?P<target>[^)\s]+)\)", re.MULTILINE | re.DOTALL
)
# The dash and the empty element that mkdocstrings writes for a missing description.
EMPTY_DESCRIPTION = re.compile(r"\s*–\s*<div class=\"doc-md-description\">\s*</div>")


def find_pages() -> dict[str, str]:
    """Return the path of each page in the repository, with its path on the site."""
    docs_pages = {
        path.relative_to(ROOT).as_posix(): path.relative_to(ROOT / "docs").as_posix()
        for path in sorted((ROOT / "docs").rglob("*.md"))
    }
    result_pages = (
        path.relative_to(ROOT).as_posix() for path in ROOT.glob("benchmarks/results/*.md")
    )
    # on the site, links to README.md lead to docs/index.md, so README.md itself is not copied
    return (
        docs_pages
        | PAGES_OUTSIDE_DOCS
        | {name: name for name in result_pages}
        | {"README.md": "index.md"}
    )


def copy_pages() -> None:
    """Copy the pages, and the files that they link to, to ``STAGING_FOLDER``."""
    shutil.rmtree(STAGING_FOLDER, ignore_errors=True)
    for folder in ("javascripts", "stylesheets"):
        shutil.copytree(ROOT / "docs" / folder, STAGING_FOLDER / folder)
    site_paths = find_pages()
    for source, site_path in site_paths.items():
        if source != "README.md":
            text = (ROOT / source).read_text(encoding="utf-8")
            target = STAGING_FOLDER / site_path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(_adapt_links(text, source, site_paths), encoding="utf-8")


def _adapt_links(text: str, source: str, site_paths: dict[str, str]) -> str:
    """Return the text of a page with links that are relative to its path on the site."""

    def adapt_link(match: re.Match) -> str:
        link = match["target"]
        if link is None or link.startswith(("https://", "http://", "mailto:", "#")):
            return match[0]
        path, hash_sign, anchor = link.partition("#")
        linked_file = posixpath.normpath(posixpath.join(posixpath.dirname(source), path))
        if linked_file not in site_paths:
            _copy_linked_file(linked_file, source)
        site_path = site_paths.get(linked_file, linked_file.removeprefix("docs/"))
        relative = posixpath.relpath(site_path, posixpath.dirname(site_paths[source]) or ".")
        return f"]({relative}{hash_sign}{anchor})"

    return LINK_OR_CODE.sub(adapt_link, text)


def _copy_linked_file(linked_file: str, source: str) -> None:
    """Copy a file that is not a page, such as a picture, or stop if it does not exist."""
    if not (ROOT / linked_file).is_file():
        raise SystemExit(f"{source} links to {linked_file}, which is no file.")
    target = STAGING_FOLDER / linked_file.removeprefix("docs/")
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(ROOT / linked_file, target)


def drop_empty_descriptions() -> None:
    """Remove the dash after a name or type that has no description."""
    for page in (ROOT / "site" / "reference").glob("*.html"):
        text = page.read_text(encoding="utf-8")
        page.write_text(EMPTY_DESCRIPTION.sub("", text), encoding="utf-8")


if __name__ == "__main__":
    copy_pages()
    command = [Path(sys.executable).with_name("zensical"), "build", "--clean", "--strict"]
    exit_code = subprocess.run(command, cwd=ROOT, check=False).returncode  # noqa: S603
    if not exit_code:
        drop_empty_descriptions()
    sys.exit(exit_code)
