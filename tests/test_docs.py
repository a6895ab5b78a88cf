"""Pages do as they say: Python runs and prints what stands beside it, commands run, links lead.

Blocks under ``<!-- not run: reason -->`` are left out. `make test-slow` runs the pages at full
length. `make test` shows that every block runs as it is written, and checks the output that no
training changes. There a fit has one epoch, and each option is trained with once.
"""

import ast
import contextlib
import functools
import io
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from refold import SequenceAutoencoder
from refold.cli import main
from refold.inference import open_source
from refold.sequences import Sequences, fingerprints
from small_data import without_epochs

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^(<!-- not run: .+ -->\n+)?```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
# what every fit of a page is given in `make test`
CAPS = {"max_epochs": 1, "units": 8, "latent_steps": 0}
# and on all pages but those that hold sequences out as readers do
MORE_CAPS = {"validation_fraction": 0.0}
HOLDING_OUT = {
    "README.md",
    "diagnosis.md",
    "new-data.md",
    "size.md",
    "training.md",
    "tuning.md",
}
# how many sequences `refold data` writes at most in `make test`
MOST_SEQUENCES = 200
# what changes nothing in a model that is trained for one epoch
NOT_IN_THE_MODEL = {"time_budget", "verbose"}
# what changes which sequences a model is trained on, and not how
OTHER_SEQUENCES = {"calibration_fraction", "missing_values", "refit"}
# state of the models that capped pages have fitted, by arguments and data
FITTED = {}
# options and column types that capped pages have trained with
TRAINED = set()
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
@pytest.mark.usefixtures("few_trees")
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
    if capped:
        monkeypatch.setattr(SequenceAutoencoder, "fit", remembered(SequenceAutoencoder.fit))
    (folder / "log.csv").write_text(LOG, encoding="utf-8")
    caps = CAPS if page.name in HOLDING_OUT else CAPS | MORE_CAPS
    namespace, cap = {"__name__": page.stem}, Cap(caps) if capped else None
    for language, text in blocks(page):
        if language == "python":
            run_python(text, namespace, cap)
        elif language in {"console", "sh"}:
            for command in commands(text):
                if capped:
                    run_in_this_process(capped_command(command, caps), monkeypatch)
                else:
                    run_command(command)


def remembered(fit):
    """Make a ``fit`` that trains for a new option or column type, and fits once for equal data.

    The other models stay at their linear initialization, for which nothing is compiled.
    """

    @functools.wraps(fit)
    def fit_once(ae, X, y=None, **given):
        path = getattr(given.get("checkpoint"), "path", None)
        if str(path).endswith(".refold.checkpoint"):
            given["checkpoint"] = None  # `refold fit` keeps one beside the model while it trains
        key = None if any(given.values()) else fit_key(ae, X)
        if key is None:
            return fit(ae, X, y, **given)
        if key not in FITTED:
            options = options_of(ae, X)
            if options <= TRAINED:
                without_epochs(fit)(ae, X, y)
            else:
                fit(ae, X, y)
                TRAINED.update(options)
            FITTED[key] = {
                name: value
                for name, value in vars(ae).items()
                if name not in ae.get_params(deep=False) and not name.startswith("_sklearn")
            }
        vars(ae).update(FITTED[key])
        return ae

    return fit_once


def options_of(ae, X):
    """Return which arguments a page gives, and the column types."""
    default = SequenceAutoencoder().get_params(deep=False)
    given = {name for name, value in ae.get_params(deep=False).items() if value != default[name]}
    share = {"share"} if ae.latent_dim < 1 else set()
    column_types = {column.type for column in open_source(X).schema.columns}
    every_fit = {*CAPS, *MORE_CAPS, *NOT_IN_THE_MODEL, *OTHER_SEQUENCES}
    every_fit |= {"latent_dim", "random_state"}
    return (given - every_fit) | share | column_types


def fit_key(ae, X):
    """Return what a fitted model depends on, or None where this cannot be said by values."""
    arguments = {
        name: value
        for name, value in ae.get_params(deep=False).items()
        if name not in NOT_IN_THE_MODEL and name not in MORE_CAPS
    }
    sequences = open_source(X)
    if callable(ae.architecture) or not isinstance(sequences, Sequences):
        return None
    seen = fingerprints(sequences).tobytes(), tuple(sequences.lengths), tuple(sequences.ids)
    return repr(sorted(arguments.items())), repr(sequences.schema), seen


class Cap(ast.NodeTransformer):
    """Gives each `SequenceAutoencoder` of a page one epoch, few units, no latent optimization."""

    def __init__(self, caps):
        self.caps, self.used = caps, False

    def visit_Call(self, node):
        self.generic_visit(node)
        if ast.unparse(node.func).rpartition(".")[2] == "SequenceAutoencoder":
            self.used = True
            kept = [keyword for keyword in node.keywords if keyword.arg not in self.caps]
            caps = [ast.keyword(name, ast.Constant(value)) for name, value in self.caps.items()]
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


def commands(text):
    """Commands of Refold in a block; the demo has a test of its own."""
    for line in text.replace("\\\n", " ").splitlines():
        command = line.removeprefix("$ ").partition(" #")[0].strip()
        if command.startswith("refold ") and not command.startswith("refold demo"):
            yield command


def capped_command(command, caps):
    """Train as little as Python's blocks do, for one size, on few sequences."""
    name = command.split(" ", 2)[1]
    if name == "data":
        few = re.compile(r" -n (\d+)")
        return few.sub(lambda given: f" -n {min(int(given[1]), MOST_SEQUENCES)}", command)
    if name == "curve":
        return re.sub(r"--sizes [\d,]+,", "--sizes ", command) + " --max-epochs 1 --units 8"
    if name in {"doctor", "fit"}:
        given = [f"--{option.replace('_', '-')} {value}" for option, value in caps.items()]
        return " ".join([command, *given])
    return command


def run_in_this_process(command, monkeypatch):
    """Run a command, or the commands of a pipe one after the other; what is not Refold passes."""
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
