"""The command line: what a user got wrong ends it with status 2, a message without a traceback, and no server."""

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.harness.command_line import run_here, start
from tests.harness.configs import write_corrupt_trajectories


@pytest.fixture
def port_in_use() -> Iterator[int]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        yield other.getsockname()[1]


def test_bad_input_ends_a_process_with_status_2_and_one_message_before_any_server(
    tmp_path: Path, port_in_use: int
) -> None:
    file = write_corrupt_trajectories(tmp_path)
    expected = {
        "latncy.mean_g=1": "Could not override 'latncy.mean_g'",
        f"workload.trajectories={file}": f"Configuration: {file}:3: this line is not JSON",
        f"backend.target_port={port_in_use}": f"Configuration: port of the target server is {port_in_use}; it must be",
    }
    output = tmp_path / "out"
    running = {override: start(f"output={output}", "scale=smoke", override) for override in expected}
    for override, process in running.items():
        stdout, stderr = process.communicate(timeout=60.0)
        assert (process.returncode, stdout) == (2, ""), stderr
        assert stderr.startswith(expected[override])
        assert "Traceback" not in stderr
    assert not list(output.glob("*")), "neither logs nor cells"


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("latency.relative_std=-1", "Configuration: latency.relative_std is -1.0; it must be 0 or more"),
        ("workload.categories=[moon]", "Configuration: categories names 'moon'"),
        ("latency.kind=uniform", "Configuration: latency.kind is 'uniform'; it must be one of none, constant"),
        ("+grid={agent.num_agnts:[1]}", "Configuration: grid.agent.num_agnts: 1 cannot be set"),
        ("output=${no_such_key}", "Configuration: A value of the configuration refers to nothing"),
        ("model=gpt5", "In 'config': Could not find 'model/gpt5'"),
        ("seed=many", "Error merging override seed=many"),
    ],
)
def test_bad_input_ends_with_status_2_and_its_message(
    override: str, text: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    output = [] if override.startswith("output=") else [f"output={tmp_path / 'out'}"]
    assert run_here(*output, "scale=smoke", override, bench_folder=tmp_path / "bench") == 2
    captured = capfd.readouterr()
    assert captured.err.startswith(text)
    assert "Traceback" not in captured.err
    assert captured.out == ""
    assert not list(tmp_path.glob("out/*"))
    assert not (tmp_path / "bench").exists()


def test_a_model_that_nobody_has_ends_with_status_2(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import AutoConfig

    def refuse(path: str) -> None:
        raise OSError(f"{path} is no valid model identifier")

    monkeypatch.setattr(AutoConfig, "from_pretrained", refuse)
    overrides = ["model.tiny=null", "model.path=nobody/nothing", f"output={tmp_path / 'out'}"]
    assert run_here(*overrides, bench_folder=tmp_path / "bench") == 2
    assert capfd.readouterr().err.startswith("Configuration: model replay_tiny is 'nobody/nothing', which is no folder")
    assert not list(tmp_path.glob("out/*"))


def test_an_output_under_a_file_ends_with_status_2(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").write_text("")
    assert run_here(f"output={tmp_path / 'file' / 'out'}", bench_folder=tmp_path / "bench") == 2
    assert "nothing can be written there" in capfd.readouterr().err


def test_asking_for_help_or_for_the_configuration_is_no_error(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    assert run_here("--cfg", "job", bench_folder=tmp_path) == 0
    assert "mean_g" in capfd.readouterr().out
