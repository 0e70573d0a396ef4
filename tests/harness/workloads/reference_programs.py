"""A program for each of the project's own problems (harness/workloads/reasoning_local/), which finds its answer anew.

Each is written from the problem's text, by trying all cases where that is possible, and returns the answer as the data
file must have it.
"""

import itertools
import math
from collections import Counter
from collections.abc import Callable
from datetime import date, timedelta
from fractions import Fraction
from functools import cache


def digit_sums() -> int:
    return sum(1 for n in range(1, 20_001) if n % 11 == 3 and sum(map(int, str(n))) % 7 == 0)


def interest() -> int:
    pence, months = 500_000, 0
    while pence < 1_000_000:
        pence += pence * 7 // 2000  # 0.35 %, rounded down
        pence += 2_500
        months += 1
    return months


def lattice_paths() -> int:
    @cache
    def paths(x: int, y: int) -> int:
        if x > 9 or y > 9 or (x, y) in ((3, 3), (5, 6), (7, 2)):
            return 0
        return 1 if (x, y) == (9, 9) else paths(x + 1, y) + paths(x, y + 1)

    return paths(0, 0)


def fridays() -> int:
    day, num = date(1901, 1, 1), 0
    while day <= date(2000, 12, 31):
        num += day.day == 13 and day.weekday() == 4
        day += timedelta(days=1)
    return num


def crates() -> int:
    return sum(
        1
        for sixes in range(200 // 6 + 1)
        for nines in range(200 // 9 + 1)
        for twenties in range(200 // 20 + 1)
        if 6 * sixes + 9 * nines + 20 * twenties == 200
    )


def josephus() -> int:
    people, at = list(range(1, 242)), 0
    while len(people) > 1:
        at = (at + 6) % len(people)
        people.pop(at)
    return people[0]


def collatz() -> int:
    def num_steps(n: int) -> int:
        num = 0
        while n != 1:
            n = n // 2 if n % 2 == 0 else 3 * n + 1
            num += 1
        return num

    return max(range(1, 30_000), key=num_steps)


def last_digits() -> int:
    total = 0
    for n in range(1, 201):
        total += n**n
    return total % 1_000_000


def pens() -> int:
    best = 0
    for width in range(1, 150):
        for depth in range(1, 150):
            if 3 * width + 2 * depth + abs(width - depth) <= 300 and width % 4 == 0:
                best = max(best, width * depth)
    return best


def committees() -> str:
    people = [("a", n) for n in range(7)] + [("b", n) for n in range(6)] + [("c", n) for n in range(5)]
    good = total = 0
    for chosen in itertools.combinations(people, 6):
        total += 1
        good += set(Counter(kind for kind, _ in chosen)) == {"a", "b", "c"}
    return latex(Fraction(good, total))


def dice() -> str:
    good = sum(
        1 for rolls in itertools.product(range(1, 7), repeat=5) if sum(rolls) % 4 == 0 and max(rolls) - min(rolls) <= 3
    )
    return latex(Fraction(good, 6**5))


def walk() -> str:
    @cache
    def chance(at: int, num_steps: int) -> Fraction:
        if at == 5:
            return Fraction(1)
        if at == -3 or num_steps == 14:
            return Fraction(0)
        return Fraction(3, 5) * chance(at + 1, num_steps + 1) + Fraction(2, 5) * chance(at - 1, num_steps + 1)

    return latex(chance(0, 0))


def unit_fractions() -> str:
    return latex(sum((Fraction(1, n) for n in range(1, 31) if all(n % p for p in (7, 11, 13))), Fraction(0)))


def triangles() -> int:
    num = 0
    for a in range(1, 121):
        for b in range(a, 121):
            for c in range(b, min(a + b, 121)):
                s = a + b + c
                square = s * (s - 2 * a) * (s - 2 * b) * (s - 2 * c)
                root = math.isqrt(square)
                num += root * root == square and root % 4 == 0 and root // 4 <= 500
    return num


def surd() -> str:
    # The distance between the two points of the plane grid farthest apart with coprime coordinates up to 40.
    points = [(x, y) for x in range(1, 41) for y in range(1, 41) if math.gcd(x, y) == 1 and (x + y) % 9 == 0]
    square = max((a - c) ** 2 + (b - d) ** 2 for (a, b), (c, d) in itertools.combinations(points, 2))
    root = max(k for k in range(1, 100) if square % (k * k) == 0)
    return f"{root}\\sqrt{{{square // root**2}}}" if root > 1 else f"\\sqrt{{{square}}}"


def latex(fraction: Fraction) -> str:
    return f"\\frac{{{fraction.numerator}}}{{{fraction.denominator}}}"


PROGRAMS: dict[str, Callable[[], int | str]] = {
    "digit_sums": digit_sums,
    "interest": interest,
    "lattice_paths": lattice_paths,
    "fridays": fridays,
    "crates": crates,
    "josephus": josephus,
    "collatz": collatz,
    "last_digits": last_digits,
    "pens": pens,
    "committees": committees,
    "dice": dice,
    "walk": walk,
    "unit_fractions": unit_fractions,
    "triangles": triangles,
    "surd": surd,
}
