"""The errors of the library.

PrecallError
├── ConfigError (ValueError)         a setting that a user can correct
├── MalformedCallError (ValueError)  a tool call whose arguments are not one JSON object
├── ToolCacheError (ValueError)      a request to the tool cache that the engine side refuses
├── ForkError (RuntimeError)         a fork that cannot be made or committed; the call is run without one
│   └── StaleForkError               the state has changed since the fork was made
└── BackendError (RuntimeError)      a model endpoint that failed; it ends the trajectory
"""


class PrecallError(Exception):
    """Root of every error that the library raises on purpose."""


class ConfigError(PrecallError, ValueError):
    """A setting is outside its rule. The message names the setting, its value, the rule and the remedy."""


class MalformedCallError(PrecallError, ValueError):
    """A model wrote a tool call whose arguments are not one JSON object."""


class ToolCacheError(PrecallError, ValueError):
    """The engine side refuses a request; `status` is the HTTP status of its answer (table in docs/tool-cache.md)."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class ForkError(PrecallError, RuntimeError):
    """A fork could not be made or committed. The state is as it was; a confirmed call is run without a fork."""


class StaleForkError(ForkError):
    """The state has changed since the fork was made, so that its observation may be wrong and is not used."""


class BackendError(PrecallError, RuntimeError):
    """A model endpoint refused, failed or broke off; the trajectory cannot go on."""
