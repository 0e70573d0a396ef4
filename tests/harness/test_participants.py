"""Who is asked for what: names, keys and cache salts."""

from dataclasses import replace

import pytest

from harness.backends.external_server import ExternalServer, ExternalServerSettings
from harness.participants import cache_salt_of, client_of
from precall.rate_limits import RateLimits
from precall.retries import RetryPolicy
from tests.harness.configs import config_of


def external(model: str, variable: str | None = None) -> ExternalServer:
    settings = ExternalServerSettings(name="target", url="http://a.example/v1/", model=model, api_key_variable=variable)
    return ExternalServer(settings)


def test_somebody_elses_server_is_asked_by_its_own_name_for_the_model_and_with_its_key(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("THEIR_KEY", "secret")
    client = client_of(external("org/model", "THEIR_KEY"), config_of().model)
    assert (client.model, client.base_url) == ("org/model", "http://a.example/v1")
    assert client._openai.api_key == "secret"


def test_requests_to_it_are_repeated_and_held_back_as_its_settings_say() -> None:
    settings = replace(
        external("m").settings, retries=RetryPolicy(max_retries=2), limits=RateLimits(requests_per_minute=9)
    )
    client = client_of(ExternalServer(settings), config_of().model)
    assert client._retries.max_retries == 2
    assert client._limiter is not None and client._limiter._limits.requests_per_minute == 9


def test_a_server_without_keys_gets_a_key_that_stands_for_none() -> None:
    assert client_of(external("m"), config_of().model)._openai.api_key == "EMPTY"


def test_every_run_and_task_has_a_salt_of_its_own_in_characters_that_vllm_takes() -> None:
    salts = [cache_salt_of(*parts) for parts in (("out/a/base-1", "t"), ("out/a/base-2", "t"), ("out/a/base-1", "u"))]
    assert len(set(salts)) == 3
    assert all(salt.isalnum() and len(salt) == 32 for salt in salts)
    assert cache_salt_of("out/a/base-1", "t") == salts[0]
