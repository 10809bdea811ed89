"""The fixture `server`: providers that this machine plays; see download_server.py."""

from collections.abc import Iterator

import pytest
from download_server import Server, running

from bulkformer.sources import transfer


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A server without any page; new attempts follow after hundredths of a second."""
    for name in ["no_proxy", "NO_PROXY"]:
        monkeypatch.setenv(name, "127.0.0.1")
    monkeypatch.setattr(transfer, "DELAYS", [0.01, 0.01])
    with running() as server:
        yield server
