import itertools
import random

import pytest

from again import Backoff, GaveUp, RetryAfter, retry


def failing(times, error):
    left = [times]

    def function():
        if left[0]:
            left[0] -= 1
            raise error
        return "done"

    return function


def test_waits_double_up_to_the_limit():
    waits = itertools.islice(Backoff(first_s=1.0, max_s=5.0).waits(), 5)
    assert list(waits) == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_jitter_only_shortens():
    backoff = Backoff(first_s=1.0, factor=1.0, jitter=0.5, generator=random.Random(1))
    waits = list(itertools.islice(backoff.waits(), 200))
    assert all(0.5 <= wait <= 1.0 for wait in waits)
    assert max(waits) - min(waits) > 0.4


def test_it_is_called_until_it_does_not_fail():
    slept = []
    assert retry(failing(2, OSError("no")), sleep=slept.append, backoff=Backoff(first_s=1.0)) == "done"
    assert slept == [1.0, 2.0]


def test_the_last_attempt_gives_up():
    with pytest.raises(GaveUp) as caught:
        retry(failing(9, OSError("no")), attempts=3, sleep=lambda s: None)
    assert (caught.value.attempts, caught.value.waited_s) == (3, 1.5)
    assert isinstance(caught.value.__cause__, OSError)


def test_another_error_comes_out_at_once():
    with pytest.raises(KeyError):
        retry(failing(1, KeyError("no")), sleep=lambda s: None)


def test_a_server_that_says_when_is_listened_to():
    slept = []
    retry(failing(2, RetryAfter(7.0)), sleep=slept.append, backoff=Backoff(max_s=5.0))
    assert slept == [5.0, 5.0]


@pytest.mark.parametrize("settings", [{"first_s": 0}, {"max_s": 0.1}, {"factor": 0.5}, {"jitter": 2}])
def test_settings_outside_their_rule_are_refused(settings):
    with pytest.raises(ValueError):
        Backoff(**settings)
