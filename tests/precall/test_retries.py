"""When a failed request is sent again, and after how long."""

import email.utils
import time

import httpx
import openai
import pytest

from precall.errors import ConfigError
from precall.retries import RetryPolicy, retry_after_s

REQUEST = httpx.Request("POST", "http://127.0.0.1/v1/chat/completions")
POLICY = RetryPolicy(max_retries=5)


def refused(status, body=None, **headers):
    response = httpx.Response(status, headers=headers, request=REQUEST)
    return openai.APIStatusError("no", response=response, body=body)


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_an_endpoint_that_is_busy_or_broken_is_asked_again(status):
    assert POLICY.delay_s(0, refused(status)) is not None


@pytest.mark.parametrize("status", [400, 401, 403, 404, 413, 422])
def test_a_request_that_is_at_fault_is_not_repeated(status):
    assert POLICY.delay_s(0, refused(status)) is None


@pytest.mark.parametrize(
    "error",
    [
        openai.APIConnectionError(request=REQUEST),
        openai.APITimeoutError(REQUEST),
        httpx.RemoteProtocolError("peer closed connection"),
        ConnectionResetError(),
        openai.APIError("overloaded", REQUEST, body={"type": "server_error", "code": "server_error"}),
        openai.APIError("overloaded", REQUEST, body={"code": 503}),
        None,
    ],
)
def test_a_connection_or_stream_that_fails_is_tried_again(error):
    assert POLICY.delay_s(0, error) is not None


@pytest.mark.parametrize(
    "error", [ValueError("no JSON"), openai.APIError("x", REQUEST, body={"code": "invalid_prompt"})]
)
def test_an_answer_that_makes_no_sense_is_not_asked_for_again(error):
    assert POLICY.delay_s(0, error) is None


def test_a_quota_that_is_used_up_does_not_come_back():
    assert POLICY.delay_s(0, refused(429, {"code": "insufficient_quota"})) is None


def test_delays_double_up_to_their_limit_and_a_random_part_is_taken_off():
    policy = RetryPolicy(max_retries=100, first_delay_s=0.5, max_delay_s=8.0)
    for num_failed, full_s in enumerate([0.5, 1.0, 2.0, 4.0, 8.0, 8.0]):
        drawn_s = [policy.delay_s(num_failed, None) for _ in range(50)]
        assert all(0.75 * full_s <= each_s <= full_s for each_s in drawn_s)
        assert len(set(drawn_s)) > 1
    assert policy.delay_s(99, None) <= 8.0


def test_retries_end():
    policy = RetryPolicy(max_retries=2)
    assert [policy.delay_s(num_failed, None) is None for num_failed in range(3)] == [False, False, True]
    assert RetryPolicy().delay_s(0, None) is None


def test_the_endpoints_own_delay_is_kept_to_and_never_undercut():
    drawn_s = [POLICY.delay_s(0, refused(429, **{"retry-after": "20"})) for _ in range(50)]
    assert all(20.0 <= each_s <= 25.0 for each_s in drawn_s)


def test_one_that_asks_for_too_long_is_not_waited_for():
    assert POLICY.delay_s(0, refused(429, **{"retry-after": "3600"})) is None


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "-7"}, 0.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after-ms": "250", "retry-after": "1"}, 0.25),
        ({"retry-after-ms": "x", "retry-after": "1"}, 1.0),
    ],
)
def test_retry_after_is_read_as_a_number(headers, seconds):
    assert retry_after_s(headers) == seconds


def test_retry_after_is_read_as_a_date():
    date = email.utils.formatdate(time.time() + 100.0, usegmt=True)
    assert retry_after_s({"retry-after": date}) == pytest.approx(100.0, abs=5.0)


@pytest.mark.parametrize("name", ["max_retries", "first_delay_s", "max_delay_s", "max_retry_after_s"])
def test_a_setting_outside_its_rule_is_refused_and_named(name):
    with pytest.raises(ConfigError, match=f"{name} of a retry policy is -1; it must be 0 or more"):
        RetryPolicy(**{name: -1})
