"""What a retried function may raise, and what is raised in the end."""


class RetryAfter(Exception):
    """The server asks to come back after `seconds`."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"come back after {seconds} s")
        self.seconds = seconds


class GaveUp(Exception):
    """The last attempt has failed; its error is the cause."""

    def __init__(self, attempts: int, waited_s: float) -> None:
        super().__init__(f"gave up after {attempts} attempts and {waited_s:.1f} s of waiting")
        self.attempts = attempts
        self.waited_s = waited_s
