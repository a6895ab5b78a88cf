"""The code on the documentation pages runs and prints the shown output, and links have targets.

Blocks under ``<!-- not run: reason -->`` are skipped. `make test-slow` runs the pages with full
training. `make test` runs every block with little training, and checks the output that does not
depend on it.
"""

import ast
import contextlib
import functools
import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from refold import SequenceAutoencoder
from refold.cli import main
from small_data import without_epochs

ROOT = Path(__file__).parent.parent
SUFFIXES = {".py", ".md", ".ipynb", ".js", ".html", ".yaml", ".txt"}
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^(<!-- not run: .+ -->\n+)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# Arguments of every fit of a page in `make test`.
CAPS = {"max_epochs": 1, "units": 8, "latent_steps": 0}
# Pages that show what an epoch leaves: their fits have one, and those of other pages have none.
WITH_AN_EPOCH = {"diagnosis.md", "training.md"}
# Maximum number of sequences of `refold data` in `make test`.
MAX_SEQUENCES = 200
# Printed shapes, which do not depend on training.
SHAPES = r"(\((\d+, ?)*\d*\) ?)+"

# A file that pages treat as the reader's own.
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


# Pages show code that warns, because a test utterance of the vowels has 29 steps.
@pytest.mark.filterwarnings("ignore:.* longer than the longest in training")
@pytest.mark.usefixtures("small_forest")
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_run(page, tmp_path, monkeypatch):
    """Run each block without training, and check output that does not depend on fits."""
    run_page(page, tmp_path, monkeypatch, capped=True)


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES, ids=name)
def test_blocks_print_what_the_pages_show(page, tmp_path, monkeypatch):
    run_page(page, tmp_path, monkeypatch, capped=False)


def run_page(page, folder, monkeypatch, *, capped):
    monkeypatch.chdir(folder)
    if capped and page.name not in WITH_AN_EPOCH:
        monkeypatch.setattr(SequenceAutoencoder, "fit", capped_fit(SequenceAutoencoder.fit))
    if capped:
        # the choice takes a fifth of the time of a fit without epochs
        choice = "refold.training._specify.choose_warp_std"
        monkeypatch.setattr(choice, lambda *_, **__: 0.0)
    (folder / "log.csv").write_text(LOG, encoding="utf-8")
    namespace, cap = {"__name__": page.stem}, Cap() if capped else None
    for language, text in blocks(page):
        if language == "python":
            run_python(text, namespace, cap)
        elif language in {"console", "sh"}:
            for command in commands(text):
                run_command(capped_command(command) if capped else command, monkeypatch)


def capped_fit(fit):
    """Return a ``fit`` that keeps the linear initialization, for which nothing is compiled."""

    @functools.wraps(fit)
    def initialize(ae, X, y=None, **given):
        if not given.get("callbacks") and not given.get("resume"):
            without_epochs(fit)(ae, X, y)
        # where there is no linear initialization, the model is trained for an epoch
        return ae if hasattr(ae, "schema_") else fit(ae, X, y, **given)

    return initialize


class Cap(ast.NodeTransformer):
    """Sets one epoch, few units and no latent optimization for each autoencoder of a page."""

    used = False

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
        expected, printed = comment(lines, statement), io.StringIO()
        shown = ast.unparse(statement)
        if cap is not None:
            statement = cap.visit(statement)
        with contextlib.redirect_stdout(printed):
            exec(compile(ast.Module([statement], []), "page", "exec"), namespace)  # noqa: S102
        got = " ".join(printed.getvalue().split())
        if got and expected and (cap is None or not cap.used or re.fullmatch(SHAPES, got)):
            assert expected.startswith(got), shown


def comment(lines, statement):
    """Return the comment after a statement, or the comments on the lines below it."""
    rest = lines[statement.end_lineno - 1].encode()[statement.end_col_offset :].decode()
    below = [] if rest.strip() else lines[statement.end_lineno :]
    found = [rest.strip()] if rest.strip() else []
    for line in below:
        if not line.startswith("#"):
            break
        found.append(line)
    return " ".join(" ".join(line.lstrip("# ") for line in found).split())


def commands(text):
    """Yield the commands of Refold in a block, except the demo, which has its own test."""
    for line in text.replace("\\\n", " ").splitlines():
        command = line.removeprefix("$ ").partition(" #")[0].strip()
        if command.startswith("refold ") and not command.startswith("refold demo"):
            yield command


def capped_command(command):
    """Return a command that trains as little as the Python blocks, for one size."""
    name = command.split(" ", 2)[1]
    if name == "data":
        few = re.compile(r" -n (\d+)")
        return few.sub(lambda given: f" -n {min(int(given[1]), MAX_SEQUENCES)}", command)
    if name == "curve":
        return re.sub(r"--sizes [\d,]+,", "--sizes ", command) + " --max-epochs 1 --units 8"
    if name in {"doctor", "fit"}:
        given = [f"--{option.replace('_', '-')} {value}" for option, value in CAPS.items()]
        return " ".join([command, *given])
    return command


def run_command(command, monkeypatch):
    """Run a command, or the commands of a pipe one after the other; skip other programs."""
    *stages, last = (shlex.split(stage) for stage in command.split("|"))
    if not stages:
        assert main(last[1:]) == 0, command
        return
    passed = b""
    for stage in [*stages, last]:
        if stage[0] == "refold":
            output = io.TextIOWrapper(io.BytesIO())
            with monkeypatch.context() as patch:
                patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(passed)))
                patch.setattr(sys, "stdout", output)
                assert main(stage[1:]) == 0, command
            output.flush()
            passed = output.buffer.getvalue()
    assert passed, command


@pytest.mark.parametrize("page", [*PAGES, ROOT / "CHANGELOG.md", ROOT / "SECURITY.md"], ids=name)
def test_links_have_targets(page):
    text = BLOCK.sub("", page.read_text(encoding="utf-8"))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not target.startswith(("https://", "mailto:")):
            path, _, anchor = target.partition("#")
            found = (page.parent / path) if path else page
            assert found.exists(), target
            if anchor:
                assert anchor in anchors(found), target


def anchors(page):
    """Return the anchors of the headings of a page, with the rules of GitHub."""
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


def test_the_readme_shows_the_two_commands_that_do_all_the_set_up():
    blocks = re.findall(r"```console\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    targets = re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for command in ("demo", "test"):
        assert any(f"$ make {command}\n" in block for block in blocks)
        assert command in targets


def test_nothing_says_that_a_package_index_has_refold():
    """Until the first release (docs/how-to/release.md), Refold is installed from a clone."""
    folders = [ROOT / name for name in ("src", "examples", "deploy")]
    texts = [path for folder in folders for path in folder.rglob("*") if path.suffix in SUFFIXES]
    wrong = re.compile(r"pip install (?:-\S+ )*['\"]?refold\b|['\"]refold\[")
    assert [path for path in [*PAGES, *texts] if wrong.search(path.read_text("utf-8"))] == []
