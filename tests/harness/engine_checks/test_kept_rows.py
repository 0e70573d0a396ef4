"""Rows of finished blocks outlive an interruption, and never mix with those of other code."""

from harness.engine_checks.kept_rows import KeptRows, digest_of_sources

KEY = {"setting": "kv_block_32", "block": 0}


def test_a_finished_block_is_found_after_a_restart(tmp_path):
    KeptRows("bench", tmp_path, "a").add(KEY, [{"arm": "o3", "wall_s": 1.5}])
    again = KeptRows("bench", tmp_path, "a")
    assert again.find({"block": 0, "setting": "kv_block_32"}) == [{"arm": "o3", "wall_s": 1.5}]
    assert again.find({**KEY, "block": 1}) is None
    assert len(again) == 1


def test_rows_of_other_code_are_not_found(tmp_path):
    KeptRows("bench", tmp_path, "a").add(KEY, [{"arm": "o3"}])
    assert KeptRows("bench", tmp_path, "b").find(KEY) is None
    assert KeptRows("bench", tmp_path, "a").find(KEY) is None, "the file was begun anew"


def test_a_line_that_was_cut_off_is_measured_again(tmp_path):
    kept = KeptRows("bench", tmp_path, "a")
    kept.add(KEY, [{"arm": "o3"}])
    kept.add({**KEY, "block": 1}, [{"arm": "o3"}])
    kept.path.write_text(kept.path.read_text()[:-9])
    again = KeptRows("bench", tmp_path, "a")
    assert again.find(KEY) is not None
    assert again.find({**KEY, "block": 1}) is None
    again.add({**KEY, "block": 1}, [{"arm": "o3"}])
    assert len(KeptRows("bench", tmp_path, "a")) == 2


def test_a_result_leaves_no_rows_behind(tmp_path):
    kept = KeptRows("bench", tmp_path, "a")
    kept.drop()
    assert not list(tmp_path.iterdir())


def test_the_digest_of_sources_is_stable():
    assert digest_of_sources() == digest_of_sources()
