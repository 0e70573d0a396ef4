"""A made-up world for checks of the engine side: questions, two tools, and turns that a model can learn to write.

All text is drawn from seeds, and what a tool returns follows from its call alone, so that two runs that make the same
calls see the same results.
"""

import hashlib
import json
import random

from precall.calls import ToolCall, canonical_key

# Each is one token of the vocabulary that calling_model.py asks for, after a space at least.
_WORDS = (
    "city name list user time data search order price color date total event flight book team player number value "
    "location weather start type string file"
).split()
_FOREIGN = ("Zürich", "naïve", "東京", "čaj", "🙂", "\u200d", "“so”", "\t", "<b>", "{{ x }}", '\\n "q"', "<tool_call>")
_PARAMETERS = {
    "type": "object",
    "properties": {"place": {"type": "string"}, "day": {"type": "integer"}},
    "required": ["place", "day"],
}
TOOL_NAMES = ("look_up", "measure")
TOOLS = [
    {"type": "function", "function": {"name": name, "description": f"Can {name}.", "parameters": _PARAMETERS}}
    for name in TOOL_NAMES
]


def question(draw: random.Random) -> str:
    """Return what a user asks: 1 to 12 words."""
    return _words(draw, 1, 12)


def observe(call: ToolCall) -> str:
    """Return what a tool returns for a call: 0 to 30 words, foreign text and markup among them."""
    draw = random.Random(hashlib.sha256("/".join(canonical_key(call, _PARAMETERS)).encode()).digest())
    words = _words(draw, 0, 30).split()
    for _ in range(draw.choice((0, 0, 1, 3))):
        words.insert(draw.randint(0, len(words)), draw.choice(_FOREIGN))
    return " ".join(words)


def turn(draw: random.Random) -> tuple[str, ToolCall]:
    """Return a turn as the model is to write it, without its end token, and the call in it.

    Arguments of `measure` are compact JSON, and one turn in four has words between reasoning and call, so that a
    template that renders the turn anew has something to change.
    """
    name = draw.choice(TOOL_NAMES)
    separators = (",", ":") if name == "measure" else (", ", ": ")
    arguments = json.dumps({"place": draw.choice(_WORDS), "day": draw.randint(10, 99)}, separators=separators)
    content = draw.choice(("", "", "", f"{_words(draw, 2, 3)}.\n"))
    written = f'<tool_call>\n{{"name": "{name}", "arguments": {arguments}}}\n</tool_call>'
    return f"<think>\n{_words(draw, 2, 6)}\n</think>\n\n{content}{written}", ToolCall(name=name, arguments=arguments)


def _words(draw: random.Random, fewest: int, most: int) -> str:
    return " ".join(draw.choice(_WORDS) for _ in range(draw.randint(fewest, most)))
