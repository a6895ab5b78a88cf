"""`missing_values` of the estimator and `--missing`, in the fit and in all uses of the model."""

import pickle

import numpy as np
import pytest

import refold
from refold import SequenceAutoencoder
from refold.cli import main
from refold.errors import ParameterError
from refold.sequences import write
from small_data import fit_without_training

FIT = ["--latent-dim", "2", "--units", "4", "--max-epochs", "1", "--latent-steps", "0"]
FIT += ["--no-refit", "-q"]


def data(marker, seed=0):
    """Return noisy sines in which some values are replaced."""
    sines = refold.datasets.noisy_sines(30, seed=seed)
    values = sines.values.copy()
    values[[3, 100, 401]] = marker
    return sines.with_values(values)


def test_a_number_for_missing_values_acts_like_nan_and_the_model_remembers_it(tmp_path):
    fitted = fit_without_training(data(-99999), missing_values=[-99999])
    codes = fitted.transform(data(-99999))
    np.testing.assert_array_equal(codes, fit_without_training(data(np.nan)).transform(data(np.nan)))
    assert fitted.score(data(-99999)) == fitted.score(data(np.nan))
    fitted.save(tmp_path / "m.refold")
    loaded = SequenceAutoencoder.load(tmp_path / "m.refold")
    assert loaded.missing_values == [-99999]
    copied = pickle.loads(pickle.dumps(fitted))  # noqa: S301
    for ae in (loaded, copied):
        np.testing.assert_array_equal(ae.transform(data(-99999)), codes)
    inputs = [loaded.encoder_inputs(data(marker)) for marker in (-99999, np.nan)]
    np.testing.assert_array_equal(*inputs)
    loaded.calibrate(data(-99999, seed=1))
    detections = [loaded.detect(data(marker, seed=2), alpha=0.1) for marker in (-99999, np.nan)]
    np.testing.assert_array_equal(*(detection.p_values for detection in detections))
    with pytest.raises(ParameterError, match=r"must be a finite number .* Got 'none'"):
        SequenceAutoencoder(missing_values="none").fit([[1.0, 2.0]])


@pytest.mark.usefixtures("skip_epochs")
def test_the_command_line_has_the_option_and_warns_without_it(tmp_path, capsys):
    write(data(-99999), tmp_path / "data.csv")
    fit = ["fit", str(tmp_path / "data.csv"), "-o", str(tmp_path / "m.refold"), *FIT]
    assert main([*fit, "--missing", "-99999,-9999", "--missing", "1e20"]) == 0
    assert capsys.readouterr().err == ""
    assert refold.load(tmp_path / "m.refold").schema.missing == (-99999, -9999, 1e20)
    assert main([*fit, "--missing", "1,,2"]) == 2
    assert "--missing" in capsys.readouterr().err
    assert main(fit) == 0
    assert "pass --missing -99999." in capsys.readouterr().err
