"""Pages do as they say: Python runs and prints what stands beside it, commands run, links lead.

Blocks under ``<!-- not run: reason -->`` are left out. `make test` trains for one epoch and checks
what no training decides; `make test-slow` runs the pages at full length.
"""

import ast
import contextlib
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from refold.cli import main

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^(<!-- not run: .+ -->\n+)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# what every fit of a page is given in `make test`
CAPS = {"max_epochs": 1, "units": 8, "refine": 0}
# what is printed of shapes, which no training changes
SHAPES = r"(\((\d+, ?)*\d*\) ?)+"

# what pages take to be the reader's own
LOG = "session,at,page,seconds\n" + "".join(
    f"{session},{step},{'ab'[(session + step) % 2]},{session / (step + 1):.3f}\n"
    for session in range(12)
    for step in range(session % 4 + 1)
)


def name(page):
    return str(page.relative_to(ROOT))


def blocks(page):
    """Yield the language and text of each block that runs."""
    for match in BLOCK.finditer(page.read_text(encoding="utf-8")):
        left_out, language, text = match.groups()
        if not left_out:
            yield language, text


# pages show what warns, and one of the vowels to test has 29 steps
@pytest.mark.filterwarnings("ignore:.* longer than the longest in training")
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_run(page, tmp_path, monkeypatch):
    """Run each block, with one epoch a fit; what is printed counts as far as no fit decides it."""
    run_page(page, tmp_path, monkeypatch, capped=True)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_print_what_they_say(page, tmp_path, monkeypatch):
    run_page(page, tmp_path, monkeypatch, capped=False)


def run_page(page, folder, monkeypatch, *, capped):
    monkeypatch.chdir(folder)
    (folder / "log.csv").write_text(LOG, encoding="utf-8")
    namespace, cap = {"__name__": page.stem}, Cap() if capped else None
    for language, text in blocks(page):
        if language == "python":
            run_python(text, namespace, cap)
        elif language in {"console", "sh"}:
            for command in commands(text, capped):
                run_command(command)


class Cap(ast.NodeTransformer):
    """Gives each `SequenceAutoencoder` of a page one epoch, few units, and no search for codes."""

    def __init__(self):
        self.used = False

    def visit_Call(self, node):
        self.generic_visit(node)
        if ast.unparse(node.func).rpartition(".")[2] == "SequenceAutoencoder":
            self.used = True
            kept = [keyword for keyword in node.keywords if keyword.arg not in CAPS]
            caps = [ast.keyword(name, ast.Constant(value)) for name, value in CAPS.items()]
            node.keywords = [*kept, *caps]
        return ast.fix_missing_locations(node)


def run_python(text, namespace, cap):
    lines = text.splitlines()
    for statement in ast.parse(text).body:
        said, printed = comment(lines, statement), io.StringIO()
        shown = ast.unparse(statement)
        if cap is not None:
            statement = cap.visit(statement)
        with contextlib.redirect_stdout(printed):
            exec(compile(ast.Module([statement], []), "page", "exec"), namespace)  # noqa: S102
        got = " ".join(printed.getvalue().split())
        if got and said and (cap is None or not cap.used or re.fullmatch(SHAPES, got)):
            assert said.startswith(got), shown


def comment(lines, statement):
    """Text of the comment behind a statement, or of those on the lines below it."""
    rest = lines[statement.end_lineno - 1].encode()[statement.end_col_offset :].decode()
    below = [] if rest.strip() else lines[statement.end_lineno :]
    found = [rest.strip()] if rest.strip() else []
    for line in below:
        if not line.startswith("#"):
            break
        found.append(line)
    return " ".join(" ".join(line.lstrip("# ") for line in found).split())


def commands(text, capped):
    """Commands of Refold in a block; the demo has a test of its own."""
    lines = [line.removeprefix("$ ") for line in text.splitlines()]
    for line in lines:
        command = line.partition(" #")[0].strip()
        if command.startswith("refold ") and not command.startswith("refold demo"):
            yield capped_command(command) if capped else command


def capped_command(command):
    words = command.split(" ", 2)
    if words[1] in {"fit", "curve"}:
        caps = CAPS if words[1] == "fit" else {"max_epochs": 1, "units": 8}
        given = [f"--{name.replace('_', '-')} {value}" for name, value in caps.items()]
        words[2] = " ".join([words[2], *given]) if "|" not in words[2] else words[2]
    return " ".join(words)


def run_command(command):
    if "|" not in command:
        assert main([*shlex.split(command)[1:]]) == 0, command
        return
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    run = subprocess.run(
        ["bash", "-c", command],
        capture_output=True,
        text=True,
        env=os.environ | {"PATH": path},
        check=False,
    )
    assert run.returncode == 0, run.stderr
    assert run.stdout, command


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("https://", "mailto:")):
            path, _, anchor = target.partition("#")
            found = (page.parent / path) if path else page
            assert found.exists(), target
            if anchor:
                assert anchor in anchors(found), target


def anchors(page):
    """Names that a page's headings have, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_page_is_in_an_index_and_in_the_navigation():
    docs = ROOT / "docs"
    pages = {str(page.relative_to(docs)) for page in docs.rglob("*.md")} - {"index.md"}
    index = (docs / "index.md").read_text(encoding="utf-8")
    index += (
        (docs / "reference" / "index.md").read_text(encoding="utf-8").replace("](", "](reference/")
    )
    navigation = (ROOT / "zensical.toml").read_text(encoding="utf-8")
    assert {page for page in pages if f"({page})" not in index} == set()
    assert {page for page in pages if f'"{page}"' not in navigation} == set()


def test_the_readme_shows_both_commands():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make demo" in readme
    assert "make test" in readme
