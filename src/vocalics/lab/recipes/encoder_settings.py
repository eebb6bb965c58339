"""What a recipe may say of a pretrained encoder that stands before its network, in the place of features."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from vocalics.lab.recipes.closed import Closed, Positive


def _known_depth(value: Any) -> Any:
    """Refuse what says neither none, all, nor how many layers, in one sentence for the three."""
    counted = isinstance(value, int) and not isinstance(value, bool) and value >= 1
    if not counted and value not in ("none", "all"):
        raise ValueError("give none, all, or how many of the top layers are trained, such as 4")
    return value


class EncoderSettings(Closed):
    """A pretrained speech encoder from a folder or the Hugging Face hub; the network hears its layers.

    ``source`` is a local folder, or a hub id with its ``revision`` (a branch, a tag or a commit). The network
    hears a learned sum of all layers, or of some: ``layers`` counts them from 0, which is what enters the
    first one; -1 is the last.

    With ``fine_tune: none`` the encoder stays as it is and hears every clip once. Else its top layers are
    trained, or all of them, the last one at ``learning_rate`` and each one below at ``layer_decay`` times the
    rate of the one above; the convolutions under the first layer never are.
    """

    source: str | None = None
    revision: str | None = None
    layers: tuple[int, ...] | None = Field(default=None, min_length=1)
    fine_tune: Annotated[Literal["none", "all"] | int, BeforeValidator(_known_depth)] = "none"
    learning_rate: Positive = 2e-5
    layer_decay: Annotated[float, Field(gt=0, le=1)] = 0.9

    @property
    def is_frozen(self) -> bool:
        """Whether the encoder stays as it is."""
        return self.fine_tune == "none"


def require_clips(encoder: EncoderSettings, are_crops: bool, n_copies: int | None, shift_frames: int) -> None:
    """Raise `ValueError` where a recipe's clips come to its encoder as that cannot take them.

    Parameters
    ----------
    encoder
        Of the recipe.
    are_crops
        Whether clips are cropped (``training.crop_s``), or come undivided.
    n_copies
        Changed copies that a clip has; None where it is changed anew each epoch.
    shift_frames
        By how many feature frames clips are moved.
    """
    if encoder.is_frozen and are_crops:
        raise ValueError(
            "encoder.fine_tune is none, so the encoder hears each clip once, undivided; set training.crop_s "
            "to null, or train some of its layers"
        )
    if encoder.is_frozen and n_copies is None:
        raise ValueError(
            "the augmentation changes clips anew each epoch, and an encoder that stays as it is hears each "
            "of them once; give augmentation.copies, such as 4"
        )
    if not encoder.is_frozen and not are_crops:
        raise ValueError(
            "encoder.fine_tune trains the encoder on crops of equal length; give training.crop_s, such as "
            "[3.0, 3.0]"
        )
    if shift_frames:
        raise ValueError(
            "augmentation.shift_frames moves feature frames, which an encoder does not have; move the clip "
            "with augmentation.shift_s"
        )
