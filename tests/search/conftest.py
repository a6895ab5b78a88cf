"""A fitted model and an index of its codes; tests copy the index before they change it."""

import shutil

import pytest

from refold import SequenceAutoencoder, Sequences
from refold.search import Index
from small_data import TINY, draw_ragged_sequences


@pytest.fixture(scope="session")
def ae():
    return SequenceAutoencoder(**TINY).fit(draw_ragged_sequences())


@pytest.fixture(scope="session")
def sequences():
    return Sequences.from_list(draw_ragged_sequences(), ids=[f"s{i}" for i in range(24)])


@pytest.fixture(scope="session")
def shared_index_path(ae, sequences, tmp_path_factory):
    path = tmp_path_factory.mktemp("index") / "made.index"
    metadata = {"site": ["north", "it's"] * 12, "year": [2000 + i for i in range(24)]}
    Index.create(path, ae, sequences, metadata=metadata)
    return path


@pytest.fixture
def index_path(shared_index_path, tmp_path):
    shutil.copy(shared_index_path, tmp_path / "copy.index")
    return tmp_path / "copy.index"
