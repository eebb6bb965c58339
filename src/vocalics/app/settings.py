"""What the command line says to the pages, as arguments of the script that Streamlit runs."""

from collections.abc import Sequence
from dataclasses import dataclass

#: Largest file that can be uploaded, MB: it is held in memory. An hour of stereo at 16 bit and 16 kHz is 230.
LARGEST_UPLOAD_MB = 500

#: How long after its page was closed a session is forgotten, seconds: a phone may lose the network for a
#: while.
FORGET_AFTER_S = 60.0

_NO_FOLDERS = "--no-folders"


@dataclass(frozen=True)
class Settings:
    """What somebody chose who started the page.

    Attributes
    ----------
    models
        Names or paths of models that are offered before the bundled ones.
    folders
        Whether the pages may read folders of this machine: where only this machine can open them.

    Examples
    --------
    >>> Settings.from_arguments(Settings(("a.onnx",), folders=False).to_arguments())
    Settings(models=('a.onnx',), folders=False)
    """

    models: tuple[str, ...] = ()
    folders: bool = True

    def to_arguments(self) -> list[str]:
        """Return the settings as arguments of a program."""
        return [*([] if self.folders else [_NO_FOLDERS]), *self.models]

    @classmethod
    def from_arguments(cls, arguments: Sequence[str]) -> "Settings":
        """Read what `to_arguments` wrote."""
        folders = _NO_FOLDERS not in arguments[:1]
        return cls(tuple(arguments if folders else arguments[1:]), folders)
