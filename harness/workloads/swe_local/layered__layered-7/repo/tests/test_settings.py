import pytest

from layered import Settings, loads, merge


def test_a_top_level_value_is_overridden():
    assert Settings({"debug": True}).get("debug") is True
    assert Settings().get("debug") is False


def test_missing_values_have_a_default():
    assert Settings(defaults={}).get("a.b", 3) == 3


def test_tables_on_the_way_are_made():
    settings = Settings(defaults={})
    settings.set("a.b.c", 1)
    assert settings.get("a.b") == {"c": 1}
    assert settings.changes() == {"a.b.c": 1}


def test_a_value_is_no_table():
    settings = Settings(defaults={"a": 1})
    with pytest.raises(TypeError):
        settings.set("a.b", 2)


def test_merge_lets_the_upper_layer_win():
    assert merge({"a": {"x": 1, "y": 2}}, {"a": {"y": 3}}) == {"a": {"x": 1, "y": 3}}


def test_text_is_read_into_tables():
    assert loads('debug = true\n[mail]\nhost = "a"\nport = 26') == {"debug": True, "mail": {"host": "a", "port": 26}}


def test_a_line_that_is_nothing_is_named():
    with pytest.raises(ValueError, match="line 2"):
        loads("a = 1\nb")
