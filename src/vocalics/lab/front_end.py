"""What stands before the network of a recipe: features, or a pretrained encoder."""

from vocalics.lab.encoders import EncoderFrontEnd
from vocalics.lab.features.stack import FrontEnd
from vocalics.lab.recipes.schema import Recipe


def build_front_end(recipe: Recipe) -> FrontEnd | EncoderFrontEnd:
    """Build what a recipe's network hears.

    Raises
    ------
    RecipeError, ModelError, MissingExtraError
        As of `EncoderFrontEnd`.
    """
    if recipe.features is not None:
        return FrontEnd(recipe.features, recipe.sample_rate)
    if recipe.encoder is None:
        raise RuntimeError("a recipe has features or an encoder")  # as the schema says
    return EncoderFrontEnd(recipe.encoder, recipe.sample_rate, recipe.window_s)


def hop_samples(front_end: FrontEnd | EncoderFrontEnd) -> int:
    """Return the samples from frame to frame of what a network hears."""
    if isinstance(front_end, EncoderFrontEnd):
        return front_end.hop_samples
    return front_end.settings.hop_length
