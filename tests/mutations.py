"""Damaged files for the readers: known good ones with bytes changed, cut, repeated, exchanged.

A few hundred inputs are tried in every run of the tests; ``VOCALICS_FUZZ=20000 pytest -o
faulthandler_timeout=0 tests/test_fuzz.py tests/test_fuzz_lab.py`` tries so many for each of seven readers.
What was found stands as an example beside the test.
"""

import faulthandler
import os
import struct
from collections.abc import Callable

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vocalics.errors import VocalicsError

#: Inputs for each reader.
INPUTS = int(os.environ.get("VOCALICS_FUZZ", "300"))

#: An input that takes longer is a hang, seconds: then the stack is printed and the run ends.
HANG_S = 60

#: Numbers at which programs err, as four bytes.
NUMBERS = [
    struct.pack(order + "I", number)
    for number in (0, 1, 0x7F, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
    for order in "<>"
]

#: Words at which readers of text err.
WORDS = [
    *(b"nan", b"inf", b"-1", b"1e999", b"0", b"9" * 400, b"null", b"true", b"{}", b"[]"),
    *(b"- &a [*a]", b"!!x", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xf0\x9f\x98\x80"),
    *(b"\r", b"\n", b"\t", b'"', b"'", b",", b":", b"  ", b"%"),
]


@st.composite
def damaged(draw: st.DrawFn, good: Callable[[], list[bytes]]) -> bytes:
    """One of the good files, up to eight times changed."""
    files = good()
    content = bytearray(draw(st.sampled_from(files)))
    for _ in range(draw(st.integers(0, 8))):
        at = draw(st.integers(0, len(content)))
        length = draw(st.sampled_from([1, 2, 4, 16, 64, 1024]))
        match draw(st.sampled_from(["flip", "number", "word", "drop", "repeat", "cut", "bytes", "splice"])):
            case "flip" if at < len(content):
                content[at] ^= 1 << draw(st.integers(0, 7))
            case "number":
                content[at : at + 4] = draw(st.sampled_from(NUMBERS))
            case "word":
                content[at:at] = draw(st.sampled_from(WORDS))
            case "drop":
                del content[at : at + length]
            case "repeat":
                content[at:at] = content[at : at + length] * draw(st.sampled_from([1, 2, 100]))
            case "cut":
                del content[at:]
            case "bytes":
                content[at : at + length] = draw(st.binary(max_size=length))
            case "splice":
                other = draw(st.sampled_from(files))
                content[at:] = other[draw(st.integers(0, len(other))) :]
    return bytes(content)


def fuzzed(good: Callable[[], list[bytes]]) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Ask a test about damaged files, as its argument ``content``."""

    def decorate(test: Callable[..., None]) -> Callable[..., None]:
        checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]
        asked = given(content=damaged(good))(test)
        return settings(max_examples=INPUTS, deadline=None, suppress_health_check=checks)(asked)

    return decorate


def refusal(read: Callable[[], object]) -> str | None:
    """The sentence with which a damaged file is refused, or None where `read` made something of it.

    Anything else than a `VocalicsError` fails the test; where it takes `HANG_S`, the run ends.
    """
    faulthandler.dump_traceback_later(HANG_S, exit=True)
    try:
        read()
    except VocalicsError as error:
        return str(error)
    finally:
        faulthandler.cancel_dump_traceback_later()
    return None
