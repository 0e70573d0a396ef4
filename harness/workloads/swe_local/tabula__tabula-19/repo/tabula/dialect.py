"""What separates fields and records."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Dialect:
    delimiter: str = ","
    quote: str = '"'
    line_end: str = "\r\n"

    def __post_init__(self) -> None:
        for name in ("delimiter", "quote"):
            value = getattr(self, name)
            if len(value) != 1 or value in "\r\n":
                raise ValueError(f"{name} is {value!r}; it must be one character and no line end")
        if self.delimiter == self.quote:
            raise ValueError(f"delimiter and quote are both {self.quote!r}")
        if self.line_end not in ("\r\n", "\n"):
            raise ValueError(f"line_end is {self.line_end!r}")
