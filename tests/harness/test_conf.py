"""The configuration: every experiment composes and builds, and a wrong value is refused by its name and its rule."""

import json
from dataclasses import fields, replace
from pathlib import Path

import pytest
from hydra.errors import HydraException

from harness import build
from harness.backends.engine_side import with_engine_side
from harness.backends.vllm_settings import VllmServerSettings
from harness.calibration import draft_calibration
from harness.experiment import check_cells
from harness.jobs import jobs_of, servers_of_arms
from harness.replay.rendering import HarmonyRenderer, HermesRenderer
from harness.replay.trajectories import RecordedTrajectory, RecordedTurn, TrajectorySet, write_trajectories
from harness.schema import Config, DraftKind, DraftPlace, Speculation, TaskSource
from precall.calls import ToolCall
from precall.errors import ConfigError
from tests.harness.configs import CONF, EXPERIMENTS, SCALES, cells_of, compose, config_of, write_corrupt_trajectories

TOP_LEVEL_KEYS = [
    "experiment",
    "model",
    "draft",
    "backend",
    "workload",
    "agent",
    "speculation",
    "latency",
    "prices",
    "tracker",
    "scale",
    "jobs",
    "grid",
    "seed",
    "output",
]
# BFCL has 200 multi-turn tasks, and there are 8 repositories and 30 problems and questions of ours.
TOO_LARGE = {
    ("multi_turn", "paper"): "num_tasks is 1024; it must be between 1 and 200",
    ("swe_replay", "paper"): "trajectories for 8 tasks .* asks for 32",
    ("reasoning_replay", "paper"): "trajectories for 30 tasks .* asks for 96",
}


