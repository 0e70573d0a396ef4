"""Turns and tasks of the evaluation's tests, made by hand."""

from collections.abc import Sequence

from agents.task import Task
from agents.trajectory import Status, Trajectory
from harness.pocket.evaluation.asking import LiveTask
from harness.pocket.evaluation.scoring import DraftedTurn, Fault, TurnScore
from harness.pocket.functions import TaskState
from harness.pocket.tools import Toolbox
from harness.pocket.world import Kind, PocketTask, PocketTurn
from precall.calls import Observation, ToolCall
from precall.stream import Generation
from precall.turn import Turn

TOOLBOX = Toolbox(
    names=("weather_now", "weather_forecast", "convert"), state=TaskState(files=(), archive=(), events=())
)
TOOLS = {tool.name: tool for tool in TOOLBOX()}

OSLO = ToolCall(name="weather_now", arguments='{"city": "Oslo"}', call_id="call_0")
ROME = ToolCall(name="weather_now", arguments='{"city": "Rome"}', call_id="call_1")
FORECAST = ToolCall(name="weather_forecast", arguments='{"city": "Oslo", "day": "Monday"}')
MALFORMED = ToolCall(name="weather_now", arguments='{"city": "Os')
UNKNOWN = ToolCall(name="wether_now", arguments='{"city": "Oslo"}')


def calling(*calls: ToolCall) -> PocketTurn:
    return PocketTurn(reasoning="", calls=calls, observations=("sunny",) * len(calls))


def answering(answer: str) -> PocketTurn:
    return PocketTurn(reasoning="", content=answer)


def task_of(*turns: PocketTurn, task_id: str = "t", kind: Kind = "single") -> PocketTask:
    task = Task(task_id=task_id, user_turns=(({"role": "user", "content": "Weather?"},),), make_tools=TOOLBOX)
    return PocketTask(task=task, kind=kind, turns=turns)


def generation(*calls: ToolCall, content: str = "") -> Generation:
    return Generation(
        content=content,
        reasoning="",
        tool_calls=calls,
        finish_reason="tool_calls" if calls else "stop",
        sent_s=0.0,
        first_token_s=None,
        finished_s=1.0,
    )


def live(
    *turns: Sequence[ToolCall] | str, task: PocketTask | None = None, status: Status = Status.FINISHED
) -> LiveTask:
    """A trajectory of turns that are calls, each observed as "sunny", or an answer."""
    task = task or task_of(calling(OSLO), answering("It is sunny."))
    taken = []
    for index, turn in enumerate(turns):
        calls = () if isinstance(turn, str) else tuple(turn)
        content = turn if isinstance(turn, str) else ""
        observations = tuple(Observation(content="sunny") for _ in calls)
        taken.append(Turn(index=index, generation=generation(*calls, content=content), observations=observations))
    trajectory = Trajectory(
        trajectory_id=task.task.task_id,
        task_id=task.task.task_id,
        status=status,
        turns=tuple(taken),
        user_turn_of=(0,) * len(taken),
        started_s=0.0,
        finished_s=1.0,
        error="the server said no" if status is Status.FAILED else None,
    )
    return LiveTask(task=task, trajectory=trajectory)


def score(task_id: str, fault: Fault | None = None, *, is_call_due: bool = True, kind: Kind = "single") -> TurnScore:
    return TurnScore(task_id=task_id, kind=kind, turn=0, is_call_due=is_call_due, fault=fault)


def drafted(
    *calls: ToolCall,
    greedy: Sequence[ToolCall] = (),
    sampled: Sequence[Sequence[ToolCall]] = (),
    task_id: str = "t",
    kind: Kind = "single",
) -> DraftedTurn:
    """A turn with predictions; of the nine samples those that are not given predict nothing."""
    samples = [*sampled, *([()] * (9 - len(sampled)))]
    return DraftedTurn(task_id=task_id, kind=kind, calls=calls, tools=TOOLS, greedy=[greedy], sampled=samples)
