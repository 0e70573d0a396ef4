"""The command line, the environment and the cores of a vLLM server, without starting vLLM."""

import os
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from harness.backends import vllm_server
from harness.backends.cores import bind, bound_cores
from harness.backends.vllm_server import VllmServer, VllmServerSettings, command, computing_processes, environment
from precall.errors import ConfigError

CPU = VllmServerSettings(name="target", model="org/model", served_model_name="target", platform="cpu", kv_cache_gib=2)
CUDA = VllmServerSettings(name="target", model="org/model", served_model_name="target", platform="cuda")


def test_the_command_on_cpu():
    assert command(CPU, 8123) == [
        *(sys.executable, "-m", "vllm.entrypoints.openai.api_server", "--host", "127.0.0.1", "--port", "8123"),
        *("--model", "org/model", "--served-model-name", "target"),
        *("--dtype", "auto", "--load-format", "auto", "--seed", "0"),
        *("--max-model-len", "8192", "--max-num-seqs", "32"),
        *("--enable-prefix-caching", "--disable-uvicorn-access-log", "--enable-logging-iteration-details"),
        *("--enable-auto-tool-choice", "--tool-call-parser", "hermes"),
        *("--enforce-eager", "--distributed-executor-backend", "uni"),
    ]


def test_the_command_on_cuda_is_not_eager_and_sizes_the_cache_itself():
    line = command(replace(CUDA, kv_cache_gib=2, gpu_ids=(1, 3)), 8123)
    assert "--enforce-eager" not in line and "--distributed-executor-backend" not in line
    assert line[-4:] == ["--kv-cache-memory-bytes", "2147483648", "--tensor-parallel-size", "2"]


def test_one_gpu_needs_no_tensor_parallelism():
    assert "--tensor-parallel-size" not in command(replace(CUDA, gpu_ids=(1,)), 8123)


def test_optional_settings_enter_the_command_and_extra_args_come_last():
    line = command(
        replace(
            CUDA,
            tool_call_parser=None,
            reasoning_parser="qwen3",
            chat_template="t.jinja",
            logits_processors=("a.b:C", "d.e:F"),
            enable_prefix_caching=False,
            extra_args=("--max-num-seqs", "4"),
        ),
        8123,
    )
    tail = ["--reasoning-parser", "qwen3", "--chat-template", "t.jinja", "--logits-processors", "a.b:C", "d.e:F"]
    assert line[-9:] == [*tail, "--max-num-seqs", "4"]
    assert "--no-enable-prefix-caching" in line and "--enable-auto-tool-choice" not in line


def test_a_prompt_that_is_computed_whole_fits_into_one_step_whatever_its_length():
    for max_model_len, num_tokens in ((1024, "2048"), (4096, "4096")):
        line = command(replace(CPU, max_model_len=max_model_len, is_prefill_whole=True), 8123)
        place = line.index("--no-enable-chunked-prefill")
        assert line[place + 1 : place + 3] == ["--max-num-batched-tokens", num_tokens]
    assert "--no-enable-chunked-prefill" not in command(CPU, 8123)


def test_another_entry_module_can_be_run():
    assert command(replace(CPU, entry_module="precall.engine.serve"), 8123)[1:3] == ["-m", "precall.engine.serve"]


def test_the_environment_on_cpu():
    assert environment(replace(CPU, cores=(0, 2))) == {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_USE_V2_MODEL_RUNNER": "0",
        "VLLM_PLUGINS": "precall_steps",
        "VLLM_CPU_KVCACHE_SPACE": "2",
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        "OMP_WAIT_POLICY": "PASSIVE",
        "OMP_NUM_THREADS": "2",
        "VLLM_CPU_OMP_THREADS_BIND": "0,2",
    }


def test_the_environment_on_cuda(monkeypatch):
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert environment(replace(CUDA, gpu_ids=(1, 3))) == {
        "VLLM_NO_USAGE_STATS": "1",
        "DO_NOT_TRACK": "1",
        "VLLM_USE_V2_MODEL_RUNNER": "0",
        "VLLM_PLUGINS": "precall_steps",
        "CUDA_VISIBLE_DEVICES": "1,3",
    }


def test_gpus_are_counted_among_those_that_a_cluster_has_given_us(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "4,5,GPU-6a,7")
    assert environment(replace(CUDA, gpu_ids=(0, 2)))["CUDA_VISIBLE_DEVICES"] == "4,GPU-6a"
    with pytest.raises(ConfigError, match=r"gpu_ids is \(3, 4\) and CUDA_VISIBLE_DEVICES is '4,5,GPU-6a,7'; .* 5 GPUs"):
        environment(replace(CUDA, gpu_ids=(3, 4)))


