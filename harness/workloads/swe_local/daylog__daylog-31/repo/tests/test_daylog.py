from datetime import date, timezone

import pytest

from daylog import busiest_day, count_by_day, parse_line, parse_offset, read_entries
from daylog.__main__ import main

LOG = """
# a comment
2024-03-01T10:00:00Z INFO started
2024-03-01T11:00:00Z ERROR it broke
2024-03-03T09:00:00Z INFO started again
"""


def entries(level="DEBUG"):
    return list(read_entries(LOG.splitlines(), level))


def test_days_without_entries_are_counted_as_zero():
    counts = count_by_day(entries(), timezone.utc)
    assert counts == {date(2024, 3, 1): 2, date(2024, 3, 2): 0, date(2024, 3, 3): 1}


def test_levels_below_the_least_are_left_out():
    assert [entry.text for entry in entries("WARNING")] == ["it broke"]


def test_a_moment_without_a_zone_is_the_readers_own():
    entry = parse_line("2024-03-01T23:30:00 INFO late")
    assert count_by_day([entry], parse_offset("+05:00")) == {date(2024, 3, 1): 1}


def test_the_busiest_day_is_the_earliest_of_several():
    assert busiest_day(entries()[1:], timezone.utc) == (date(2024, 3, 1), 1)


@pytest.mark.parametrize("text", ["", "1", "01:00", "+1:00", "UTC"])
def test_what_is_no_offset_is_refused(text):
    with pytest.raises(ValueError):
        parse_offset(text)


def test_the_command_prints_a_line_per_day(tmp_path, capsys):
    file = tmp_path / "a.log"
    file.write_text(LOG)
    assert main([str(file)]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "busiest: 2024-03-01 with 2"
