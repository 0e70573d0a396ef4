"""Ports for the servers that the harness starts."""

import socket

import pytest

from harness.backends.ports import check_port, free_port
from precall.errors import ConfigError


def test_free_port_gives_a_port_that_passes_the_check():
    check_port("target", free_port())


def test_a_port_in_use_is_refused_before_anything_starts(make_server, tmp_path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"port of the target server is {port}; it must be free"):
            make_server(port=port)
    assert not (tmp_path / "target.log").exists()


@pytest.mark.parametrize("port", [0, 65536])
def test_a_port_out_of_range_is_refused(make_server, port):
    with pytest.raises(ConfigError, match=f"is {port}; it must be in"):
        make_server(port=port)


async def test_a_given_port_is_used(make_server):
    port = free_port()
    async with make_server(port=port) as server:
        assert server.root_url == f"http://127.0.0.1:{port}"
