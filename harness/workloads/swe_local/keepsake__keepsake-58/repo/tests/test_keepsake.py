import pytest

from keepsake import Info, keep


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_a_second_call_is_a_hit():
    calls = []

    @keep()
    def double(x):
        calls.append(x)
        return 2 * x

    assert (double(3), double(3), double(4)) == (6, 6, 8)
    assert calls == [3, 4]
    assert double.info() == Info(hits=1, misses=2, size=2)


def test_the_form_of_a_call_does_not_count():
    calls = []

    @keep()
    def add(a, b=1):
        calls.append((a, b))
        return a + b

    assert {add(1), add(a=1), add(1, 1), add(b=1, a=1)} == {2}
    assert calls == [(1, 1)]


def test_lists_and_dictionaries_are_arguments_like_others():
    calls = []

    @keep()
    def total(values, weights=None):
        calls.append(list(values))
        return sum(values)

    assert (total([1, 2]), total([1, 2]), total([1, 2], {"a": 1}), total([1, 2], {"a": 1})) == (3, 3, 3, 3)
    assert calls == [[1, 2], [1, 2]]


def test_the_least_recently_used_result_is_forgotten_first():
    @keep(max_size=2)
    def same(x):
        return x

    for x in (1, 2, 1, 3, 1, 2):
        same(x)
    assert same.info() == Info(hits=2, misses=4, size=2)


def test_what_is_too_old_is_forgotten():
    clock = Clock()

    @keep(ttl_s=10.0, clock=clock)
    def same(x):
        return x

    same(1)
    clock.now = 10.0
    same(1)
    assert same.info().misses == 2


def test_an_error_is_not_kept():
    @keep()
    def fail(x):
        raise KeyError(x)

    for _ in range(2):
        with pytest.raises(KeyError):
            fail(1)
    assert fail.info().size == 0
