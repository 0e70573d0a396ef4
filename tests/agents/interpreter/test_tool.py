"""The tool `python`, as an agent calls it."""

import json

from agents.sandbox.sandbox import Sandbox
from agents.tools.python import interpreter_limits, open_python, python_tool
from precall.calls import ToolCall
from precall.tools import run_tool
from tests.agents.interpreter.interpreters import an_interpreter
from tests.agents.sandbox.sandboxes import interpreters


def call(**arguments):
    return ToolCall(name="python", arguments=json.dumps(arguments))


async def test_its_calls_share_a_state_and_nothing_outlives_its_block():
    async with open_python(Sandbox(interpreter_limits())) as tool:
        await run_tool(tool, call(code="import numpy, sympy\nx = sympy.Symbol('x')"))
        assert (await run_tool(tool, call(code="sympy.factor(x**2 - 1)"))).content == "(x - 1)*(x + 1)\n"
        assert (await run_tool(tool, call(code="int(numpy.arange(5) @ numpy.arange(5))"))).content == "30\n"
        assert tool.fork is not None
        fork = await tool.fork()  # numpy has started no thread
        assert await fork.function(code="x") == "x\n"
        await fork.discard()
    assert interpreters() == []


async def test_a_lost_state_is_an_error_that_says_so():
    async with an_interpreter() as interpreter:
        observation = await run_tool(python_tool(interpreter), call(code="import os; os._exit(0)"))
    assert observation.is_error
    assert observation.content.startswith("Error: StateLostError: The snippet has ended the interpreter.")


async def test_a_call_that_is_not_code_costs_nothing():
    async with an_interpreter() as interpreter:
        tool = python_tool(interpreter)
        await run_tool(tool, call(code="x = 1"))
        assert (await run_tool(tool, call(code=3))).content == "Error: TypeError: code is 3; it must be a string."
        assert (await run_tool(tool, call())).is_error
        assert (await run_tool(tool, call(code="x"))).content == "1\n"
