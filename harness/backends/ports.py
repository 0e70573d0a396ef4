"""Ports on the loopback address for the servers that the harness starts."""

import socket

from precall.errors import ConfigError

HOST = "127.0.0.1"
"""Servers of the harness listen here and nowhere else."""


def free_port() -> int:
    """Return a port that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def check_port(name: str, port: int) -> None:
    """Raise ConfigError unless a server can listen on `port`. `name` is the server's, for the message."""
    remedy = "Choose another port, or leave the port out to have a free one chosen."
    if not 1 <= port <= 65535:
        raise ConfigError(f"port of the {name} server is {port}; it must be in [1, 65535]. {remedy}")
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            reason = error.strerror
            raise ConfigError(f"port of the {name} server is {port}; it must be free ({reason}). {remedy}") from error
