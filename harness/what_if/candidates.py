"""The drafts among which `what-if` chooses: typed on the command line, or the one of the run."""

from dataclasses import dataclass, fields
from math import isfinite

from precall.errors import ConfigError

OF_THE_RUN = "run"
SHARES = ("alpha", "rho")
POSITIVE = ("servers",)


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """A draft: seconds of one sample (g) and what each further one adds (`per_sample_s`), the call acceptance rate of
    one (alpha) and how alike samples are (rho); tokens of a sample, dollars per million generated and input tokens, and
    servers that each serve one turn at a time (None: never a queue). None is not known; the draft of a run takes g,
    alpha, rho and tokens from the run."""

    name: str
    g: float | None = None
    alpha: float | None = None
    rho: float | None = None
    per_sample_s: float = 0.0
    tokens: float | None = None
    dollars_per_mtok: float | None = None
    dollars_per_prompt_mtok: float | None = None
    servers: float | None = None


def parse(text: str) -> Candidate:
    """Return the draft of `NAME:key=number,...`. Raises ConfigError, which names what is wrong."""
    name, _, rest = text.partition(":")
    known = [field.name for field in fields(Candidate) if field.name != "name"]
    values: dict[str, float] = {}
    for part in filter(None, rest.split(",")):
        key, _, number = part.partition("=")
        if key not in known:
            raise ConfigError(f"--draft {text}: {key} is no property of a draft; there are {', '.join(known)}.")
        if key in values:
            raise ConfigError(f"--draft {text}: {key} is there twice; each must stand there once.")
        values[key] = _number(text, key, number)
    if not name:
        raise ConfigError(f"--draft {text}: the name is missing; write --draft NAME:g=0.3,alpha=0.6.")
    if name != OF_THE_RUN and (missing := [key for key in ("g", "alpha") if key not in values]):
        raise ConfigError(f"--draft {text}: {' and '.join(missing)} is missing; write --draft NAME:g=0.3,alpha=0.6.")
    return Candidate(name=name, **values)


def _number(text: str, key: str, number: str) -> float:
    try:
        value = float(number)
    except ValueError as error:
        raise ConfigError(f"--draft {text}: {key} is {number!r}; it must be a number.") from error
    if key in SHARES and not 0.0 <= value <= 1.0:
        raise ConfigError(f"--draft {text}: {key} is {number}; it must lie between 0 and 1.")
    if key in POSITIVE and (value < 1 or not value.is_integer()):
        raise ConfigError(f"--draft {text}: {key} is {number}; it must be a whole number of at least 1.")
    if value < 0.0 or not isfinite(value):
        raise ConfigError(f"--draft {text}: {key} is {number}; it must be 0 or more, and finite.")
    return value
