"""Scenes in which two tools look alike and a cue says which is right: the request is the same for both, and only the
cue before it differs.

Each cue asks to compare two things in the prompt: two weekdays, what a path ends in and two other endings, two numbers.
"""

import random

from harness.pocket import compounds
from harness.pocket.functions import TaskState
from harness.pocket.phrasing import REQUESTS
from harness.pocket.scenes import Arguments, Scene, draw_state, one_call, say
from harness.pocket.values import DAYS, ENDINGS, Split, pool, split_of


def draw_cued(draw: random.Random, split: Split, is_near: bool) -> Scene:
    """Return a scene whose cue asks for the nearer twin (now, file, train) or for the other one. From equal draws, the
    two scenes differ in the cue and what follows from it alone."""
    return draw.choice((_cued_weather, _cued_file, _cued_departure))(draw, split, is_near)


def _cued_weather(draw: random.Random, split: Split, is_near: bool) -> Scene:
    state, city = draw_state(draw, split), draw.choice(pool("city", split))
    day, other = draw.sample(DAYS, 2)
    today = day if is_near else other
    cue = say(draw, compounds.TODAY, split, {"today": today})
    request = say(draw, REQUESTS["weather_forecast"], split, {"city": city, "day": day})
    asked = f"asked is {day}, day {DAYS.index(day) + 1}: {'the same' if is_near else 'another'} day."
    near, far = {"city": city}, {"city": city, "day": day}
    comparison = f"Today is {today}, day {DAYS.index(today) + 1}, {asked}"
    return _cued(f"{cue} {request}", state, is_near, ("weather_now", near), ("weather_forecast", far), comparison)


def _cued_file(draw: random.Random, split: Split, is_near: bool) -> Scene:
    drawn = draw_state(draw, split)
    (path, content), *files = drawn.files
    kind = _kind_of(path)
    kinds = draw.sample([each for each in ENDINGS["path"] if each != kind], 2)
    place = draw.randrange(2)
    archive = [entry for entry in drawn.archive if _kind_of(entry[0]) != kind]
    if is_near:
        files.append((path, content))
    else:
        kinds[place] = kind
        archive.append((path, content))
    files = [entry for entry in files if _kind_of(entry[0]) not in kinds]
    first, second = kinds
    cue = say(draw, compounds.ARCHIVED, split, {"first": first, "second": second})
    request = say(draw, REQUESTS["read_file"], split, {"path": path})
    comparison = f"Archived is each {first} and {second}, {path} is a {kind}: {'not there' if is_near else 'there'}."
    state = TaskState(files=tuple(files), archive=tuple(archive), events=drawn.events)
    both = {"path": path}
    return _cued(f"{cue} {request}", state, is_near, ("read_file", both), ("read_archive", both), comparison)


def _cued_departure(draw: random.Random, split: Split, is_near: bool) -> Scene:
    state, city = draw_state(draw, split), draw.choice(pool("city", split))
    hundreds = draw.sample(range(1, 10), 3)
    shorter, limit, longer = (_draw_number(draw, split, each) for each in sorted(hundreds))
    distance = shorter if is_near else longer
    cue = say(draw, compounds.DISTANCE, split, {"limit": limit, "distance": distance})
    request = say(draw, compounds.DEPARTURE, split, {"city": city})
    comparison = f"The limit is {limit} km, the way {distance} km: {'within' if is_near else 'beyond'} the limit."
    both = {"city": city}
    return _cued(f"{cue} {request}", state, is_near, ("train_time", both), ("flight_time", both), comparison)


def _cued(
    request: str,
    state: TaskState,
    is_near: bool,
    near: tuple[str, Arguments],
    far: tuple[str, Arguments],
    comparison: str,
) -> Scene:
    (name, arguments), (twin, _) = (near, far) if is_near else (far, near)
    return Scene(request=request, state=state, steps=(one_call(name, arguments, comparison),), twin=twin)


def _kind_of(path: str) -> str:
    return next(ending for ending in ENDINGS["path"] if path.endswith(ending))


def _draw_number(draw: random.Random, split: Split, hundreds: int) -> int:
    return draw.choice([number for number in range(100 * hundreds, 100 * hundreds + 100) if split_of(number) == split])
