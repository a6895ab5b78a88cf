"""Connections to a cluster: addresses, and one line for each bad one."""

import pytest

from refold.cluster._connection import connected
from refold.errors import ClusterError, ParameterError

ray = pytest.importorskip("ray")


@pytest.mark.parametrize("on", ["", "somewhere", None])
def test_an_address_has_a_port(on):
    with pytest.raises(ParameterError, match=r"on must be an address .* Got"), connected(on):
        pass


@pytest.mark.parametrize("on", ["127.0.0.1:1", "ray://127.0.0.1:1", "auto"])
def test_an_address_answers(on, monkeypatch):
    if ray.is_initialized():
        pytest.skip("the cluster of other tests is connected")
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    message = r"No Ray cluster answers at '.*127\.0\.0\.1:1'"
    with pytest.raises(ClusterError, match=message), connected(on):
        pass
