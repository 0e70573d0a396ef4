"""How requests and answers are worded. A request's phrases belong to one split each; answers have one wording
per tool, so that an exact match is a fair measure.

In a request, `{city}` and the like stand for a value, or for a noun phrase that leads to one (compounds.py).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.pocket.values import Split


@dataclass(frozen=True, slots=True, kw_only=True)
class Phrases:
    """Wordings of one thing, by split."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]

    def of(self, split: Split) -> tuple[str, ...]:
        return self.train if split == "train" else self.held_out


REQUESTS: Mapping[str, Phrases] = {
    "capital": Phrases(
        train=(
            "What is the capital of {country}?",
            "Name the capital of {country}.",
            "Which city is the capital of {country}?",
            "I need the capital of {country}.",
        ),
        held_out=("Tell me the capital of {country}.", "The capital of {country}, please."),
    ),
    "population": Phrases(
        train=(
            "How many people live in {city}?",
            "What is the population of {city}?",
            "I need the number of people in {city}.",
            "How large is the population of {city}?",
        ),
        held_out=("Tell me the population of {city}.", "How many people are in {city}?"),
    ),
    "owner": Phrases(
        train=(
            "Who is the owner of the project {project}?",
            "Which person is the owner of {project}?",
            "I need the owner of {project}.",
            "Who owns the project {project}?",
        ),
        held_out=("Tell me the owner of {project}.", "Who owns {project}?"),
    ),
    "phone": Phrases(
        train=(
            "What is the phone number of {person}?",
            "Give me the phone number of {person}.",
            "I need the number to phone {person}.",
            "Under which number can I phone {person}?",
        ),
        held_out=("Tell me the phone number of {person}.", "Which phone number has {person}?"),
    ),
    "convert": Phrases(
        train=(
            "Convert {amount} {unit} into {into}.",
            "What is {amount} {unit} in {into}?",
            "I need {amount} {unit} in {into}.",
            "How many {into} are {amount} {unit}?",
        ),
        held_out=("Give me {amount} {unit} in {into}.", "Change {amount} {unit} into {into}."),
    ),
    "calculate": Phrases(
        train=(
            "What is {a} {op} {b}?",
            "How much is {a} {op} {b}?",
            "Calculate {a} {op} {b}.",
            "I need to know {a} {op} {b}.",
        ),
        held_out=("Tell me {a} {op} {b}.", "Work out {a} {op} {b}."),
    ),
    "translate": Phrases(
        train=(
            "Translate {word} into {language}.",
            "What is {word} in {language}?",
            "How do I say {word} in {language}?",
            "I need the word {word} in {language}.",
        ),
        held_out=("Give me the word {word} in {language}.", "Say {word} in {language}."),
    ),
    "weather_now": Phrases(
        train=(
            "What is the weather in {city} right now?",
            "How is the weather now in {city}?",
            "I need the weather in {city} at this moment.",
            "What weather is it right now in {city}?",
        ),
        held_out=("Tell me the weather in {city} right now.", "How is the weather in {city} at this moment?"),
    ),
    "weather_forecast": Phrases(
        train=(
            "What is the weather in {city} on {day}?",
            "How will the weather be in {city} on {day}?",
            "I need the weather in {city} on {day}.",
            "Which weather will {city} have on {day}?",
        ),
        held_out=("Tell me the weather in {city} on {day}.", "How is the weather in {city} on {day}?"),
    ),
    "train_time": Phrases(
        train=(
            "When does the train to {city} leave?",
            "At what time is the train to {city}?",
            "I need the time of the train to {city}.",
            "When is the train to {city}?",
        ),
        held_out=("Tell me the time of the train to {city}.", "At what time does the train to {city} leave?"),
    ),
    "flight_time": Phrases(
        train=(
            "When does the flight to {city} leave?",
            "At what time is the flight to {city}?",
            "I need the time of the flight to {city}.",
            "When is the flight to {city}?",
        ),
        held_out=("Tell me the time of the flight to {city}.", "At what time does the flight to {city} leave?"),
    ),
    "search_files": Phrases(
        train=(
            "Which file mentions {text}?",
            "Find the file that mentions {text}.",
            "In which file is {text}?",
            "I need the file that mentions {text}.",
        ),
        held_out=("Tell me which file mentions {text}.", "Find the file with {text}."),
    ),
    "read_file": Phrases(
        train=(
            "What does {path} say?",
            "Read {path}.",
            "I need the text of {path}.",
            "What is in {path}?",
        ),
        held_out=("Tell me what {path} says.", "Give me the text of {path}."),
    ),
    "read_archive": Phrases(
        train=(
            "What does {path} in the archive say?",
            "Read {path} from the archive.",
            "I need the text of the archived {path}.",
            "What is in the archived {path}?",
        ),
        held_out=("Tell me what the archived {path} says.", "Give me the text of {path} from the archive."),
    ),
    "list_events": Phrases(
        train=(
            "What is on my calendar on {day}?",
            "Which events are on {day}?",
            "List my events of {day}.",
            "I need my events of {day}.",
        ),
        held_out=("Tell me my events of {day}.", "Which events are on my calendar on {day}?"),
    ),
    "add_event": Phrases(
        train=(
            "Add {title} to my calendar on {day}.",
            "Put {title} on my calendar for {day}.",
            "Add the event {title} on {day}.",
            "I need {title} on my calendar on {day}.",
        ),
        held_out=("Add {title} on {day}.", "Put the event {title} on my calendar on {day}."),
    ),
    "send_note": Phrases(
        train=(
            "Send {person} the note: {text}.",
            "Send a note to {person}: {text}.",
            "Write {person} a note: {text}.",
            "I need a note to {person}: {text}.",
        ),
        held_out=("Send the note to {person}: {text}.", "Write a note to {person}: {text}."),
    ),
}
ANSWERS: Mapping[str, str] = {
    "capital": "The capital is {observation}.",
    "population": "It has {observation} people.",
    "owner": "The owner is {observation}.",
    "phone": "The number is {observation}.",
    "convert": "That is {observation}.",
    "calculate": "The result is {observation}.",
    "translate": "The word is {observation}.",
    "weather_now": "The weather is {observation}.",
    "weather_forecast": "The weather will be {observation}.",
    "train_time": "The train leaves at {observation}.",
    "flight_time": "The flight leaves at {observation}.",
    "search_files": "The file is {observation}.",
    "read_file": "It says: {observation}.",
    "read_archive": "The archive says: {observation}.",
    "list_events": "Your events: {observation}.",
    "add_event": "Done: {observation}.",
    "send_note": "Done: {observation}.",
}

OPERATION_WORDS = {"add": "plus", "subtract": "minus", "multiply": "times"}
