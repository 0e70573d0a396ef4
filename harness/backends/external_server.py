"""An OpenAI-compatible server that somebody else runs, given by its address."""

import os
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import httpx

from harness.backends.metrics_endpoint import scrape
from precall.errors import BackendError, ConfigError
from precall.events import now_s
from precall.rate_limits import RateLimits
from precall.retries import RetryPolicy

CHECK_INTERVAL_S = 10.0
"""How often it is asked at most whether it is alive: each time is a request that somebody else answers."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ExternalServerSettings:
    """Where the server is and what it is asked for.

    `url` is the address that chat clients take, usually ending in /v1. `model` is the name the server gives the model.
    `api_key_variable` names the environment variable that holds the key, so that no record of the settings does.
    `retries` and `limits` are for the chat clients.
    """

    name: str
    url: str
    model: str
    api_key_variable: str | None = None
    retries: RetryPolicy = field(default_factory=RetryPolicy)
    limits: RateLimits = field(default_factory=RateLimits)
    timeout_s: float = 10.0

    def __post_init__(self) -> None:
        try:
            address = httpx.URL(self.url)
        except httpx.InvalidURL:
            address = httpx.URL()
        if address.scheme not in ("http", "https") or not address.host:
            raise ConfigError(f"{self.name}.url is {self.url!r}; it must be like http://127.0.0.1:8000/v1.")
        if not self.model:
            raise ConfigError(f"{self.name}.model is empty; name one that the server at {self.url} serves.")
        if self.timeout_s <= 0:
            raise ConfigError(f"{self.name}.timeout_s is {self.timeout_s}; it must be > 0.")

    @property
    def api_key(self) -> str:
        """The key to send; what servers without keys ignore if there is none. Raises ConfigError if it is not set."""
        if self.api_key_variable is None:
            return "EMPTY"
        key = os.environ.get(self.api_key_variable)
        if not key:
            what = f"{self.name}.api_key_variable is {self.api_key_variable}"
            raise ConfigError(f"{what}; the environment must hold a key under that name. Export it, then start again.")
        return key


class ExternalServer:
    """Checks on entry that the server answers and serves the model; leaves it running on exit."""

    def __init__(self, settings: ExternalServerSettings) -> None:
        self.settings = settings
        # Once, not per check: it reads all certificates, which holds up the loop of a run by some 20 ms.
        self._tls = httpx.create_ssl_context()
        self._checked_s: float | None = None

    @property
    def base_url(self) -> str:
        return self.settings.url.rstrip("/")

    async def check_alive(self) -> None:
        """Raise BackendError if the server does not list its models, ConfigError if the asked one is not among them.
        Returns at once where it did within the last CHECK_INTERVAL_S."""
        if self._checked_s is not None and now_s() < self._checked_s + CHECK_INTERVAL_S:
            return
        served = await self._served_models()
        if self.settings.model not in served:
            what = f"{self.settings.name}.model is {self.settings.model!r}; {self.base_url} must serve it"
            raise ConfigError(f"{what}. It serves: {', '.join(served) or 'no model'}. Choose one of these.")
        self._checked_s = now_s()

    async def counters(self) -> dict[str, float]:
        return await scrape(self.base_url)

    def cpu_seconds(self) -> None:
        """Return None: the processes of the server cannot be seen from here."""
        return None

    async def __aenter__(self) -> Self:
        await self.check_alive()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        return None

    async def _served_models(self) -> list[str]:
        url = f"{self.base_url}/models"
        rule = "it must list its models as OpenAI's API does. Check that the server runs and that the url is its"
        headers = {"Authorization": f"Bearer {self.settings.api_key}"}
        try:
            async with httpx.AsyncClient(
                timeout=self.settings.timeout_s, follow_redirects=True, verify=self._tls
            ) as client:
                response = await client.get(url, headers=headers)
            if not response.is_success:
                raise BackendError(f"{url} answered with status {response.status_code}; {rule} address.")
            return [model["id"] for model in response.json()["data"]]
        except httpx.HTTPError as error:
            reason = str(error) or type(error).__name__
            raise BackendError(f"{url} failed ({reason}); {rule} address.") from error
        except (ValueError, KeyError, TypeError) as error:
            raise BackendError(f"{url} answered with something else than a list of models; {rule} address.") from error
