"""Runs in the sandbox, as text, with any Python 3: what the tools open, search and edit do in the workspace.

Arguments: the tool, and its arguments as JSON. What it prints is the observation.
"""

import json
import os
import sys
from typing import NoReturn

MAX_LINES = 400
MAX_MATCHES = 100
MAX_LINE_CHARS = 500
SKIPPED = {".git", "__pycache__", ".pytest_cache"}
ROOT = os.path.realpath(os.getcwd())


def inside(path):
    """Return the path of what `path` names, links followed; ends the program when that is not in the workspace."""
    real = os.path.realpath(os.path.join(ROOT, path))
    if real != ROOT and not real.startswith(ROOT + os.sep):
        end(f"{path} is outside the workspace; give a path inside it, relative to its top folder.")
    return real


def end(message) -> NoReturn:
    print(f"Error: {message}")
    sys.exit()


def read(path):
    """Return the text of a file, with its line ends as they are."""
    real = inside(path)
    if os.path.isdir(real):
        end(f"{path} is a folder; it holds {', '.join(sorted(set(os.listdir(real)) - SKIPPED)) or 'nothing'}.")
    try:
        with open(real, encoding="utf-8", newline="") as file:
            return file.read()
    except UnicodeDecodeError:
        end(f"{path} is not a text file in UTF-8.")
    except OSError as error:
        end(f"{path} cannot be read: {error.strerror}.")


def open_file(path, start_line=1, end_line=None):
    lines = read(path).splitlines()
    if not 1 <= start_line <= max(len(lines), 1):
        end(f"start_line is {start_line}; {path} has {len(lines)} lines.")
    last = min(len(lines) if end_line is None else end_line, start_line + MAX_LINES - 1, len(lines))
    for number in range(start_line, last + 1):
        print(f"{number:6}  {lines[number - 1][:MAX_LINE_CHARS]}")
    if last < len(lines):
        print(f"[{path} goes on to line {len(lines)}]")
    if not lines:
        print(f"[{path} is empty]")


def search(text, path="."):
    if not text:
        end("text is empty; give what to look for.")
    top, num_found = inside(path), 0
    files = [top] if os.path.isfile(top) else sorted(walk(top))
    for file in files:
        try:
            with open(file, encoding="utf-8") as opened:
                lines = opened.read().splitlines()
        except (UnicodeDecodeError, OSError):
            continue
        for number, line in enumerate(lines, start=1):
            if text in line:
                num_found += 1
                if num_found <= MAX_MATCHES:
                    print(f"{os.path.relpath(file, ROOT)}:{number}: {line.strip()[:MAX_LINE_CHARS]}")
    if num_found > MAX_MATCHES:
        print(f"[{num_found - MAX_MATCHES} more lines]")
    if not num_found:
        print(f"No line has {text!r}.")


def walk(top):
    """Yield the files below a folder; a link is neither entered nor read."""
    for parent, folders, files in os.walk(top):
        folders[:] = [name for name in folders if name not in SKIPPED]
        for name in files:
            if not os.path.islink(os.path.join(parent, name)):
                yield os.path.join(parent, name)


def edit(path, old, new):
    content = read(path)
    num_found = content.count(old) if old else 0
    if num_found != 1:
        end(f"old occurs {num_found} times in {path}; it must occur once. Give more or fewer of the lines around it.")
    try:
        with open(inside(path), "w", encoding="utf-8", newline="") as file:
            file.write(content.replace(old, new))
    except OSError as error:
        end(f"{path} cannot be written: {error.strerror}.")
    print(f"{path} is changed, at line {content[: content.index(old)].count(chr(10)) + 1}.")


if __name__ == "__main__":
    try:
        {"open": open_file, "search": search, "edit": edit}[sys.argv[1]](**json.loads(sys.argv[2]))
    except TypeError as error:  # an argument that is missing, unknown or of another type
        end(error)
