"""The settings of the servers, and folders that are refused before one starts."""

import shutil
from pathlib import Path

import pytest

from harness import build
from harness.pocket.evaluation.servers import server_settings
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


def test_a_folder_that_is_not_there_is_refused(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"pocket has no config\.json; it is not a model's folder"):
        server_settings(TARGET, tmp_path)


def test_a_folder_whose_weights_are_cut_off_is_refused(folder: Path):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1])
    with pytest.raises(ConfigError, match=r"model\.safetensors is \d+ bytes long; its header asks for \d+"):
        server_settings(TARGET, folder.parent)
