"""What the service answers when it does not do what was asked."""

from collections.abc import Mapping

#: After so many seconds whoever was told that there is too much to do may come back.
RETRY_AFTER_S = 2


class Refused(Exception):
    """A request that is answered with an error.

    Parameters
    ----------
    status
        Of the answer.
    sentence
        What was given, what is allowed, and what to do.
    headers
        More headers of the answer.
    """

    def __init__(self, status: int, sentence: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(sentence)
        self.status = status
        self.sentence = sentence
        self.headers = dict(headers or {})


def too_busy(what: str) -> Refused:
    """Return the refusal of what would be done at another time."""
    return Refused(503, f"{what}; come back in {RETRY_AFTER_S} s.", {"retry-after": str(RETRY_AFTER_S)})
