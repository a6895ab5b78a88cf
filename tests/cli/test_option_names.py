import pytest

from refold.cli._option_names import with_options


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("Name one with id=; its columns are a.", "Name one with --id; its columns are a."),
        ("Leave id=, columns=.", "Leave --id, --columns."),
        ("use architecture='default'.", "use --architecture default."),
        ("windows of it, refold.sequences.windows([x], 100).", "windows of it, --window 100."),
        (
            "or pass column_types={'page': 'categorical'}.",
            "or pass --column-types page=categorical.",
        ),
        ("latent_dim must be positive. Got 0.", "--latent-dim must be positive. Got 0."),
        ("Sequences.from_table(table, id=...)", "Sequences.from_table(table, id=...)"),
        ("column 'id=' is there", "column 'id=' is there"),
        ("grid=2", "grid=2"),
        ("data/id=5/p.parquet is damaged.", "data/id=5/p.parquet is damaged."),
        ("time=2024-01-02/p.parquet: id=1.5/q", "time=2024-01-02/p.parquet: id=1.5/q"),
        ("Sort the table, or pass sort=True.", "Sort the table, or pass --sort."),
        ("Fit with alpha=0.2.", "Fit with --alpha 0.2."),
    ],
)
def test_arguments_become_options(message, expected):
    assert with_options(message) == expected
