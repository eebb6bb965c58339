"""What a recipe may say of its front end: every feature with its own settings, and the stack of them."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field, model_validator

from vocalics.lab.recipes.closed import Closed, Count, Positive

#: Frames that a delta is fitted to; librosa's default.
DELTA_WIDTH = 9


class Mel(Closed):
    """Mel power spectrogram."""

    name: Literal["mel"] = "mel"
    n_mels: Count = 128
    fmin: float = Field(default=0.0, ge=0)
    fmax: Positive | None = None


class LogMel(Closed):
    """Log-mel spectrogram in dB under the clip's maximum, floored at `top_db`."""

    name: Literal["log_mel"] = "log_mel"
    n_mels: Count = 128
    fmin: float = Field(default=0.0, ge=0)
    fmax: Positive | None = None
    top_db: Positive = 80.0


class Mfcc(Closed):
    """Mel-frequency cepstral coefficients; `deltas` adds their velocity (1) and acceleration (2)."""

    name: Literal["mfcc"] = "mfcc"
    n_mfcc: Count = 20
    n_mels: Count = 128
    fmin: float = Field(default=0.0, ge=0)
    fmax: Positive | None = None
    deltas: int = Field(default=0, ge=0, le=2)

    @model_validator(mode="after")
    def _bands_suffice(self) -> "Mfcc":
        if self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc is {self.n_mfcc}; give at most n_mels, {self.n_mels}")
        return self


class Chroma(Closed):
    """Chromagram at the tuning of concert pitch."""

    name: Literal["chroma"] = "chroma"
    n_chroma: Count = 12


class SpectralContrast(Closed):
    """Peaks over valleys in dB, octave by octave."""

    name: Literal["spectral_contrast"] = "spectral_contrast"
    n_bands: Count = 6
    fmin: Positive = 200.0
    quantile: Annotated[float, Field(gt=0, lt=0.5)] = 0.02


class SpectralCentroid(Closed):
    """Mean frequency, Hz."""

    name: Literal["spectral_centroid"] = "spectral_centroid"


class SpectralBandwidth(Closed):
    """Deviation of frequency around the centroid, Hz."""

    name: Literal["spectral_bandwidth"] = "spectral_bandwidth"


class SpectralRolloff(Closed):
    """Frequency below which a share of the magnitude lies, Hz."""

    name: Literal["spectral_rolloff"] = "spectral_rolloff"
    share: Annotated[float, Field(gt=0, lt=1)] = 0.85


class SpectralFlatness(Closed):
    """Geometric over arithmetic mean of the power: 1 for noise, near 0 for a tone."""

    name: Literal["spectral_flatness"] = "spectral_flatness"


class ZeroCrossingRate(Closed):
    """Share of the samples at which the sign changes."""

    name: Literal["zero_crossing_rate"] = "zero_crossing_rate"


class Rms(Closed):
    """Root mean square of the samples."""

    name: Literal["rms"] = "rms"


Feature = Annotated[
    Mel
    | LogMel
    | Mfcc
    | Chroma
    | SpectralContrast
    | SpectralCentroid
    | SpectralBandwidth
    | SpectralRolloff
    | SpectralFlatness
    | ZeroCrossingRate
    | Rms,
    Field(discriminator="name"),
]

#: Settings of every feature by the name that a recipe gives it.
FEATURE_SETTINGS: dict[str, type[BaseModel]] = {
    settings.model_fields["name"].default: settings
    for settings in (
        Mel,
        LogMel,
        Mfcc,
        Chroma,
        SpectralContrast,
        SpectralCentroid,
        SpectralBandwidth,
        SpectralRolloff,
        SpectralFlatness,
        ZeroCrossingRate,
        Rms,
    )
}


class FeatureSettings(Closed):
    """The front end: one shared spectrum, a stack of features over it, a normalisation.

    ``round_to_bits`` gives every recording the noise floor of such samples: in its pauses and above its band,
    features that hear ratios would otherwise hear what a decoder or resampler left there. ``amplitude: peak``
    brings the loudest sample of a clip to 1.

    ``functionals`` replace the frames of a clip by their statistics; ``frames`` cuts a clip to so many, or
    pads it, after the normalisation, with the mean.

    ``level`` subtracts the clip's mean over all rows and frames, ``utterance`` gives each row of a clip mean
    0 and deviation 1, ``training`` does so with statistics of the training part.
    """

    round_to_bits: Annotated[int, Field(ge=8, le=24)] | None = None
    amplitude: Literal["as_is", "peak"] = "as_is"
    n_fft: Count = 512
    hop_length: Count = 256
    win_length: Count | None = None
    stack: tuple[Feature, ...] = Field(min_length=1)
    functionals: tuple[Literal["mean", "std"], ...] = ()
    normalisation: Literal["none", "level", "utterance", "training"] = "training"
    frames: Count | None = None

    @property
    def fixed_frames(self) -> int | None:
        """Frames that every clip comes out with, whatever its length; None where they follow its length."""
        return 1 if self.functionals else self.frames

    @model_validator(mode="after")
    def _rows_differ(self) -> "FeatureSettings":
        names = [part.name for part in self.stack]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice:
            raise ValueError(f"stack names {twice} twice, whose rows would have the same names; name it once")
        return self

    @model_validator(mode="after")
    def _window_fits(self) -> "FeatureSettings":
        if self.win_length and self.win_length > self.n_fft:
            raise ValueError(f"win_length is {self.win_length}; it cannot be longer than n_fft, {self.n_fft}")
        return self

    @model_validator(mode="after")
    def _functionals_stand_alone(self) -> "FeatureSettings":
        if self.functionals and self.frames:
            raise ValueError("functionals leave one frame of a clip; leave out frames")
        if self.functionals and self.normalisation in ("level", "utterance"):
            raise ValueError(
                f"functionals leave one frame, which normalisation '{self.normalisation}' would blank; take "
                "'training' or 'none'"
            )
        return self
