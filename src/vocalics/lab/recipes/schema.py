"""What a recipe may say: frozen, closed settings with a reason for every number that is not obvious."""

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

import yaml
from pydantic import BaseModel, Field, ValidationError, model_validator

from vocalics.errors import RecipeError
from vocalics.lab.recipes.closed import Closed, Count, Positive, Share
from vocalics.lab.recipes.encoder_settings import EncoderSettings, require_clips
from vocalics.lab.recipes.feature_settings import (
    DELTA_WIDTH,
    FEATURE_SETTINGS,
    FeatureSettings,
    LogMel,
    Mel,
    Mfcc,
)
from vocalics.lab.recipes.recording_settings import RECORDING_CHANGES, RecordingSettings, require_crops

#: Below half the tempo the time stretcher draws from the machine's own randomness: no run would repeat.
Tempo = Annotated[float, Field(ge=0.5)]


class NetworkSettings(Closed):
    """Which network, with its own parameters; the network's class knows and checks them.

    With several ``members``, so many networks of that kind answer together (`networks.Ensemble`).
    """

    name: str
    members: Count = 1
    parameters: dict[str, Any] = Field(default_factory=dict)


#: Augmentation settings that change the waveform; the others change what the network hears of it.
WAVEFORM_CHANGES = (
    "copies",
    "speed",
    "gain_db",
    "noise_factor",
    "noise_snr_db",
    "noise_probability",
    "pitch_semitones",
    "pitch_probability",
    "stretch",
    "stretch_probability",
    "shift_s",
    *RECORDING_CHANGES,
)


class AugmentationSettings(RecordingSettings):
    """Changes to training clips; the validation and test parts are never changed.

    They are drawn anew each epoch. With ``copies`` the changes to the waveform are drawn so often and no
    more; the epochs go round among these copies and the clip as it is, so features are computed once.

    ``noise_factor`` is the deviation of white noise in units of full scale, added to the waveform with
    ``noise_probability`` as the noise by SNR is; ``feature_noise`` that of noise added to the normalised
    features. Shifts are up to so many seconds, or feature frames, either way.
    """

    copies: int | None = Field(default=None, ge=0)

    speed: tuple[Positive, Positive] | None = None
    gain_db: tuple[float, float] | None = None
    noise_factor: Positive | None = None
    noise_snr_db: tuple[float, float] | None = None
    noise_probability: Share = 0.5
    pitch_semitones: tuple[float, float] | None = None
    pitch_probability: Share = 0.3
    stretch: tuple[Tempo, Tempo] | None = None
    stretch_probability: Share = 0.3
    shift_s: Positive | None = None
    shift_frames: int = Field(default=0, ge=0)
    feature_noise: float = Field(default=0.0, ge=0)
    frequency_masks: int = Field(default=0, ge=0)
    frequency_mask_share: Share = 0.15
    time_masks: int = Field(default=0, ge=0)
    time_mask_share: Share = 0.12
    mixup_alpha: float = Field(default=0.0, ge=0)
    mixup_probability: Share = 0.5

    @property
    def n_copies(self) -> int | None:
        """Changed copies that a clip's waveform has; None where it is changed anew each epoch."""
        ranges = (self.speed, self.gain_db, self.noise_snr_db, self.pitch_semitones, self.stretch)
        changes = any(ranges) or self.noise_factor or self.shift_s or self.changes_recordings
        return self.copies if changes else 0


class TrainingSettings(Closed):
    """The optimisation.

    ``crop_s`` is the range from which each batch draws its length; a clip shorter than the batch is padded
    with silence. None takes clips undivided, as recognition does, which needs features of a fixed number of
    frames. ``dense_l2`` adds the squared weights of the network's dense layers, times that, to the loss.
    ``balance_corpora`` draws from each corpus as many clips an epoch as the smallest has.
    ``select`` says which epoch is kept: the last, or the one with the lowest validation loss. ``check_every``
    is in epochs. ``frozen`` names parts of the network that keep the weights they begin with.
    """

    epochs: Count
    batch_size: Count = 32
    crop_s: tuple[Positive, Positive] | None
    optimiser: Literal["adam", "adamw"] = "adamw"
    learning_rate: Positive = 1e-3
    weight_decay: float = Field(default=0.01, ge=0)
    dense_l2: float = Field(default=0.0, ge=0)
    schedule: Literal["one_cycle", "plateau", "constant"] = "one_cycle"
    warmup_share: Share = 0.1
    plateau_factor: Share = 0.5
    plateau_patience: Count = 5
    early_stopping_patience: Count | None = None
    select: Literal["last", "best"] = "last"
    gradient_clip: Positive | None = 2.0
    label_smoothing: Share = 0.0
    class_weights: bool = False
    balance_corpora: bool = False
    mask_missing_emotions: bool = False
    average_decay: Share | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    workers: int = Field(default=0, ge=0)
    seed: int = Field(default=0, ge=0)
    validation_share: Share = 0.2
    check_every: Count = 1
    frozen: tuple[str, ...] = ()


