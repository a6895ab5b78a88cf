"""Reserved column names of file formats, and the message about loading Keras."""

import pytest

from refold.cli._files_and_streams import data_formats
from refold.cli._saved_models import check_feature_names, loading
from refold.errors import SchemaError
from refold.sequences import as_sequences, write

NUMBERS = [[[1.0, 2.5], [3.0, 4.5]], [[5.5, 6.0]]]


@pytest.mark.parametrize("suffix", [name for name in data_formats() if name != "txt"])
@pytest.mark.parametrize("name", ["id", "time", "level"])
def test_column_names_are_refused_if_the_format_cannot_write_them(tmp_path, name, suffix):
    sequences = as_sequences(NUMBERS, names=[name, "other"])
    path = tmp_path / f"back.{suffix}"
    try:
        write(sequences, path)
    except SchemaError:
        with pytest.raises(SchemaError, match=rf"column '{name}', and a \.{suffix} file.*\.npz"):
            check_feature_names(sequences.schema, suffix)
    else:
        check_feature_names(sequences.schema, suffix)
        assert path.exists()


@pytest.mark.parametrize("quiet", [False, True])
def test_loading_keras_is_shown_on_a_terminal(monkeypatch, capsys, quiet):
    monkeypatch.setenv("FORCE_COLOR", "1")
    with loading(quiet=quiet):
        pass
    assert ("loading Keras and JAX" in capsys.readouterr().err) != quiet


def test_loading_keras_is_not_shown_in_a_file(monkeypatch, capsys):
    monkeypatch.delenv("FORCE_COLOR", raising=False)
    with loading(quiet=False):
        pass
    assert not capsys.readouterr().err.strip()
