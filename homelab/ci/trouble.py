"""How a question to CI can fail. Without the HTTP client, which takes longer to import than a landing without CI asks for."""

from homelab.errors import Unreachable


class Away(Unreachable):
    """CI does not answer, or answers with something else; asking again may help."""


class Denied(Unreachable):
    """CI does not show this to our token, or to anybody without one. Asking again does not help."""


class Missing(Unreachable):
    """What was asked for is not there, or hidden from this token."""


class Throttled(Away):
    """CI wants to be left alone for so many seconds."""

    def __init__(self, message: str, seconds: float, *, hint: str) -> None:
        super().__init__(message, hint=hint)
        self.seconds = seconds
