"""What stands in a figure, read back."""

from matplotlib.text import Text


def by_gid(figure, gid):
    """The one artist of that name."""
    (found,) = figure.findobj(lambda artist: artist.get_gid() == gid)
    return found


def texts(figure):
    return [text.get_text() for text in figure.findobj(Text) if text.get_text()]


def title(figure):
    return figure.get_suptitle()
