"""What the tests of the wire share."""

import pytest

from tests.unit import rpc_harness


@pytest.fixture
def rpc_transport(transport: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """Has the servers of a test served by each transport in turn; whole modules use it."""
    monkeypatch.setattr(rpc_harness, "transport", transport)
    return transport
