import pytest

from pagekit import ELLIPSIS, EmptyPage, InvalidPage, Paginator, elided_range


def test_a_last_page_that_is_not_full():
    paginator = Paginator(list("abcdefg"), 3)
    assert paginator.num_pages == 3
    assert list(paginator.page(3).items) == ["g"]
    assert not paginator.page(3).has_next


def test_indexes_count_from_one():
    page = Paginator(list("abcdefg"), 3).page(2)
    assert (page.start_index, page.end_index) == (4, 6)


def test_nothing_is_one_empty_page_unless_that_is_not_allowed():
    assert Paginator([], 3).num_pages == 1
    assert len(Paginator([], 3).page(1)) == 0
    assert Paginator([], 3, allow_empty=False).num_pages == 0


@pytest.mark.parametrize("number", ["x", None, ""])
def test_what_is_no_number_is_refused(number):
    with pytest.raises(InvalidPage):
        Paginator(list("abc"), 2).page(number)


def test_a_number_out_of_range_is_refused_or_clipped():
    paginator = Paginator(list("abc"), 2)
    with pytest.raises(EmptyPage):
        paginator.page(0)
    assert paginator.get_page(99).number == 2
    assert paginator.get_page("x").number == 1


def test_a_long_footer_is_elided():
    paginator = Paginator(range(101), 2)
    assert list(elided_range(paginator, 1, on_each_side=1, on_ends=1)) == [1, 2, ELLIPSIS, 51]
