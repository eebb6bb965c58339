"""The look of the pages, light and dark: the colours of the page that ``timeline --html`` writes."""

from collections.abc import Mapping
from typing import Any

#: By theme, as Streamlit calls them.
_PALETTES: Mapping[str, Mapping[str, str]] = {
    "light": {
        "backgroundColor": "#f6f7f9",
        "secondaryBackgroundColor": "#ffffff",
        "textColor": "#1f2430",
        "borderColor": "#dfe3e8",
        "primaryColor": "#0072b2",
        "linkColor": "#0072b2",
    },
    "dark": {
        "backgroundColor": "#101318",
        "secondaryBackgroundColor": "#181c23",
        "textColor": "#e7eaee",
        "borderColor": "#2e343e",
        "primaryColor": "#56b4e9",
        "linkColor": "#56b4e9",
    },
}

#: Around what has an emotion's colour: yellow fades on white, dark blue on black.
OUTLINE = "rgba(128,128,128,0.65)"

#: Lines that are seen on both pages.
GREY = "#7f868f"


def theme_options() -> dict[str, Any]:
    """Return the look as Streamlit's settings; the visitor's system chooses between light and dark."""
    options: dict[str, Any] = {
        "theme.baseRadius": "0.75rem",
        "theme.showWidgetBorder": True,
        "theme.paddingTop": "3rem",
        "theme.headingFontWeights": [650, 650, 600],
        "theme.headingFontSizes": ["2.1rem", "1.4rem", "1.15rem"],
    }
    for theme, colors in _PALETTES.items():
        options |= {f"theme.{theme}.{name}": color for name, color in colors.items()}
    return options