class TrainerSettings(Closed):
    """Handed to Lightning as it is: several devices and machines."""

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: int | Literal["auto"] = 1
    strategy: str = "auto"
    num_nodes: Count = 1


class Recipe(Closed):
    """All that makes a model, apart from the audio.

    ``fine_tuning`` has the settings that stand in the place of those of ``training`` where a training starts
    from a model file.

    Its network hears ``features``, or a pretrained ``encoder`` in their place.
    """

    name: str = Field(pattern=r"^[a-z][a-z0-9-]*$")
    description: str
    corpora: tuple[str, ...] = Field(min_length=1)
    emotions: tuple[str, ...] = Field(min_length=2)
    merge: dict[str, str] = Field(default_factory=dict)
    claim: str | None = None
    sample_rate: int = Field(default=16_000, ge=8_000, le=48_000)
    bandwidth_hz: Positive = 8_000.0
    window_s: Positive = 6.0
    minimum_s: Positive = 0.25
    features: FeatureSettings | None = None
    encoder: EncoderSettings | None = None
    network: NetworkSettings
    augmentation: AugmentationSettings = AugmentationSettings()
    training: TrainingSettings
    fine_tuning: dict[str, Any] = Field(default_factory=dict)
    trainer: TrainerSettings = TrainerSettings()

    @model_validator(mode="after")
    def _ranges_are_ordered(self) -> "Recipe":
        ranges = {
            "training.crop_s": self.training.crop_s,
            "augmentation.speed": self.augmentation.speed,
            "augmentation.gain_db": self.augmentation.gain_db,
            "augmentation.noise_snr_db": self.augmentation.noise_snr_db,
            "augmentation.pitch_semitones": self.augmentation.pitch_semitones,
            "augmentation.stretch": self.augmentation.stretch,
            **self.augmentation.recording_ranges,
        }
        for key, value in ranges.items():
            if value is not None and value[0] > value[1]:
                raise ValueError(f"{key} is [{value[0]:g}, {value[1]:g}]; give the lower bound first")
        if self.minimum_s > self.window_s:
            raise ValueError(f"minimum_s is {self.minimum_s:g}, longer than window_s, {self.window_s:g}")
        return self

    @model_validator(mode="after")
    def _one_front_end(self) -> "Recipe":
        if (self.features is None) == (self.encoder is None):
            raise ValueError(
                "a network hears features or an encoder; give the recipe one of the two sections, not both"
            )
        return self

    @model_validator(mode="after")
    def _clips_make_batches(self) -> "Recipe":
        if self.features is None:
            return self
        crop_s, frames = self.training.crop_s, self.features.fixed_frames
        if crop_s is None and frames is None:
            raise ValueError(
                "training.crop_s is null, so clips of all lengths come undivided; give features.frames or "
                "features.functionals, which make them alike, or a crop_s such as [3.0, 3.0]"
            )
        heard = frames or self._frames_in(crop_s[0] if crop_s else self.minimum_s)
        if self.augmentation.shift_frames >= heard:
            raise ValueError(
                f"augmentation.shift_frames is {self.augmentation.shift_frames}; give fewer than the {heard} "
                "frames that a clip comes with"
            )
        return self

    @model_validator(mode="after")
    def _copies_come_undivided(self) -> "Recipe":
        if self.training.crop_s is not None and self.augmentation.copies is not None:
            raise ValueError(
                "augmentation.copies is for clips that come undivided (training.crop_s null), and crops are "
                "drawn anew each epoch; leave it out"
            )
        return self

    @model_validator(mode="after")
    def _recordings_get_crops(self) -> "Recipe":
        parts = self.features.stack if self.features else ()
        require_crops(
            self.augmentation,
            are_crops=self.training.crop_s is not None,
            hears_mels=any(isinstance(part, Mel | LogMel | Mfcc) for part in parts),
        )
        return self

    @model_validator(mode="after")
    def _encoder_gets_its_clips(self) -> "Recipe":
        if self.encoder is not None:
            require_clips(
                self.encoder,
                are_crops=self.training.crop_s is not None,
                n_copies=self.augmentation.n_copies,
                shift_frames=self.augmentation.shift_frames,
            )
        return self

    @model_validator(mode="after")
    def _members_have_clips(self) -> "Recipe":
        members, batch_size = self.network.members, self.training.batch_size
        if batch_size < 2 * members:
            raise ValueError(
                f"network.members is {members}, and each needs two clips of a batch; raise "
                f"training.batch_size from {batch_size} to {2 * members} or more"
            )
        return self

    @model_validator(mode="after")
    def _deltas_have_neighbours(self) -> "Recipe":
        if self.features is None:
            return self
        crop_s = self.training.crop_s
        shortest_s = min(self.minimum_s, crop_s[0]) if crop_s else self.minimum_s
        frames = self._frames_in(shortest_s)
        if frames < DELTA_WIDTH and any(getattr(part, "deltas", 0) for part in self.features.stack):
            raise ValueError(
                f"the shortest clip or crop, {shortest_s:g} s, has {frames} frames, and deltas need "
                f"{DELTA_WIDTH}; raise minimum_s or training.crop_s, or lower features.hop_length"
            )
        return self

    def _frames_in(self, duration_s: float) -> int:
        hop_length = self.features.hop_length if self.features else 1
        return 1 + int(duration_s * self.sample_rate) // hop_length

    @model_validator(mode="after")
    def _fine_tuning_is_training(self) -> "Recipe":
        TrainingSettings.model_validate({**self.training.model_dump(), **self.fine_tuning})
        return self

    @model_validator(mode="after")
    def _emotions_differ(self) -> "Recipe":
        if len(set(self.emotions)) != len(self.emotions):
            raise ValueError("emotions names one emotion twice")
        return self

    @model_validator(mode="after")
    def _filters_lie_in_the_band(self) -> "Recipe":
        highest = self.sample_rate / 2
        for position, part in enumerate(self.features.stack if self.features else ()):
            if not isinstance(part, Mel | LogMel | Mfcc):
                continue
            fmax = highest if part.fmax is None else part.fmax
            if not part.fmin < fmax <= highest:
                raise ValueError(
                    f"features.stack.{position} spans {part.fmin:g} to {fmax:g} Hz; give fmin below fmax, "
                    f"and fmax up to half the sample rate, {highest:g}"
                )
        return self

    @property
    def lacks_encoder(self) -> bool:
        """Whether it takes an encoder and names none, so that it cannot be trained as it is."""
        return self.encoder is not None and self.encoder.source is None

    def to_yaml(self) -> str:
        """Return the whole recipe, defaults included, as YAML."""
        return yaml.safe_dump(self.model_dump(mode="json"), sort_keys=False, allow_unicode=True)


