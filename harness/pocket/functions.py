"""What the tools of the pocket world do, on plain arguments and the state of a trajectory.

Each function returns a short text. Those that read or write take the trajectory's state first.
"""

from collections.abc import Callable
from dataclasses import dataclass

from harness.pocket.values import LANGUAGES, UNIT_FACTORS, digest, pick

NOTHING = "nothing"
"""What a lookup returns that finds no entry."""

_OPERATIONS: dict[str, Callable[[int, int], int]] = {
    "add": lambda a, b: a + b,
    "subtract": lambda a, b: a - b,
    "multiply": lambda a, b: a * b,
}
OPERATIONS = tuple(_OPERATIONS)
_SKIES = ("sunny", "cloudy", "rainy", "windy", "foggy", "snowy")
_VOWELS = str.maketrans("aeiou", "eioua")
_WORD_ENDINGS: dict[str, str] = dict(zip(LANGUAGES, ("iel", "dur", "ug"), strict=True))

Entries = tuple[tuple[str, str], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskState:
    """What a task's tools find at the start of a trajectory: files by path, archived files by path, events by day."""

    files: Entries = ()
    archive: Entries = ()
    events: Entries = ()


class Home:
    """The state of one trajectory."""

    def __init__(self, state: TaskState) -> None:
        self.files = dict(state.files)
        self.archive = dict(state.archive)
        self.events = list(state.events)
        self.notes: list[tuple[str, str]] = []


def capital(country: str) -> str:
    return pick("city", country)


def population(city: str) -> str:
    return str(1000 + digest(f"population of {city}") % 9000)


def owner(project: str) -> str:
    return pick("person", project)


def phone(person: str) -> str:
    return str(1000 + digest(f"phone of {person}") % 9000)


def _weather(moment: str) -> str:
    drawn = digest(f"weather in {moment}")
    return f"{_SKIES[drawn % len(_SKIES)]}, {2 + drawn // 10 % 30} degrees"


def weather_now(_: Home, city: str) -> str:
    return _weather(city)


def weather_forecast(_: Home, city: str, day: str) -> str:
    return _weather(f"{city} on {day}")


def _time(journey: str) -> str:
    minutes = digest(f"first {journey}") % (24 * 60)
    return f"{minutes // 60:02}:{minutes % 60:02}"


def train_time(_: Home, city: str) -> str:
    return _time(f"train to {city}")


def flight_time(_: Home, city: str) -> str:
    return _time(f"flight to {city}")


def convert(amount: float, unit: str, into: str) -> str:
    if (unit, into) not in UNIT_FACTORS:
        raise ValueError(f"{unit} cannot become {into}")
    return f"{amount * UNIT_FACTORS[unit, into]:.1f} {into}"


def calculate(a: int, op: str, b: int) -> str:
    return str(_OPERATIONS[op](a, b))


def translate(word: str, language: str) -> str:
    """Shift the vowels and give the language's ending, the rule of this world's languages."""
    return word.translate(_VOWELS) + _WORD_ENDINGS[language]


def search_files(home: Home, text: str) -> str:
    wanted = set(text.lower().split())
    found = {path: len(wanted & set(content.lower().split())) for path, content in home.files.items()}
    best = max(found, key=lambda path: found[path], default=None)
    return best if best is not None and found[best] else NOTHING


def read_file(home: Home, path: str) -> str:
    return home.files.get(path, NOTHING)


def read_archive(home: Home, path: str) -> str:
    return home.archive.get(path, NOTHING)


def list_events(home: Home, day: str) -> str:
    return ", ".join(title for each, title in home.events if each == day) or NOTHING


def add_event(home: Home, title: str, day: str) -> str:
    home.events.append((day, title))
    return f"{title} added"


def send_note(home: Home, person: str, text: str) -> str:
    home.notes.append((person, text))
    return f"sent to {person}"
