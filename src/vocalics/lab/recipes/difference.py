"""What tells two recipes apart: the settings that train another model."""

from collections.abc import Collection
from typing import Any

from vocalics.lab.recipes.schema import Recipe

#: Words, how the work is spread over devices and processes, and what is for other trainings: the model is the
#: same whatever they say.
_UNHEARD = ("description", "claim", "trainer", "training.workers", "fine_tuning")

#: Sections that are named as a whole.
_WHOLE = ("merge", "trainer", "fine_tuning")


def differing_settings(one: Recipe, other: Recipe, ignore: Collection[str] = ()) -> list[str]:
    """Name the settings in which two recipes train different models.

    Parameters
    ----------
    one, other
        Recipes; ``description``, ``claim``, ``trainer``, ``training.workers`` and ``fine_tuning`` may differ.
    ignore
        What else may differ, such as ``"training.seed"``.

    Examples
    --------
    >>> from vocalics.lab.recipes import load_recipe
    >>> changes = ["training.epochs=5", "training.seed=1", "trainer.devices=2"]
    >>> differing_settings(load_recipe("vocalics"), load_recipe("vocalics", changes), ["training.seed"])
    ['training.epochs']
    """
    first, second = _settings(one), _settings(other)
    differing = {key for key in first | second if first.get(key) != second.get(key)}
    return sorted(differing - {*_UNHEARD, *ignore})


def _settings(recipe: Recipe) -> dict[str, Any]:
    """Every setting by the name that ``--set`` knows."""
    named: dict[str, Any] = {}
    for key, value in recipe.model_dump(mode="json").items():
        if isinstance(value, dict) and key not in _WHOLE:
            named |= {f"{key}.{name}": inner for name, inner in value.items()}
        else:
            named[key] = value
    return named
