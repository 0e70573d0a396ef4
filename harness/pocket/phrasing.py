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
            "Tell me which city is the capital of {country}.",
            "{country} has which capital?",
            "Please find the capital of {country}.",
            "Say which capital {country} has.",
        ),
        held_out=("Tell me the capital of {country}.", "The capital of {country}, please."),
    ),
    "population": Phrases(
        train=(
            "How many people live in {city}?",
            "What is the population of {city}?",
            "I need the number of people in {city}.",
            "How large is the population of {city}?",
            "Tell me how many people live in {city}.",
            "How many people does {city} have?",
            "Please find the population of {city}.",
            "Give me the number of people in {city}.",
        ),
        held_out=("Tell me the population of {city}.", "How many people are in {city}?"),
    ),
    "owner": Phrases(
        train=(
            "Who is the owner of the project {project}?",
            "Which person is the owner of {project}?",
            "I need the owner of {project}.",
            "Who owns the project {project}?",
            "Tell me who owns {project}.",
            "Whose project is {project}?",
            "Please find the owner of {project}.",
            "Give me the person who owns {project}.",
        ),
        held_out=("Tell me the owner of {project}.", "Who owns {project}?"),
    ),
    "phone": Phrases(
        train=(
            "What is the phone number of {person}?",
            "Give me the phone number of {person}.",
            "I need the number to phone {person}.",
            "Under which number can I phone {person}?",
            "Tell me how to phone {person}.",
            "{person} has which phone number?",
            "Please find the phone number of {person}.",
            "How can I phone {person}?",
        ),
        held_out=("Tell me the phone number of {person}.", "Which phone number has {person}?"),
    ),
    "convert": Phrases(
        train=(
            "Convert {amount} {unit} into {into}.",
            "What is {amount} {unit} in {into}?",
            "I need {amount} {unit} in {into}.",
            "How many {into} are {amount} {unit}?",
            "Tell me how many {into} are {amount} {unit}.",
            "Please change {amount} {unit} to {into}.",
            "Give me the {into} that {amount} {unit} are.",
            "Work out {amount} {unit} in {into}.",
        ),
        held_out=("Give me {amount} {unit} in {into}.", "Change {amount} {unit} into {into}."),
    ),
    "calculate": Phrases(
        train=(
            "What is {a} {op} {b}?",
            "How much is {a} {op} {b}?",
            "Calculate {a} {op} {b}.",
            "I need to know {a} {op} {b}.",
            "Tell me how much {a} {op} {b} is.",
            "Please work out how much {a} {op} {b} is.",
            "Give me the result of {a} {op} {b}.",
            "Find {a} {op} {b}.",
        ),
        held_out=("Tell me {a} {op} {b}.", "Work out {a} {op} {b}."),
    ),
    "translate": Phrases(
        train=(
            "Translate {word} into {language}.",
            "What is {word} in {language}?",
            "How do I say {word} in {language}?",
            "I need the word {word} in {language}.",
            "Tell me what {word} is in {language}.",
            "Please say the word {word} in {language}.",
            "Give me {word} in {language}.",
            "Change the word {word} into {language}.",
        ),
        held_out=("Give me the word {word} in {language}.", "Say {word} in {language}."),
    ),
    "weather_now": Phrases(
        train=(
            "What is the weather in {city} right now?",
            "How is the weather now in {city}?",
            "I need the weather in {city} at this moment.",
            "What weather is it right now in {city}?",
            "Tell me how the weather in {city} is right now.",
            "Right now, what is the weather in {city}?",
            "Please find the weather in {city} at this moment.",
            "Give me the weather now in {city}.",
        ),
        held_out=("Tell me the weather in {city} right now.", "How is the weather in {city} at this moment?"),
    ),
    "weather_forecast": Phrases(
        train=(
            "What is the weather in {city} on {day}?",
            "How will the weather be in {city} on {day}?",
            "I need the weather in {city} on {day}.",
            "Which weather will {city} have on {day}?",
            "Tell me how the weather in {city} will be on {day}.",
            "On {day}, what is the weather in {city}?",
            "Please find the weather in {city} on {day}.",
            "Give me the weather of {day} in {city}.",
        ),
        held_out=("Tell me the weather in {city} on {day}.", "How is the weather in {city} on {day}?"),
    ),
    "train_time": Phrases(
        train=(
            "When does the train to {city} leave?",
            "At what time is the train to {city}?",
            "I need the time of the train to {city}.",
            "When is the train to {city}?",
            "Tell me when the train to {city} leaves.",
            "The train to {city} leaves at what time?",
            "Please find the time of the train to {city}.",
            "Give me the time at which the train to {city} leaves.",
        ),
        held_out=("Tell me the time of the train to {city}.", "At what time does the train to {city} leave?"),
    ),
    "flight_time": Phrases(
        train=(
            "When does the flight to {city} leave?",
            "At what time is the flight to {city}?",
            "I need the time of the flight to {city}.",
            "When is the flight to {city}?",
            "Tell me when the flight to {city} leaves.",
            "The flight to {city} leaves at what time?",
            "Please find the time of the flight to {city}.",
            "Give me the time at which the flight to {city} leaves.",
        ),
        held_out=("Tell me the time of the flight to {city}.", "At what time does the flight to {city} leave?"),
    ),
    "search_files": Phrases(
        train=(
            "Which file mentions {text}?",
            "Find the file that mentions {text}.",
            "In which file is {text}?",
            "I need the file that mentions {text}.",
            "Tell me the file that mentions {text}.",
            "{text} is in which file?",
            "Please find the file in which {text} is.",
            "Give me the file that has {text} in it.",
        ),
        held_out=("Tell me which file mentions {text}.", "Find the file with {text}."),
    ),
    "read_file": Phrases(
        train=(
            "What does {path} say?",
            "Read {path}.",
            "I need the text of {path}.",
            "What is in {path}?",
            "Tell me what is in {path}.",
            "{path} says what?",
            "Please read {path} to me.",
            "Give me what {path} says.",
        ),
        held_out=("Tell me what {path} says.", "Give me the text of {path}."),
    ),
    "read_archive": Phrases(
        train=(
            "What does {path} in the archive say?",
            "Read {path} from the archive.",
            "I need the text of the archived {path}.",
            "What is in the archived {path}?",
            "Tell me what is in the archived {path}.",
            "In the archive, what does {path} say?",
            "Please read the archived {path} to me.",
            "Give me what {path} in the archive says.",
        ),
        held_out=("Tell me what the archived {path} says.", "Give me the text of {path} from the archive."),
    ),
    "list_events": Phrases(
        train=(
            "What is on my calendar on {day}?",
            "Which events are on {day}?",
            "List my events of {day}.",
            "I need my events of {day}.",
            "Tell me which events are on {day}.",
            "On {day}, what is on my calendar?",
            "Please list the events of {day}.",
            "Give me my calendar of {day}.",
        ),
        held_out=("Tell me my events of {day}.", "Which events are on my calendar on {day}?"),
    ),
    "add_event": Phrases(
        train=(
            "Add {title} to my calendar on {day}.",
            "Put {title} on my calendar for {day}.",
            "Add the event {title} on {day}.",
            "I need {title} on my calendar on {day}.",
            "On {day} I have {title}: add it.",
            "Please put {title} on my calendar on {day}.",
            "My calendar needs {title} on {day}.",
            "Add to my calendar on {day} the event {title}.",
        ),
        held_out=("Add {title} on {day}.", "Put the event {title} on my calendar on {day}."),
    ),
    "send_note": Phrases(
        train=(
            "Send {person} the note: {text}.",
            "Send a note to {person}: {text}.",
            "Write {person} a note: {text}.",
            "I need a note to {person}: {text}.",
            "Tell {person} in a note: {text}.",
            "A note to {person}, please: {text}.",
            "Please send {person} a note: {text}.",
            "Give {person} the note: {text}.",
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
