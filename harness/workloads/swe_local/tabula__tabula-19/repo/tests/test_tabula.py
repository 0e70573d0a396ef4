import pytest

from tabula import Dialect, dumps, format_row, loads, parse


def test_plain_rows_come_back():
    rows = [{"id": "1", "name": "Anna"}, {"id": "2", "name": "Bo"}]
    assert dumps(rows) == "id,name\r\n1,Anna\r\n2,Bo\r\n"
    assert loads(dumps(rows)) == rows


def test_a_field_with_the_delimiter_is_quoted():
    assert format_row(["a,b", "c"]) == '"a,b",c\r\n'
    assert format_row(["a,b", "c;d"], Dialect(delimiter=";")) == 'a,b;"c;d"\r\n'


def test_a_missing_value_is_empty_and_a_lone_one_is_quoted():
    assert format_row([1, None, 2.5]) == "1,,2.5\r\n"
    assert format_row([""]) == '""\r\n'


def test_the_reader_knows_quotes_in_quotes_and_line_breaks():
    assert list(parse('a,"b ""c"" d"\r\n"e\nf",g\n')) == [["a", 'b "c" d'], ["e\nf", "g"]]


def test_blanks_around_a_field_count_inside_quotes_only():
    assert list(parse(' a , " b " \n')) == [["a", " b "]]


@pytest.mark.parametrize("text", ['"a', '"a"b,c\n'])
def test_broken_quotes_are_refused(text):
    with pytest.raises(ValueError):
        list(parse(text))


def test_unknown_columns_and_short_rows_are_refused():
    with pytest.raises(ValueError, match="row 1 has the unknown column 'b'"):
        dumps([{"a": 1, "b": 2}], columns=["a"])
    with pytest.raises(ValueError, match="row 1 has 1 fields"):
        loads("a,b\n1\n")