def list_recipes() -> dict[str, Path]:
    """Bundled recipes: name to YAML file, sorted by name."""
    return {path.stem: path for path in sorted(Path(__file__).parent.glob("*.yaml"))}


def load_recipe(
    name_or_path: str | Path, settings: Sequence[str] = (), *, fine_tuning: bool = False
) -> Recipe:
    """Read a recipe by name or from a YAML file, then apply ``key=value`` settings.

    Parameters
    ----------
    name_or_path
        A bundled recipe's name, or a file that ends in ``.yaml`` or ``.yml``.
    settings
        Such as ``"training.epochs=5"``; the value is YAML.
    fine_tuning
        Let the recipe's settings for fine-tuning take the place of those for training first.

    Raises
    ------
    RecipeError
        An unknown recipe or key (with the nearest known one), or a value out of range.

    Examples
    --------
    >>> load_recipe("vocalics", ["training.epochs=5"]).training.epochs
    5
    """
    path = Path(name_or_path)
    if path.suffix not in (".yaml", ".yml"):
        known = list_recipes()
        if str(name_or_path) not in known:
            near = get_close_matches(str(name_or_path), known, n=1)
            hint = f"; did you mean '{near[0]}'?" if near else "."
            raise RecipeError(
                f"there is no recipe '{name_or_path}'{hint} Known: {', '.join(known)}; or name a .yaml file."
            )
        path = known[str(name_or_path)]
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise RecipeError(f"there is no recipe file '{path}'.") from None
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        reason = str(error).replace("\n", " ")
        raise RecipeError(f"{path} is not a recipe in YAML: {reason}.") from None
    if not isinstance(content, dict):
        raise RecipeError(
            f"{path} holds no settings; a recipe is a YAML mapping that starts with 'name: ...'."
        )
    if fine_tuning and isinstance(content.get("fine_tuning"), dict):
        content["training"] = {**content.get("training", {}), **content["fine_tuning"]}
    for setting in settings:
        _apply(content, setting)
    return parse_recipe(content, source=str(name_or_path))