@pytest.fixture
def key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the environment hold the key of a commercial endpoint."""
    monkeypatch.setenv("OPENAI_API_KEY", "secret")


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_composes_and_builds_at_every_scale(
    name: str, scale: str, tmp_path: Path, request: pytest.FixtureRequest, key: None
) -> None:
    cells = cells_of(f"experiment={name}", f"scale={scale}", f"output={tmp_path}")
    config = cells[0].config
    if config.draft.place is DraftPlace.dedicated:
        request.getfixturevalue("gpus")
    if config.workload.source is TaskSource.swe_local:
        request.getfixturevalue("sandbox_here")
    assert (config.experiment, config.scale.name) == (name, scale)
    assert len(cells) % config.scale.num_blocks == 0
    if (name, scale) in TOO_LARGE:
        with pytest.raises(ConfigError, match=TOO_LARGE[name, scale]):
            check_cells(cells)
        return
    check_cells(cells)
    assert build.target_server(config).name == "target"
    for cell in cells:
        tasks = build.tasks_of(cell.config, f"block {cell.block}")
        agent = cell.config.agent
        assert len({task.task_id for task in tasks}) == agent.num_agents * agent.tasks_per_agent
    if config.model.is_replay and config.draft.kind is DraftKind.model:
        assert build.draft_servers(draft_calibration(config).config)[0].model != build.target_server(config).model
    if config.model.is_replay:
        assert set(build.trajectories_of(config, tasks)) == {task.task_id for task in tasks}
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", EXPERIMENTS)
def test_every_experiment_begins_with_its_own_command(name: str) -> None:
    lines = (CONF / "experiment" / f"{name}.yaml").read_text().splitlines()
    assert lines[0] == "# @package _global_"
    assert lines[1] == f"# python -m harness.run experiment={name}"
    assert lines[2].startswith("# "), "the third line says what the experiment is for"


def test_the_command_alone_runs_figure_1() -> None:
    assert compose().experiment == "fig1"


def test_the_top_level_keys_are_these() -> None:
    assert [field.name for field in fields(Config)] == TOP_LEVEL_KEYS
    assert sorted(compose()) == sorted(TOP_LEVEL_KEYS)


def test_a_draft_that_is_measured_alone_needs_no_second_gpu(gpus: None) -> None:
    (draft,) = build.draft_servers(draft_calibration(config_of("experiment=fig1")).config)
    assert isinstance(draft, VllmServerSettings)
    assert (draft.name, draft.gpu_ids) == ("draft", (0,))
    (job,) = jobs_of(cells_of("experiment=fig1"))
    assert job.num_gpus == 1


def test_the_dedicated_drafts_get_a_gpu_each_beside_the_targets(gpus: None) -> None:
    config = config_of("experiment=fig1_paper")
    servers = [build.target_server(config), *build.draft_servers(config)]
    assert [server.gpu_ids for server in servers] == [(0,), (1,), (2,), (3,)]
    assert [server.name for server in servers] == ["target", "draft0", "draft1", "draft2"]


@pytest.mark.parametrize(
    ("override", "named"),
    [
        ("latncy.mean_g=1", ["latncy.mean_g", "latncy"]),
        ("latency.mean=1", ["latency.mean", "LatencyConfig"]),
        ("model=gpt5", ["model/gpt5", "replay_tiny"]),
        ("experiment=fig9", ["experiment/fig9", "fig1_paper"]),
        ("draft.place=moon", ["moon", "elsewhere"]),
        ("agent.num_agents=many", ["many", "agent.num_agents"]),
    ],
)
def test_composing_refuses_what_the_schema_does_not_know(override: str, named: list[str]) -> None:
    with pytest.raises(HydraException) as refused:
        compose(override)
    text = f"{refused.value} {refused.value.__cause__}"
    assert [word for word in named if word not in text] == []


LIVE = ("model.is_replay=false", "draft.model.is_replay=false")


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["latency.mean_g=-1.0"], r"latency\.mean_g is -1\.0; it must be 0 or more"),
        (["latency.mean_g=null", "latency.mean_s=-2"], r"latency\.mean_s is -2\.0; it must be 0 or more"),
        (["latency.relative_std=-0.5"], r"latency\.relative_std is -0\.5; it must be 0 or more"),
        (["latency.mean_g=nan"], r"latency\.mean_g is nan; it must be 0 or more"),
        (["latency.mean_s=1"], r"mean_s is 1\.0 and latency\.mean_g is 0\.5; exactly one"),
        (["latency.mean_g=null"], r"mean_s is None and latency\.mean_g is None; exactly one"),
        (["agent.num_agents=0"], r"agent\.num_agents is 0; it must be at least 1"),
        (["agent.tasks_per_agent=0"], r"agent\.tasks_per_agent is 0; it must be at least 1"),
        (["agent.max_turns=0"], r"agent\.max_turns is 0; it must be at least 1"),
        (["scale.num_blocks=0"], r"scale\.num_blocks is 0; it must be at least 1"),
        (["draft.num_samples=0"], r"draft\.num_samples is 0; it must be at least 1"),
        (["draft.num_replicas=0"], r"draft\.num_replicas is 0; it must be at least 1"),
        (["speculation.max_executions_per_turn=0"], r"max_executions_per_turn is 0; it must be at least 1"),
        (["agent.max_turns=${scale.no_such}"], r"scale\.no_such"),
        (["model.name=???"], r"model\.name has no value"),
        ([*LIVE], r"draft\.place is elsewhere and model replay_tiny is live"),
        (["experiment=colocated", LIVE[0]], r"model\.is_replay is False and draft\.model\.is_replay is True"),
        (["experiment=colocated", *LIVE, "draft.num_samples=2"], r"num_samples is 2 at draft\.model\.temperature 0"),
        (
            ["experiment=fig1", "draft.place=given_to_target"],
            r"place is given_to_target, speculation\.mode is client .* Use speculation=off and backend=vllm_baseline",
        ),
        (
            ["experiment=target_hardware", "backend=external", "backend.url=http://a/v1"],
            r"place is given_to_target, .* backend\.kind is external; the target can have the draft's hardware only",
        ),
        (["backend=external"], r"backend\.url is empty"),
        (["speculation=engine"], r"vllm_baseline has no tool cache: .* Use backend=vllm_resident, or"),
        (
            ["backend=external", "backend.is_residency=true"],
            r"is_residency is True, .* backend\.kind is external; only",
        ),
        (["backend.num_speculative_tokens=0"], r"backend\.num_speculative_tokens is 0; it must be at least 1"),
        (
            ["backend.max_retries=1"],
            r"max_retries is 1 and backend\.kind is vllm; servers that the harness starts must",
        ),
        (["+grid={latency.mena_g:[1.0]}"], r"grid\.latency\.mena_g: 1\.0 cannot be set"),
        (["+grid={workload.hit_rate:[]}"], r"grid\.workload\.hit_rate is \[\]; it must be a list of at least one"),
        (["+grid={workload.hit_rate:0.5}"], r"grid\.workload\.hit_rate is 0\.5; it must be a list"),
        (["+grid={agent.num_agents:[2,0]}"], r"agent\.num_agents is 0; it must be at least 1"),
        (["workload=pocket"], r"model replay_tiny replays and workload\.trajectories is null; .*workload=pocket"),
        (["+grid={workload.hit_rate:[0.5,0.5]}"], r"grid\.workload\.hit_rate is \[0\.5, 0\.5\], with a value twice"),
    ],
)
def test_expanding_refuses_a_value_outside_its_rule(overrides: list[str], text: str) -> None:
    # wrong_draft varies nothing but the draft's place, so its grid does not set again what is set here.
    has_experiment = overrides[0].startswith("experiment=")
    with pytest.raises(ConfigError, match=text):
        cells_of(*([] if has_experiment else ["experiment=wrong_draft"]), *overrides)


@pytest.mark.parametrize(
    ("overrides", "text"),
    [
        (["workload.hit_rate=1.5"], r"workload\.hit_rate is 1\.5; it must be in \[0, 1\]"),
        (["workload.categories=[simple_python,moon]"], r"categories names 'moon'; .*simple_python"),
        (["scale.num_agents=5000"], r"num_tasks is 5000; it must be between 1 and"),
        (["latency.kind=uniform"], r"latency\.kind is 'uniform'; it must be one of none, constant, normal, lognormal"),
        (["backend.platform=cuda"], r"backend\.platform is cuda; this environment holds vLLM for cpu"),
        (["draft.place=dedicated"], r"draft\.place is dedicated, which needs GPUs"),
        (["model.tiny=null"], r"model replay_tiny has neither a path nor a tiny architecture"),
        (["draft.model.tiny=null"], r"model replay_tiny_draft has neither a path nor a tiny architecture"),
        (["backend.kv_cache_gib=0"], r"target\.kv_cache_gib is 0; it must be at least 1"),
        (["backend=external", "backend.url=nowhere"], r"target\.url is 'nowhere'"),
        (["backend=external", "backend.url=http://a/v1"], r"backend\.draft_url is empty"),
        (["backend.target_port=70000"], r"port of the target server is 70000; it must be in"),
        (["model.temperature=3"], r"temperature is 3\.0; it must be in \[0, 2\]"),
        (["draft.model.max_tokens=0"], r"max_tokens is 0; it must be at least 1"),
        (["agent.max_turns=1"], r"agent\.max_turns is 1; .* has a user turn of 2 turns"),
        (["workload.trajectories=/nowhere/a.jsonl"], r"The trajectory file /nowhere/a\.jsonl cannot be read"),
    ],
)
def test_a_check_before_the_start_refuses_what_cannot_be_built(overrides: list[str], text: str, tmp_path: Path) -> None:
    cells = cells_of("experiment=colocated", "draft=elsewhere", "scale=smoke", f"output={tmp_path}", *overrides)
    with pytest.raises(ConfigError, match=text):
        check_cells(cells)


def test_a_model_that_the_hub_does_not_have_is_refused_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    from transformers import AutoConfig

    def refuse(path: str) -> None:
        raise OSError(f"{path} is not a local folder and is not a valid model identifier\nmore")

    monkeypatch.setattr(AutoConfig, "from_pretrained", refuse)
    config = config_of("model.tiny=null", "model.path=nobody/nothing")
    with pytest.raises(ConfigError, match=r"'nobody/nothing'.* is not a local folder .*\. Check the name|model=replay"):
        build.target_server(config)


def test_a_pocket_workload_draws_from_the_held_out_split_and_finds_its_tasks_again(tmp_path: Path) -> None:
    config = config_of("workload=pocket", "draft=colocated", *LIVE, "agent.num_agents=2", "agent.tasks_per_agent=3")
    tasks = build.tasks_of(config, "block 0")
    assert len(tasks) == 6
    assert all(task.task_id.startswith("pocket_held_out_") for task in tasks)
    assert build.tasks_of(config, "block 1") != tasks, "each block has tasks of its own"
    answer = RecordedTurn(user_turn=0, reasoning="", content="Yes.", calls=(), draft_samples=())
    recorded = [RecordedTrajectory(task_id=task.task_id, turns=(answer,)) for task in tasks]
    file = tmp_path / "pocket.jsonl"
    write_trajectories(file, TrajectorySet(origin="recorded", description="by hand", trajectories=tuple(recorded)))
    replayed = config_of(
        "workload=pocket", f"workload.trajectories={file}", "agent.num_agents=2", "agent.tasks_per_agent=3"
    )
    assert sorted(build.tasks_of(replayed, "block 0"), key=lambda task: task.task_id) == sorted(
        tasks, key=lambda task: task.task_id
    )


def test_a_folder_without_a_model_is_refused(tmp_path: Path) -> None:
    config = config_of("model.tiny=null", f"model.path={tmp_path}")
    with pytest.raises(ConfigError, match=r"has no config\.json"):
        build.target_server(config)


def test_a_corrupt_trajectory_file_is_refused_with_file_and_line(tmp_path: Path) -> None:
    file = write_corrupt_trajectories(tmp_path)
    cells = cells_of("experiment=colocated", f"workload.trajectories={file}", f"output={tmp_path}")
    with pytest.raises(ConfigError, match=r"corrupt\.jsonl:3: this line is not JSON"):
        check_cells(cells)


def test_a_latency_in_multiples_of_G_needs_a_baseline_that_calls_tools() -> None:
    config = config_of("experiment=colocated")
    assert build.latency_of(config, G_s=0.5).mean_s == 0.5
    with pytest.raises(ConfigError, match=r"latency\.mean_g is 1\.0, a multiple of G, and there is no G"):
        build.latency_of(config, G_s=None)


def test_a_latency_in_seconds_needs_no_G() -> None:
    config = config_of("experiment=wrong_draft", "latency.mean_g=null", "latency.mean_s=2", "latency.relative_std=0.25")
    latency = build.latency_of(config, G_s=None)
    assert (latency.mean_s, latency.std_s) == (2.0, 0.5)


def test_speculation_off_asks_for_no_draft(tmp_path: Path) -> None:
    cells = cells_of("experiment=colocated", "speculation=off", "backend=external", "backend.url=http://a/v1")
    assert cells[0].config.speculation.mode is Speculation.off
    check_cells(cells)


def test_a_control_token_in_a_recorded_text_is_refused_before_any_server(tmp_path: Path) -> None:
    turn = RecordedTurn(user_turn=0, reasoning="", content="a <tool_call> b", calls=(), draft_samples=((),))
    recorded = RecordedTrajectory(task_id="simple_python_1", turns=(turn,))
    file = tmp_path / "recorded.jsonl"
    write_trajectories(file, TrajectorySet(origin="recorded", description="", trajectories=(recorded,)))
    one_task = ("agent.num_agents=1", "agent.tasks_per_agent=1", f"output={tmp_path}/out")
    cells = cells_of("experiment=fig1", "scale=smoke", f"workload.trajectories={file}", *one_task)
    with pytest.raises(ConfigError, match="control token"):
        check_cells(cells)


def test_the_engine_side_has_a_server_of_its_own_beside_the_baselines(gpus: None) -> None:
    config = config_of("experiment=engine", "backend.platform=cuda", "backend.is_prefix_caching=false")
    servers = servers_of_arms(config)
    (base,), (spec,) = servers["base"], servers["spec"]
    assert isinstance(base, VllmServerSettings) and isinstance(spec, VllmServerSettings)
    assert (base.name, base.entry_module, base.extra_args) == ("target", "vllm.entrypoints.openai.api_server", ())
    assert (spec.name, spec.entry_module) == ("resident", "precall.engine.serve")
    assert spec.extra_args == ("--additional-config.precall.residency", "true")
    assert replace(spec, name=base.name, entry_module=base.entry_module, extra_args=()) == base


def test_drafting_is_off_by_default_and_switches_on_the_proposer_alone() -> None:
    o2 = ("experiment=engine", "backend.is_residency=false", "backend.is_drafting=true")
    spec = build.speculative_target_server(config_of(*o2, "backend.num_speculative_tokens=8"))
    assert isinstance(spec, VllmServerSettings)
    residency, off, option, speculative, *extension = spec.extra_args
    assert (residency, off, option) == ("--additional-config.precall.residency", "false", "--speculative-config")
    replayed = "harness.replay.proposer.ReplayToolProposer"
    assert json.loads(speculative) == {"method": "custom_class", "model": replayed, "num_speculative_tokens": 8}
    assert extension == ["--worker-extension-cls", "precall.engine.proposer.ToolProposerExtension"]
    assert spec.logits_processors == ()
    live = with_engine_side(replace(spec, extra_args=()), is_residency=True, num_speculative_tokens=4)
    assert json.loads(live.extra_args[3])["model"] == "precall.engine.proposer.ToolProposer"


def test_the_treatments_target_has_the_hardware_of_a_draft_that_there_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(build, "split_cores", lambda: ((0, 1), (2, 3)))
    servers = servers_of_arms(config_of("experiment=target_hardware"))
    (base,), (spec,) = servers["base"], servers["spec"]
    assert isinstance(base, VllmServerSettings) and isinstance(spec, VllmServerSettings)
    assert (base.cores, spec.cores) == ((0, 1), (0, 1, 2, 3))
    assert replace(spec, name=base.name, cores=base.cores) == base


def test_on_gpus_that_hardware_are_the_replicas_gpus(gpus: None) -> None:
    servers = servers_of_arms(config_of("experiment=target_hardware", "backend.platform=cuda", "draft.num_replicas=3"))
    (base,), (spec,) = servers["base"], servers["spec"]
    assert isinstance(base, VllmServerSettings) and isinstance(spec, VllmServerSettings)
    assert (base.gpu_ids, spec.gpu_ids) == ((0,), (0, 1, 2, 3))


def test_client_side_arms_share_one_server() -> None:
    servers = servers_of_arms(config_of("experiment=colocated"))
    assert servers["base"] == servers["spec"] and len(servers["base"]) == 2


def test_the_tool_call_parser_says_how_recorded_turns_are_rendered() -> None:
    assert isinstance(build.renderer_of(config_of().model), HermesRenderer)
    assert isinstance(build.renderer_of(config_of("model=replay_tiny_gpt_oss").model), HarmonyRenderer)
    with pytest.raises(ConfigError, match=r"tool_call_parser is 'xlam' in replay_tiny.*hermes and openai"):
        build.renderer_of(config_of("model.tool_call_parser=xlam").model)


def test_turns_with_several_calls_are_refused_for_gpt_oss_before_any_server() -> None:
    calls = (ToolCall(name="f", arguments="{}"), ToolCall(name="g", arguments="{}"))
    turn = RecordedTurn(user_turn=0, reasoning="", content="", calls=calls)
    config = config_of("model=replay_tiny_gpt_oss")
    with pytest.raises(ConfigError, match=r"2 calls \(f, g\); in harmony form a turn ends with its first"):
        build.check_rendering(config, {"1": RecordedTrajectory(task_id="1", turns=(turn,))})


def test_a_key_that_is_missing_is_found_before_anything_starts(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    with pytest.raises(ConfigError, match=r"api_key_variable is OPENAI_API_KEY; the environment must hold a key"):
        check_cells(cells_of("experiment=gpt_5", "scale=smoke", f"output={tmp_path}"))


def test_the_commercial_pair_is_asked_by_its_names_with_the_parameters_of_reasoning_models(key: None) -> None:
    config = config_of("experiment=gpt_5")
    target, (draft,) = build.target_server(config), build.draft_servers(config)
    assert (target.model, draft.model) == ("gpt-5", "gpt-5-nano")
    assert target.retries.max_retries == draft.retries.max_retries == 5
    sent = build.sampling_of(config.draft.model, config.seed).to_openai()
    assert sent == {"max_completion_tokens": 1024, "reasoning_effort": "minimal", "seed": config.seed}


def test_the_draft_of_another_endpoint_is_not_sent_the_targets_key(key: None, monkeypatch: pytest.MonkeyPatch) -> None:
    overrides = ("backend.draft_url=http://draft.example/v1", "backend.draft_api_key_env=DRAFT_KEY")
    monkeypatch.setenv("DRAFT_KEY", "other")
    (draft,) = build.draft_servers(config_of("experiment=gpt_5", *overrides))
    assert draft.api_key == "other"
    (draft,) = build.draft_servers(config_of("experiment=gpt_5", overrides[0], "backend.draft_api_key_env=''"))
    assert draft.api_key == "EMPTY"


def test_a_cap_without_a_price_is_refused(key: None, tmp_path: Path) -> None:
    cells = cells_of("experiment=gpt_5", "scale=smoke", "draft.model.path=another", f"output={tmp_path}")
    with pytest.raises(ConfigError, match=r"max_draft_usd is 1\.0 and prices openai_2025_11 have none of another"):
        check_cells(cells)
