"""What the program comes with."""

DEFAULTS = {
    "debug": False,
    "mail": {"host": "localhost", "port": 25, "tls": {"enabled": False, "ciphers": ["a", "b"]}},
    "cache": {"size": 128, "ttl_s": 60.0},
}
