"""Runs agents on simulated engines without an event loop: the turns of precall.turn as a few time stamps each.

It gives the times of the same agents on SimulatedServer (tests/harness/backends/simulated/test_quick.py holds them
together to a nanosecond) at a fraction of the cost, and nothing else: no events, no ledger. `make simulate` and the
calibration use it; an experiment runs the agents themselves.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from math import inf

from harness.backends.simulated.engine import BatchingEngine
from harness.backends.simulated.kv_cache import Segment
from harness.backends.simulated.rates import EngineModel
from harness.backends.simulated.sequence import HOLD, Goes, Hold
from harness.backends.simulated.sequence import Sequence as EngineSequence
from harness.backends.simulated.setting import Method, Setting
from harness.backends.simulated.work import TaskWork
from precall.tool_cache import ANNOUNCE_AFTER_S


@dataclass(frozen=True, slots=True, kw_only=True)
class QuickRun:
    """Seconds from the first request to the end of the last agent, seconds of each agent's tasks, the target's tokens;
    how many calls were confirmed, found launched, and executed by the engine."""

    wall_s: float
    agent_s: tuple[float, ...]
    num_tokens: int
    num_calls: int
    num_hits: int
    num_executed: int

    @property
    def throughput_tok_per_s(self) -> float:
        return self.num_tokens / self.wall_s


def run_quick(
    work: Sequence[Sequence[TaskWork]], setting: Setting, target: EngineModel, drafts: Sequence[EngineModel]
) -> QuickRun:
    """Run agent i through the tasks `work[i]`; it asks the draft replica i modulo their number."""
    world = _World(setting, target, drafts)
    agents = [_Agent(world, tasks, index) for index, tasks in enumerate(work)]
    for agent in agents:
        agent.start_task(0.0)
    world.run()
    return QuickRun(
        wall_s=max(agent.finished_s for agent in agents),
        agent_s=tuple(agent.finished_s for agent in agents),
        num_tokens=sum(turn.num_tokens for tasks in work for task in tasks for turn in task.turns),
        num_calls=sum(turn.num_call_tokens > 0 for tasks in work for task in tasks for turn in task.turns),
        num_hits=sum(agent.num_hits for agent in agents),
        num_executed=sum(agent.num_executed for agent in agents),
    )


class _World:
    def __init__(self, setting: Setting, target: EngineModel, drafts: Sequence[EngineModel]) -> None:
        self.setting = setting
        self.target = BatchingEngine(target.rates, target.limits)
        self.target_s = target.overhead_s
        speculates = setting.method is not Method.standard
        self.drafts = [BatchingEngine(draft.rates, draft.limits) for draft in drafts] if speculates else []
        self.draft_s = drafts[0].overhead_s if speculates else 0.0
        self._actions: list[tuple[float, int, Callable[[float], None]]] = []
        self._tie = count()

    def at(self, time_s: float, action: Callable[[float], None]) -> None:
        heappush(self._actions, (time_s, next(self._tie), action))

    def run(self) -> None:
        actions, engines = self._actions, [self.target, *self.drafts]
        while True:
            first = self.target
            for engine in engines:
                if engine.next_s < first.next_s:
                    first = engine
            if actions and actions[0][0] < first.next_s:
                time_s, _, action = heappop(actions)
                action(time_s)
            elif first.next_s < inf:
                first.advance()
            else:
                return


class _Agent:
    """One agent. The client's turn (`_turn`) follows the engine's (`_engine_turn`) by the overhead of a message."""

    __slots__ = (
        *("_world", "_draft", "_tasks", "_next_task", "_task", "_turn", "_engine_turn", "_paths", "_launched_s"),
        *("_drafting", "_is_reasoning", "finished_s", "num_hits", "num_executed"),
    )

    def __init__(self, world: _World, tasks: Sequence[TaskWork], index: int) -> None:
        self._world = world
        self._draft = world.drafts[index % len(world.drafts)] if world.drafts else None
        self._tasks = tasks
        self._next_task = 0
        self._drafting: EngineSequence | None = None
        self.finished_s = 0.0
        self.num_hits = self.num_executed = 0

    def start_task(self, now_s: float) -> None:
        self.finished_s = now_s
        if self._next_task == len(self._tasks):
            return
        self._task = self._tasks[self._next_task]
        self._next_task += 1
        self._turn = self._engine_turn = 0
        self._is_reasoning = False
        self._launched_s = [inf] * len(self._task.turns)
        path: tuple[Segment, ...] = (Segment(self._task.task_id, self._task.num_prompt_tokens),)
        self._paths: list[tuple[Segment, ...]] = [path]
        for index, turn in enumerate(self._task.turns[:-1]):
            generated = Segment(("generated", index), turn.num_tokens)
            path = (*path, generated, Segment(("result", index), turn.num_result_tokens))
            self._paths.append(path)
        self._start_turn(now_s)

    def _start_turn(self, now_s: float) -> None:
        self._predict(now_s)
        self._world.at(now_s + self._world.target_s, self._send)

    # The draft.

    def _predict(self, now_s: float) -> None:
        if self._draft is not None:
            task, turn = self._task, self._turn
            self._world.at(now_s + self._world.draft_s, lambda at_s: self._ask(at_s, task, turn))

    def _ask(self, now_s: float, task: TaskWork, turn: int) -> None:
        if task is not self._task or turn != self._turn:
            return  # the turn was over before the request came
        assert self._draft is not None
        world, work = self._world, task.turns[turn]

        def answer(sequence: EngineSequence, end_s: float) -> None:
            self._drafting = None
            if work.num_call_tokens and work.hit_draw < world.setting.hit_rate:
                self._launched_s[turn] = end_s + world.draft_s

        self._drafting = self._draft.submit(
            now_s, self._paths[turn], work.num_draft_tokens, answer, num_samples=world.setting.num_samples
        )

    def _stop_predicting(self, now_s: float) -> None:
        if self._drafting is not None:
            assert self._draft is not None
            self._draft.abort(now_s, self._drafting)
            self._drafting = None

    # The target.

    def _send(self, now_s: float) -> None:
        self._engine_turn = self._turn
        self._world.target.submit(
            now_s, self._paths[self._turn], self._first_tokens(), self._generated, key=("generated", self._turn)
        )

    def _first_tokens(self) -> int:
        """Return how many tokens the engine generates before something can happen: the call may have been cached."""
        turn = self._task.turns[self._engine_turn]
        self._is_reasoning = self._world.setting.method is Method.engine and turn.num_call_tokens > 0
        return turn.num_reasoning_tokens if self._is_reasoning else turn.num_tokens

    def _generated(self, sequence: EngineSequence, now_s: float) -> Goes | Hold | None:
        world, index = self._world, self._engine_turn
        turn = self._task.turns[index]
        if world.setting.method is Method.engine and turn.num_call_tokens:
            latency_s = world.setting.latency_s(turn)
            posted_s = self._launched_s[index] + latency_s + world.target_s
            announced_s = self._launched_s[index] + min(latency_s, ANNOUNCE_AFTER_S) + world.target_s
            if self._is_reasoning:
                self._is_reasoning = False
                if announced_s <= now_s and turn.num_call_tokens > 1:
                    return Goes(num_tokens=1, num_input_tokens=turn.num_call_tokens, is_drafted=True)
                return Goes(num_tokens=turn.num_call_tokens)
            if posted_s <= now_s:
                return self._splice(now_s)
            if announced_s <= now_s:
                give_up_s = now_s + world.setting.max_wait_s
                if posted_s <= give_up_s:
                    world.at(posted_s, lambda at_s: world.target.resume(at_s, sequence, self._splice(at_s)))
                else:
                    world.at(give_up_s, lambda at_s: self._give_up(at_s, sequence))
                return HOLD
        world.at(now_s + world.target_s, self._settle)
        return None

    def _splice(self, now_s: float) -> Goes:
        """O3: the result follows the call, and the next turn the result."""
        index = self._engine_turn
        self._engine_turn += 1
        self.num_executed += 1
        self._world.at(now_s + self._world.target_s, self._follow)
        return Goes(
            num_tokens=self._first_tokens(),
            num_input_tokens=1 + self._task.turns[index].num_result_tokens,
            input_key=("result", index),
            key=("generated", index + 1),
        )

    def _give_up(self, now_s: float, sequence: EngineSequence) -> None:
        self._world.target.abort(now_s, sequence)
        self._world.at(now_s + self._world.target_s, self._settle)

    # The client.

    def _follow(self, now_s: float) -> None:
        """The client hears that the engine executed a turn, and predicts the next."""
        self._stop_predicting(now_s)
        self.num_hits += 1
        self._turn += 1
        self._predict(now_s)

    def _settle(self, now_s: float) -> None:
        """The client has the turn: await the tool that runs, or run it."""
        self._stop_predicting(now_s)
        turn = self._task.turns[self._turn]
        if not turn.num_call_tokens:
            self._turn += 1
            self.start_task(now_s)
            return
        latency_s = self._world.setting.latency_s(turn)
        is_hit = self._launched_s[self._turn] <= now_s
        self.num_hits += is_hit
        starts_s = self._launched_s[self._turn] if is_hit else now_s
        self._turn += 1
        self._world.at(max(now_s, starts_s + latency_s), self._start_turn)
