"""What a recipe says about how training clips are recorded: rooms, other voices, lines, devices."""

from typing import Annotated, Any

from pydantic import Field, model_validator

from vocalics.lab.recipes.closed import Closed, Positive, Share


class RecordingSettings(Closed):
    """Bad recordings of training clips, each drawn with a probability of its own; by default there are none.

    ``babble_snr_db`` mixes in several other speakers of the training part at that signal-to-noise ratio.
    ``echo_rt60_s`` is the time in which a room's echo falls by 60 dB, ``echo_direct_db`` how far the direct
    sound lies above all of it. ``band_low_hz`` and ``band_high_hz`` limit the band on both sides, as a
    telephone does; ``mu_law_probability`` is the share of these clips that also pass an 8-bit mu-law code.
    ``low_pass_hz`` limits it above alone, as lossy coders do. Up to a share of ``clip_share`` of the samples
    is clipped.

    ``vocal_tract`` is the factor by which the vocal tract of all speakers of a batch gets shorter; it has no
    probability, since a range around 1 leaves voices nearly as they are.
    """

    babble_snr_db: tuple[float, float] | None = None
    babble_probability: Share = 0.3
    echo_rt60_s: tuple[Positive, Positive] | None = None
    echo_direct_db: tuple[float, float] = (0.0, 10.0)
    echo_probability: Share = 0.3
    band_low_hz: tuple[Positive, Positive] | None = None
    band_high_hz: tuple[Positive, Positive] | None = None
    band_probability: Share = 0.3
    mu_law_probability: Share = 0.5
    low_pass_hz: tuple[Positive, Positive] | None = None
    low_pass_probability: Share = 0.3
    clip_share: Annotated[float, Field(gt=0, lt=1)] | None = None
    clip_probability: Share = 0.3
    vocal_tract: tuple[Positive, Positive] | None = None

    @model_validator(mode="after")
    def _a_band_has_two_sides(self) -> "RecordingSettings":
        if (self.band_low_hz is None) != (self.band_high_hz is None):
            raise ValueError("a band has two sides; give both band_low_hz and band_high_hz")
        if self.band_low_hz and self.band_high_hz and self.band_low_hz[1] >= self.band_high_hz[0]:
            raise ValueError(
                f"band_low_hz reaches {self.band_low_hz[1]:g}, and band_high_hz begins at "
                f"{self.band_high_hz[0]:g}; let every band have something in it"
            )
        return self

    @property
    def recording_ranges(self) -> dict[str, tuple[float, float] | None]:
        """Settings with a lower and an upper bound, by their names in a recipe."""
        names = (
            *("babble_snr_db", "echo_rt60_s", "echo_direct_db", "band_low_hz", "band_high_hz"),
            *("low_pass_hz", "vocal_tract"),
        )
        return {f"augmentation.{name}": getattr(self, name) for name in names}

    @property
    def changes_recordings(self) -> bool:
        """Whether waveforms are recorded badly at all."""
        ranges = (self.babble_snr_db, self.echo_rt60_s, self.band_low_hz, self.low_pass_hz)
        return any(ranges) or self.clip_share is not None


#: Of `RecordingSettings`, those that change the waveform.
RECORDING_CHANGES = tuple(name for name in RecordingSettings.model_fields if name != "vocal_tract")


def without_defaults(changes: dict[str, Any]) -> dict[str, Any]:
    """Leave the recording settings out that are as by default, where settings name what was made of them.

    What was made before these settings were there keeps its name so.
    """
    defaults = RecordingSettings().model_dump(mode="json")
    return {name: value for name, value in changes.items() if name not in defaults or value != defaults[name]}


def require_crops(settings: RecordingSettings, *, are_crops: bool, hears_mels: bool) -> None:
    """Raise `ValueError` for what is drawn anew for every crop or batch, where nothing is.

    Parameters
    ----------
    settings
        Of the recipe.
    are_crops
        Whether clips are cropped (``training.crop_s``), or come undivided.
    hears_mels
        Whether a feature is computed from a mel spectrogram.
    """
    if settings.babble_snr_db and not are_crops:
        raise ValueError(
            "augmentation.babble_snr_db mixes in other clips of the training part, and clips that come "
            "undivided (training.crop_s null) are stored for all parts; give a crop_s such as [3.0, 3.0]"
        )
    if settings.vocal_tract and not (are_crops and hears_mels):
        raise ValueError(
            "augmentation.vocal_tract moves the filters of mel spectrograms from batch to batch; take a "
            "feature that has them (mel, log_mel, mfcc), and give a training.crop_s such as [3.0, 3.0]"
        )
