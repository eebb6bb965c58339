"""vocalics as its README writes it."""

from collections.abc import Callable

from predicting import parser, tell

import vocalics


def open_model() -> tuple[Callable[[str], str], int]:
    """Open the bundled model."""
    model = vocalics.load()
    return lambda path: str(model.predict(path).emotion), model.card.parameters


if __name__ == "__main__":
    tell(parser().parse_args(), open_model)