def test_vllm_chooses_the_gpu_and_the_threads_when_nobody_else_does():
    assert "CUDA_VISIBLE_DEVICES" not in environment(CUDA)
    assert "OMP_NUM_THREADS" not in environment(CPU)


def test_a_model_in_a_folder_is_not_looked_up_on_the_hub(tmp_path):
    assert environment(replace(CPU, model=str(tmp_path)))["HF_HUB_OFFLINE"] == "1"
    assert "HF_HUB_OFFLINE" not in environment(CPU)


def test_variables_given_by_the_user_win():
    assert environment(replace(CUDA, env=(("VLLM_USE_V2_MODEL_RUNNER", "1"),)))["VLLM_USE_V2_MODEL_RUNNER"] == "1"


@pytest.mark.parametrize(
    ("settings", "changes", "message"),
    [
        (CPU, {"platform": "tpu"}, r"target\.platform is 'tpu'; it must be 'cpu' or 'cuda'"),
        (CPU, {"model": ""}, r"target\.model is empty"),
        (CPU, {"max_num_seqs": 0}, r"target\.max_num_seqs is 0; it must be > 0"),
        (CPU, {"start_timeout_s": 0.0}, r"target\.start_timeout_s is 0\.0; it must be > 0"),
        (CPU, {"kv_cache_gib": None}, r"target\.kv_cache_gib is None; it must be given on cpu"),
        (CPU, {"kv_cache_gib": 0}, r"target\.kv_cache_gib is 0; it must be at least 1"),
        (CPU, {"niceness": 20}, r"target\.niceness is 20; it must be from 0 to 19"),
        (CPU, {"gpu_ids": (0,)}, r"target\.gpu_ids is \(0,\) and platform is cpu; gpu_ids is for cuda only"),
        (CUDA, {"cores": (0,)}, r"target\.cores is \(0,\) and platform is cuda; cores is for cpu only"),
    ],
)
def test_a_setting_outside_its_rule_is_refused(settings, changes, message):
    with pytest.raises(ConfigError, match=message):
        replace(settings, **changes)


def test_cores_that_the_machine_does_not_have_are_refused(tmp_path):
    with pytest.raises(ConfigError, match=r"target\.api_cores is \(4096,\); each must be a core that this process may"):
        VllmServer(replace(CPU, api_cores=(4096,)), log_folder=tmp_path)


def test_a_server_whose_plugin_vllm_would_not_find_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(vllm_server, "PLUGIN", "no_such_plugin")
    with pytest.raises(ConfigError, match=r"no_such_plugin of vllm\.stat_logger_plugins is missing; precall must be"):
        VllmServer(CPU, log_folder=tmp_path)


def test_workers_compute_where_there_are_some_and_else_the_engine_core_does():
    api, engine_core, worker = {1: "python -m vllm"}, {2: "VLLM::EngineCore"}, {3: "VLLM::Worker_TP0"}
    assert computing_processes(api | engine_core | worker) == [3]
    assert computing_processes(api | engine_core) == [2]
    assert computing_processes(api) == []


async def test_the_engine_core_and_the_api_process_end_up_on_their_cores(tmp_path):
    allowed = sorted(os.sched_getaffinity(0))
    if len(allowed) < 2:
        pytest.skip("needs two cores")
    # A stand-in package: vllm's entry module, which starts a child with vLLM's title for the engine core.
    api_server = tmp_path / "stand_in.py"
    fake_server = str(Path(__file__).with_name("fake_server.py"))
    api_server.write_text(
        "import subprocess, sys, runpy\n"
        "subprocess.Popen(['VLLM::EngineCore', '-c', 'import time; time.sleep(60)'], executable=sys.executable)\n"
        f"sys.argv = ['fake', '--port', sys.argv[4]]\nrunpy.run_path({fake_server!r}, run_name='__main__')\n"
    )
    settings = replace(
        CPU, entry_module="stand_in", cores=(allowed[0],), api_cores=(allowed[1],), env=(("PYTHONPATH", str(tmp_path)),)
    )
    async with VllmServer(settings, log_folder=tmp_path) as server:
        assert server.base_url.endswith("/v1")
        supervisor, api, engine_core = server.tree()
        assert set(bound_cores(supervisor.pid).values()) == {(allowed[1],)}
        assert set(bound_cores(api.pid).values()) == {(allowed[1],)}
        assert set(bound_cores(engine_core.pid).values()) == {(allowed[0],)}


def test_binding_a_process_that_has_gone_does_nothing():
    gone = 2**22 + 1
    before = os.sched_getaffinity(0)
    bind(gone, (min(before),))
    assert os.sched_getaffinity(0) == before
    assert not Path(f"/proc/{gone}").exists()
