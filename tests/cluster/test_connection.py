"""Connections to a cluster: addresses, and one line for each bad one."""

import pytest

from refold.cluster._connection import _check_answers, connected
from refold.errors import ClusterError, ParameterError

ray = pytest.importorskip("ray")


@pytest.mark.parametrize("on", ["", "somewhere", None])
def test_an_address_has_a_port(on):
    with pytest.raises(ParameterError, match=r"on must be an address .* Got"), connected(on):
        pass


@pytest.mark.parametrize("address", ["127.0.0.1:1", "ray://127.0.0.1:1"])
def test_an_address_answers(address):
    with pytest.raises(ClusterError, match=rf"No Ray cluster answers at '{address}' \(.*refused"):
        _check_answers(address)
