"""Phrases beyond a single request: nouns and sequences for chains, cues for twins, and talk that needs no tool."""

from collections.abc import Mapping
from dataclasses import dataclass

from harness.pocket.phrasing import Phrases


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
                train=(
                    "the capital of {country}",
                    "the city that is the capital of {country}",
                    "the capital that {country} has",
                    "the capital of the country {country}",
                ),
                held_out=("the capital city of {country}",),
            ),
        ),
        Noun(
            name="list_events",
            phrases=Phrases(
                train=(
                    "the city of my event on {day}",
                    "the city in my calendar on {day}",
                    "the city that my calendar has on {day}",
                    "the city of the event on {day}",
                ),
                held_out=("the city of the event in my calendar on {day}",),
            ),
            is_last_word=True,
        ),
        Noun(
            name="read_file",
            phrases=Phrases(
                train=(
                    "the city named in {path}",
                    "the city that {path} names",
                    "the city that is in {path}",
                    "the city of which {path} tells",
                ),
                held_out=("the city in {path}",),
            ),
            is_last_word=True,
        ),
    ),
    "person": (
        Noun(
            name="owner",
            phrases=Phrases(
                train=(
                    "the owner of {project}",
                    "the person who owns {project}",
                    "the owner that the project {project} has",
                    "the person who owns the project {project}",
                ),
                held_out=("the owner of the project {project}",),
            ),
        ),
    ),
    "path": (
        Noun(
            name="search_files",
            phrases=Phrases(
                train=(
                    "the file that mentions {text}",
                    "the file with {text}",
                    "the file in which {text} is",
                    "the file that has {text} in it",
                ),
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
        "Please add {title} on {day}, then list the events of {day}.",
        "Put {title} on {day} and list my events of {day} then.",
    ),
    held_out=("First add {title} on {day}, then list my events of {day}.", "Add {title} on {day}, then list {day}."),
)
READ_AND_SEND = Phrases(
    train=(
        "Send {person} a note with the text of {path}.",
        "Read {path} and send a note with its text to {person}.",
        "Write {person} a note that says what {path} says.",
        "First read {path}. Then send it as a note to {person}.",
        "Please read {path} and send its text to {person} as a note.",
        "Give {person} a note that says what is in {path}.",
    ),
    held_out=("Send {person} a note that says what {path} says.", "Read {path} and send it as a note to {person}."),
)
ADD_AND_CONVERT = Phrases(
    train=(
        "What is {a} plus {b} {unit} in {into}?",
        "Calculate {a} plus {b} {unit} and convert the sum into {into}.",
        "Convert the sum of {a} plus {b} {unit} into {into}.",
        "How many {into} are {a} plus {b} {unit}?",
        "Tell me how many {into} are {a} plus {b} {unit}.",
        "Please change {a} plus {b} {unit} to {into}.",
    ),
    held_out=("I need {a} plus {b} {unit} in {into}.", "Convert {a} plus {b} {unit} into {into}."),
)

TODAY = Phrases(
    train=(
        "Today is {today}.",
        "It is {today} today.",
        "We have {today} today.",
        "It is now {today}.",
        "{today} it is today.",
    ),
    held_out=("Now it is {today}.",),
)
ARCHIVED = Phrases(
    train=(
        "The archive holds each {first} and each {second}.",
        "In the archive is each {first} and each {second}.",
        "Archived: each {first} and each {second}.",
        "Each {first} and each {second} is archived.",
        "Archived is each {first} and each {second}.",
    ),
    held_out=("The archived files are each {first} and each {second}.",),
)
DISTANCE = Phrases(
    train=(
        "I take the train up to {limit} km, and the way is {distance} km.",
        "Up to {limit} km I go by train. The way is {distance} km.",
        "The train goes up to {limit} km, the way has {distance} km.",
        "By train I go up to {limit} km. The way has {distance} km.",
        "Up to {limit} km it is the train, and the way is {distance} km.",
    ),
    held_out=("Up to {limit} km I take the train, and the way has {distance} km.",),
)
DEPARTURE = Phrases(
    train=(
        "When do I leave for {city}?",
        "At what time do I leave for {city}?",
        "When can I go to {city}?",
        "I need the time to leave for {city}.",
        "Tell me at what time I leave for {city}.",
        "Please find the time when I can go to {city}.",
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
            train=("Hello!", "Good morning!", "Hi there!", "Good evening to you!", "Hello to you!", "Good day to you!"),
            held_out=("Hello there!", "Good morning to you!"),
        ),
        answer="Hello, how can I help?",
    ),
    Talk(
        phrases=Phrases(
            train=(
                "Thank you!",
                "Thanks for that.",
                "Many thanks!",
                "Thank you for the help.",
                "Many thanks for the help.",
                "Thank you for that.",
            ),
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
                "I am {person}. Say my name.",
                "{person} is my name. Who am I?",
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
                "Please repeat {word} to me.",
                "Repeat {word}.",
            ),
            held_out=("Just repeat the word {word}.", "Please repeat {word}."),
        ),
        answer="{word}",
    ),
)
