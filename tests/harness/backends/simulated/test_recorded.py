"""Scripts of simulated models from built trajectories."""

import json

from harness import build
from harness.backends.simulated.recorded import MESSAGE_TOKENS, script_of
from tests.harness.configs import config_of


def test_a_script_has_the_tokens_that_a_replay_would_force_and_the_calls_among_them():
    config = config_of("experiment=fig1", "scale=smoke", "backend=simulated")
    task = build.tasks_of(config, "block 0")[0]
    trajectory = build.trajectories_of(config, [task])[task.task_id]
    renderer = build.renderer_of(config.model)
    script = script_of(task, trajectory, renderer, renderer)
    assert [turn.num_tokens for turn in script.turns] == [len(renderer.target_tokens(t)) for t in trajectory.turns]
    call, answer = script.turns
    call_text = f'\n{{"name": {json.dumps(call.calls[0].name)}, "arguments": {call.calls[0].arguments}}}\n'
    # The tags around the call and the end of the turn belong to it.
    assert call.num_call_tokens == renderer.num_tokens(call_text) + 3
    assert (answer.num_call_tokens, answer.calls) == (0, ())
    for said, samples in zip(script.turns, trajectory.turns, strict=True):
        assert [sample.calls for sample in said.samples] == list(samples.draft_samples)


def test_the_prompt_of_a_turn_is_the_history_before_it():
    config = config_of("experiment=fig1", "scale=smoke", "backend=simulated")
    task = build.tasks_of(config, "block 0")[0]
    trajectory = build.trajectories_of(config, [task])[task.task_id]
    renderer = build.renderer_of(config.model)
    script = script_of(task, trajectory, renderer, None)
    first = list(task.user_turns[0])
    history = [*first, {"role": "assistant", "content": ""}, {"role": "tool", "content": "It is sunny."}]
    prompt, generated, result = script.path(history)
    assert script.path(first) == (prompt,)
    assert generated.num_tokens == script.turns[0].num_tokens
    assert result.num_tokens == renderer.num_tokens("It is sunny.") + MESSAGE_TOKENS
    assert len({prompt.key, generated.key, result.key}) == 3
