"""Connections to a cluster: addresses, and one line for each bad one."""

import pytest

from refold.cluster._connection import connected
from refold.errors import ParameterError

ray = pytest.importorskip("ray")


@pytest.mark.parametrize("on", ["", "somewhere", None])
def test_an_address_has_a_port(on):
    with pytest.raises(ParameterError, match=r"on must be an address .* Got"), connected(on):
        pass
