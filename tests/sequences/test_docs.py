import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[2] / "docs" / "sequences.md"
SNIPPETS = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("snippet", SNIPPETS)
def test_snippets_run_as_they_stand(snippet):
    exec(compile(snippet, str(PAGE), "exec"), {})  # noqa: S102


def test_there_are_snippets():
    assert len(SNIPPETS) >= 6
