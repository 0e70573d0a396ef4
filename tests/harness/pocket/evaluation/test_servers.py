"""The settings of the servers, and folders that are refused before one starts."""

import shutil
from pathlib import Path

import pytest

from harness import build
from harness.pocket.evaluation.servers import check_folder, server_settings
from harness.pocket.export import SUMS
from harness.pocket.family import FAMILY, TARGET
from precall.errors import ConfigError
from tests.harness.pocket import tiny


@pytest.fixture(scope="module")
def exported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny.exported(tmp_path_factory.mktemp("models") / "pocket")


@pytest.fixture
def folder(exported: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(exported, tmp_path / "pocket"))


def test_a_target_reasons_and_has_the_compute_cores_while_a_draft_has_the_others(
    folder: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(build, "installed_platform", lambda: "cpu")
    monkeypatch.setattr(build, "split_cores", lambda: ((0, 1), (2, 3)))
    shutil.copytree(folder, folder.with_name("pocket_s"))
    target, draft = (server_settings(FAMILY[name], folder.parent) for name in ("pocket", "pocket_s"))
    assert (target.reasoning_parser, target.cores, target.api_cores) == ("qwen3", (0, 1), (2, 3))
    assert (draft.reasoning_parser, draft.cores, draft.api_cores) == (None, (2,), (2, 3))
    assert (target.tool_call_parser, draft.tool_call_parser) == ("hermes", "hermes")
    assert (target.model, draft.served_model_name) == (str(folder), "pocket_s")


def test_a_folder_that_is_not_there_says_how_to_train_it(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"pocket holds no SHA256SUMS.*make pocket-models ARGS='--models pocket'"):
        server_settings(TARGET, tmp_path)


@pytest.mark.parametrize("name", ["model.safetensors", "chat_template.jinja", "config.json"])
def test_a_file_that_is_not_as_it_was_exported_is_named(folder: Path, name: str):
    check_folder(folder)
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(content[:-1])
    with pytest.raises(ConfigError, match=rf"is not as exported: {name}; each file must have its sum in {SUMS}"):
        check_folder(folder)
    (folder / name).unlink()
    with pytest.raises(ConfigError, match=rf"is not as exported: {name};"):
        check_folder(folder)
