"""What the service is told when it starts: which models, and every limit."""

import re
from dataclasses import dataclass, field, fields

from vocalics.errors import UsageError
from vocalics.recognition.worker_process import count_cores

#: Environment variable with the bearer token; never an option, since others can read a command line.
TOKEN_VARIABLE = "VOCALICS_TOKEN"

#: Recordings and fields of one multipart request.
MOST_PARTS = 64

#: All uploads together take at most so many times the largest one on the disk.
SPOOL_UPLOADS = 20

#: Slower uploads than this are broken off, bytes a second after a grace of `Settings.idle_s`.
SLOWEST_UPLOAD_BYTES_PER_S = 8_000

#: Memory that one recording may take in a worker beyond what the worker takes by itself: ten minutes of
#: stereo at 48 kHz take some 0.7 GB.
WORKER_MEMORY_BYTES = 2 << 30


@dataclass(frozen=True)
class Settings:
    """What a service is told when it starts.

    Attributes
    ----------
    models
        Names of bundled models or paths of ``.onnx`` files; the first answers unless another is named. None
        given: the bundled default.
    workers
        Processes that hear recordings, and as many more for streams once there is one.
    max_mb
        Largest body of a request, 10^6 bytes.
    max_duration_s
        Longest recording.
    max_work_s
        Longest time that a worker may spend on one recording.
    max_waiting
        Requests that wait for a worker; more are told to come back later.
    max_wait_s
        Longest time that one waits.
    max_streams
        WebSockets at once.
    max_connections
        TCP connections at once.
    idle_s
        How long a connection may be silent or stand still.
    token
        What a client must show; None for no such thing.

    Raises
    ------
    UsageError
        A value is out of range.

    Examples
    --------
    >>> Settings(max_mb=5).max_body_bytes
    5000000
    """

    models: tuple[str, ...] = ()
    workers: int = field(default_factory=count_cores)
    max_mb: float = 100.0
    max_duration_s: float = 3600.0
    max_work_s: float = 120.0
    max_waiting: int = 512
    max_wait_s: float = 30.0
    max_streams: int = 128
    max_connections: int = 1024
    idle_s: float = 30.0
    token: str | None = field(default=None, repr=False)

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if one.name not in ("models", "token") and not 0 < value < float("inf"):
                raise UsageError(f"{one.name} is {value}; give a number above 0.")
        if self.token is not None and not re.fullmatch("[!-~]+", self.token):
            raise UsageError(
                f"{TOKEN_VARIABLE} is set, but its value is no token; give printable ASCII characters "
                "without blanks, or unset it."
            )

    @property
    def max_body_bytes(self) -> int:
        """`max_mb` in bytes."""
        return round(self.max_mb * 1e6)

    @property
    def max_spool_bytes(self) -> int:
        """What all uploads together may take on the disk."""
        return SPOOL_UPLOADS * self.max_body_bytes
