"""How requests and answers are worded. A request's phrases belong to one split each; answers have one wording
per tool, so that an exact match is a fair measure.

In a request, `{city}` and the like stand for a value or for a noun phrase that leads to one ("the capital of Belland").
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

ANSWER_TO_SEVERAL = "{value}: {observation}"
OPERATION_WORDS = {"add": "plus", "subtract": "minus", "multiply": "times"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Noun:
    """Phrases for what `name` returns, or for the last word of it."""

    name: str
    phrases: Phrases
    is_last_word: bool = False


NOUNS: Mapping[str, tuple[Noun, ...]] = {
    "city": (
        Noun(
            name="capital",
            phrases=Phrases(
                train=("the capital of {country}", "the city that is the capital of {country}"),
                held_out=("the capital city of {country}",),
            ),
        ),
        Noun(
            name="list_events",
            phrases=Phrases(
                train=("the city of my event on {day}", "the city in my calendar on {day}"),
                held_out=("the city of the event in my calendar on {day}",),
            ),
            is_last_word=True,
        ),
        Noun(
            name="read_file",
            phrases=Phrases(
                train=("the city named in {path}", "the city that {path} names"),
                held_out=("the city in {path}",),
            ),
            is_last_word=True,
        ),
    ),
    "person": (
        Noun(
            name="owner",
            phrases=Phrases(
                train=("the owner of {project}", "the person who owns {project}"),
                held_out=("the owner of the project {project}",),
            ),
        ),
    ),
    "path": (
        Noun(
            name="search_files",
            phrases=Phrases(
                train=("the file that mentions {text}", "the file with {text}"),
                held_out=("the file that has {text}",),
            ),
        ),
    ),
}

ADD_AND_LIST = Phrases(
    train=(
        "Add {title} on {day} and then list my events of {day}.",
        "Put {title} on my calendar on {day}, then tell me what is on {day}.",
        "First add {title} on {day}. Then list the events of {day}.",
        "Add the event {title} on {day}. Which events are on {day} then?",
    ),
    held_out=("First add {title} on {day}, then list my events of {day}.", "Add {title} on {day}, then list {day}."),
)
READ_AND_SEND = Phrases(
    train=(
        "Send {person} a note with the text of {path}.",
        "Read {path} and send a note with its text to {person}.",
        "Write {person} a note that says what {path} says.",
        "First read {path}. Then send it as a note to {person}.",
    ),
    held_out=("Send {person} a note that says what {path} says.", "Read {path} and send it as a note to {person}."),
)
ADD_AND_CONVERT = Phrases(
    train=(
        "What is {a} plus {b} {unit} in {into}?",
        "Calculate {a} plus {b} {unit} and convert the sum into {into}.",
        "Convert the sum of {a} plus {b} {unit} into {into}.",
        "How many {into} are {a} plus {b} {unit}?",
    ),
    held_out=("I need {a} plus {b} {unit} in {into}.", "Convert {a} plus {b} {unit} into {into}."),
)

TODAY = Phrases(
    train=("Today is {today}.", "It is {today} today.", "We have {today} today."), held_out=("Now it is {today}.",)
)
ARCHIVED = Phrases(
    train=(
        "The archive holds {first} and {second}.",
        "In the archive are {first} and {second}.",
        "Archived files: {first} and {second}.",
    ),
    held_out=("The archived files are {first} and {second}.",),
)
DISTANCE = Phrases(
    train=(
        "I take the train up to {limit} km, and the way is {distance} km.",
        "Up to {limit} km I go by train. The way is {distance} km.",
        "The train goes up to {limit} km, the way has {distance} km.",
    ),
    held_out=("Up to {limit} km I take the train, and the way has {distance} km.",),
)
DEPARTURE = Phrases(
    train=(
        "When do I leave for {city}?",
        "At what time do I leave for {city}?",
        "When can I go to {city}?",
        "I need the time to leave for {city}.",
    ),
    held_out=("Tell me when I leave for {city}.", "At what time can I go to {city}?"),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """What needs no tool, and what to answer."""

    phrases: Phrases
    answer: str


TALKS = (
    Talk(
        phrases=Phrases(
            train=("Hello!", "Good morning!", "Hi there!", "Good evening to you!"),
            held_out=("Hello there!", "Good morning to you!"),
        ),
        answer="Hello, how can I help?",
    ),
    Talk(
        phrases=Phrases(
            train=("Thank you!", "Thanks for that.", "Many thanks!", "Thank you for the help."),
            held_out=("Many thanks for that.", "Thanks for the help!"),
        ),
        answer="You are welcome.",
    ),
    Talk(
        phrases=Phrases(
            train=(
                "My name is {person}. What is my name?",
                "I am {person}. Who am I?",
                "{person} is my name. Repeat my name.",
                "My name is {person}. Say my name.",
            ),
            held_out=("I am {person}. What is my name?", "{person} is my name. What is my name?"),
        ),
        answer="Your name is {person}.",
    ),
    Talk(
        phrases=Phrases(
            train=(
                "Repeat the word {word}.",
                "Just repeat {word}.",
                "Repeat {word} for me.",
                "Please repeat the word {word} to me.",
            ),
            held_out=("Just repeat the word {word}.", "Please repeat {word}."),
        ),
        answer="{word}",
    ),
)
