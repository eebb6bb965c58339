"""At which rate each part of a recogniser learns: an encoder's layers the slower, the deeper they lie."""

from typing import TYPE_CHECKING, Any

from vocalics.lab.encoders.front_end import EncoderFrontEnd
from vocalics.lab.recipes.schema import Recipe

if TYPE_CHECKING:
    from vocalics.lab.recogniser import Recogniser


def parameter_groups(recipe: Recipe, recogniser: "Recogniser") -> list[dict[str, Any]]:
    """Return what an optimiser trains, in groups that have a learning rate each.

    The first group has ``training.learning_rate``: the network, the head, and the weights of an encoder's
    layers. Of an encoder that is trained, the top layer has ``encoder.learning_rate``, and each one below
    ``encoder.layer_decay`` times the rate of the one above [1]_.

    References
    ----------
    .. [1] Howard, Ruder: Universal language model fine-tuning for text classification. ACL 2018.
    """
    front_end, settings = recogniser.front_end, recipe.encoder
    if settings is None or not isinstance(front_end, EncoderFrontEnd):
        return [{"params": list(recogniser.parameters()), "lr": recipe.training.learning_rate}]
    blocks = front_end.trained_blocks()
    of_encoder = {weight for block in blocks for weight in block}
    others = [
        weight for weight in recogniser.parameters() if weight.requires_grad and weight not in of_encoder
    ]
    return [
        {"params": others, "lr": recipe.training.learning_rate},
        *(
            {"params": block, "lr": settings.learning_rate * settings.layer_decay**depth}
            for depth, block in enumerate(blocks)
        ),
    ]