def parse_recipe(content: dict[str, Any], source: str = "the recipe") -> Recipe:
    """Check a mapping against the schema; `RecipeError` names `source` and the first thing wrong."""
    try:
        recipe = Recipe.model_validate(content)
    except ValidationError as error:
        raise RecipeError(f"{source}: {_first_fault(error)}") from None
    unknown = [label for label in recipe.merge.values() if label not in recipe.emotions]
    if unknown:
        raise RecipeError(
            f"{source}: merge leads to '{unknown[0]}', which is not among the recipe's emotions."
        )
    return recipe


def _apply(content: dict[str, Any], setting: str) -> None:
    key, equals, value = setting.partition("=")
    if not equals or not key.strip():
        raise RecipeError(f"'{setting}' is not a setting; write key=value, for example training.epochs=5.")
    target = content
    *parents, last = key.strip().split(".")
    for part in parents:
        target = target.setdefault(part, {})
        if not isinstance(target, dict):
            raise RecipeError(f"'{setting}' sets a key of '{part}', which has none; set '{part}' as a whole.")
    try:
        target[last] = yaml.safe_load(value)
    except yaml.YAMLError:
        raise RecipeError(f"the value of '{setting}' is not YAML.") from None


def _first_fault(error: ValidationError) -> str:
    """Say the first thing wrong; an unknown key comes first, since it is why another one is missing."""
    faults = error.errors()
    first = next((fault for fault in faults if fault["type"] == "extra_forbidden"), faults[0])
    path = [str(part) for part in first["loc"]]
    if first["type"] == "extra_forbidden":
        *parents, last = path
        where = f" under '{'.'.join(parents)}'" if parents else ""
        return f"unknown key '{last}'{where}{_remedy(last, _keys_at(parents), 'keys')}"
    if first["type"] == "union_tag_invalid":
        name = str(first["ctx"]["tag"])
        return f"unknown feature '{name}' in '{'.'.join(path)}'{_remedy(name, FEATURE_SETTINGS, 'features')}"
    if first["type"] == "union_tag_not_found":
        return f"'{'.'.join(path)}' names no feature. Known features: {', '.join(FEATURE_SETTINGS)}."
    given = "" if isinstance(first["input"], dict) else f" (given: {first['input']!r})"
    message = first["msg"].removeprefix("Value error, ")  # pydantic's word before those that we raise
    return f"{'.'.join(path)}: {message}{given}." if path else f"{message}{given}."


def _remedy(name: str, known: Collection[str], kind: str) -> str:
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    return f"; did you mean '{near[0]}'?" if near else f". Known {kind}: {', '.join(known)}."


def _keys_at(path: Sequence[str]) -> list[str]:
    """List the keys that settings under `path` have, such as ``("features", "stack", "0", "log_mel")``."""
    model: type[BaseModel] = Recipe
    for part in path:
        field = model.model_fields.get(part)
        if part in FEATURE_SETTINGS:  # pydantic names the member of the union in the path
            model = FEATURE_SETTINGS[part]
            continue
        for kind in (field.annotation, *get_args(field.annotation)) if field else ():  # or of ``X | None``
            if isinstance(kind, type) and issubclass(kind, BaseModel):
                model = kind
    return list(model.model_fields)
