"""Sound through the loudspeakers: what ``predict --play`` does before it tells the answer."""

from vocalics.audio import Waveform
from vocalics.errors import UsageError
from vocalics.recognition.sound_card import sounddevice_for

#: Channels that go out as they are; a recording with more is mixed to mono.
STEREO = 2


def play(waveform: Waveform) -> None:
    """Play a recording on the machine's default output, and return when it has ended.

    The sound goes out at its own rate where the output takes that, else at the output's; mono and stereo as
    they are, where the output has the channels.

    Parameters
    ----------
    waveform
        What to play; beyond full scale it is clipped.

    Raises
    ------
    MissingExtraError
        The package sounddevice, or the PortAudio library under it, is not installed.
    UsageError
        The machine has no audio output, or it refuses the sound.
    """
    sounddevice = sounddevice_for("playing sound")
    try:
        output = sounddevice.query_devices(kind="output")
    except (sounddevice.PortAudioError, ValueError):  # ValueError: the default is an input
        raise UsageError(
            "this machine has no audio output to play on; connect loudspeakers or headphones, and try again."
        ) from None
    sound = waveform if waveform.n_channels <= min(STEREO, output["max_output_channels"]) else waveform.mono()
    try:
        sounddevice.check_output_settings(
            channels=sound.n_channels, dtype="float32", samplerate=sound.sample_rate
        )
    except sounddevice.PortAudioError:
        sound = sound.resampled(round(output["default_samplerate"]))
    try:
        sounddevice.play(sound.samples.T, sound.sample_rate, blocking=True)  # (n_samples, channels)
    except sounddevice.PortAudioError as error:
        raise UsageError(
            f"the audio output '{output['name']}' refuses the sound ({error}); choose another in the "
            "system's settings, and try again."
        ) from None
