"""The way to the machine's sound card: the package sounddevice, and PortAudio under it."""

from typing import Any

from vocalics.errors import MissingExtraError


def sounddevice_for(purpose: str) -> Any:
    """Import sounddevice.

    Parameters
    ----------
    purpose
        What needs it, as errors begin: ``"listening"``.

    Raises
    ------
    MissingExtraError
        The package, or the PortAudio library under it, is not installed.
    """
    try:
        import sounddevice
    except ImportError:
        raise MissingExtraError(
            f"{purpose} needs sounddevice, which is not installed: pip install 'vocalics[live]'"
        ) from None
    except OSError:  # on Linux the package does not bring the library
        raise MissingExtraError(
            f"{purpose} needs the PortAudio library, which is not installed; on Debian or Ubuntu: "
            "apt install libportaudio2"
        ) from None
    return sounddevice
