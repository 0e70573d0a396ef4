"""Settings of the engine side: part of vLLM's own `--additional-config`, under the key `precall`.

On the command line: `--additional-config.precall.single_user true --additional-config.precall.max_entry_bytes 65536`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Self

from precall.errors import ConfigError

KEY = "precall"


@dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """What the tool cache may hold, and for whom.

    `single_user` allows requests and posts without a secret: whoever reaches the server may then post to them.
    An entry lives `default_ttl_s`, or its own keep_alive but at most `max_ttl_s`. An early post (its request has not
    arrived) is held for `early_ttl_s`, outside the other bounds on bytes. `num_remembered` finished responses are
    remembered, so that a post that comes too late gets the answer that says so.

    `residency` is O3. A response splices no more once it has generated `max_response_tokens`. A call announced as
    running is waited for `max_wait_s`. A spliced turn without a token for `stall_timeout_s` goes on as an ordinary
    request.
    """

    single_user: bool = False
    max_body_bytes: int = 4 * 2**20
    max_entry_bytes: int = 2**20
    max_entries_per_response: int = 64
    max_bytes_per_response: int = 8 * 2**20
    max_total_bytes: int = 256 * 2**20
    default_ttl_s: float = 60.0
    max_ttl_s: float = 600.0
    max_early_posts: int = 256
    max_early_bytes: int = 64 * 2**20
    early_ttl_s: float = 10.0
    num_remembered: int = 4096
    residency: bool = True
    max_response_tokens: int = 65536
    max_wait_s: float = 1.0
    stall_timeout_s: float = 30.0

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            is_right = type(value) is bool if field.type is bool else type(value) in (int, field.type)
            if not is_right:
                raise ConfigError(f"{KEY}.{field.name} is {value!r}; it must be of type {_type_name(field.type)}.")
            if field.type is not bool and not value > 0:
                raise ConfigError(f"{KEY}.{field.name} is {value}; it must be > 0.")
        if self.default_ttl_s > self.max_ttl_s:
            what = f"{KEY}.default_ttl_s is {self.default_ttl_s} and max_ttl_s is {self.max_ttl_s}"
            raise ConfigError(f"{what}; the default must not exceed the maximum.")

    @classmethod
    def from_additional_config(cls, additional_config: Any) -> Self:
        """Return the settings that stand in vLLM's additional config. Raises ConfigError on one that does not exist."""
        if not isinstance(additional_config, Mapping):
            return cls()
        given = additional_config.get(KEY, {})
        if not isinstance(given, Mapping):
            raise ConfigError(f"{KEY} in --additional-config is {given!r}; it must be an object of settings.")
        names = [field.name for field in fields(cls)]
        for name in given:
            if name not in names:
                raise ConfigError(f"{KEY}.{name} is not a setting; the settings are {', '.join(names)}.")
        return cls(**given)


def _type_name(kind: Any) -> str:
    return getattr(kind, "__name__", str(kind))
