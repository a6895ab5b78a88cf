"""Features of the sequences that are decoded from codes."""

import pickle
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest

import refold
from refold import SequenceAutoencoder
from refold.cli import main
from refold.errors import DataError, ParameterError
from refold.model._features import DecodedFeatures
from refold.models import build
from refold.network.keras.build import inference_with
from refold.network.keras.layer import seeded
from refold.network.specification import Specification
from small_data import ragged, untrained


@pytest.fixture(scope="module")
def fitted():
    rng = np.random.default_rng(1)
    mixed = [
        np.array([*zip(one[:, 0], rng.choice(["a", "b"], len(one)), strict=True)], dtype=object)
        for one in ragged()
    ]
    ae = untrained(mixed, scale="sequence")
    return ae, ae.encode(mixed)


def test_features_are_standardized_and_do_not_depend_on_other_codes(fitted):
    ae, codes = fitted
    features = ae.features(codes)
    assert features.shape == (
        24,
        1028,
    )  # the last two latent dimensions are statistics of the scale
    assert features.dtype == np.float32
    np.testing.assert_array_equal(ae.features(codes[[7, 3]]), features[[7, 3]])
    known = ae.features(ae.model_.require_reference().codes).astype(float)
    np.testing.assert_allclose(known.mean(axis=0), 0, atol=1e-5)
    spread = known.std(axis=0)
    assert set(np.round(spread, 4)) <= {0.0, 1.0}
    assert spread.mean() > 0.9


def test_a_saved_model_gives_the_same_features(fitted, tmp_path):
    ae, codes = fitted
    ae.save(tmp_path / "m.refold")
    loaded = refold.SequenceAutoencoder.load(tmp_path / "m.refold")
    np.testing.assert_array_equal(loaded.features(codes), ae.features(codes))
    unpickled = pickle.loads(pickle.dumps(ae))  # noqa: S301
    np.testing.assert_array_equal(unpickled.features(codes), ae.features(codes))


def test_empty_sequences_and_no_codes(fitted):
    ae, codes = fitted
    assert ae.features(codes[:0]).shape == (0, 1028)
    assert np.isfinite(ae.features(np.full((2, codes.shape[1]), -50, np.float32))).all()


@pytest.mark.parametrize(
    ("architecture", "types", "categories", "decoder"),
    [
        ("default", ["categorical"], [5], "autoregressive"),
        ("repeat", ["numeric", "numeric"], [0, 0], "parallel"),
    ],
)
def test_every_network_has_features(architecture, types, categories, decoder):
    sizes = (False, 3, 5, 8, 1, 0.0, 4.0, 1.0)
    specification = Specification(architecture, types, categories, *sizes, decoder=decoder)
    with seeded(0):
        network = inference_with(build(specification))
    codes = np.random.default_rng(0).normal(size=(9, 3)).astype(np.float32)
    found = DecodedFeatures(codes, network)(codes)
    assert found.shape == (9, 1026)
    assert np.isfinite(found).all()
    assert (found.std(axis=0) > 0.9).mean() > 0.5


def test_bad_input(fitted, tmp_path):
    ae, codes = fitted
    with pytest.raises(DataError, match=r"codes must have shape \(n_sequences, 5\)"):
        ae.features(codes[:, :3])
    replace(ae.model_, reference=None).save(tmp_path / "old.refold")
    with pytest.raises(ParameterError, match="needs codes of the training data"):
        refold.load(tmp_path / "old.refold").features(codes)
    with pytest.raises(refold.errors.NotFittedError):
        SequenceAutoencoder().features(codes)


@pytest.mark.parametrize("suffix", ["parquet", "npy"])
def test_the_command_writes_features(fitted, tmp_path, capsys, suffix):
    ae, _ = fitted
    ae.save(tmp_path / "m.refold")
    data = refold.sequences.Sequences.from_list(ae.decode(_codes(ae)), schema=ae.schema_)
    refold.sequences.write(data, tmp_path / "d.parquet")
    files = [str(tmp_path / name) for name in ("m.refold", "d.parquet", f"f.{suffix}")]
    assert main(["encode", *files[:2], "--features", "-o", files[2]]) == 0
    assert f"{len(data)} rows of features with 1028 dimensions" in capsys.readouterr().err
    if suffix == "npy":
        written = np.load(files[2])
    else:
        table = pq.read_table(files[2])
        assert table.column_names == ["id", "code"]
        written = np.stack(table["code"].to_numpy())
    np.testing.assert_array_equal(written, ae.features(ae.encode(data)))


def _codes(ae):
    return ae.model_.require_reference().codes[:24]
