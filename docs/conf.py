"""The documentation as a site: ``sphinx-build -W --keep-going docs build/site``, or ``just docs``.

Its pages are the Markdown files of this folder, which read as well where there is no site. What Markdown
cannot say is put in here: the order of the pages, and what is made anew for every build (`site_parts`).
"""

import sys
from importlib.metadata import version as installed
from pathlib import Path

from sphinx.application import Sphinx

sys.path.insert(0, str(Path(__file__).parent))

import site_parts

#: Every page, in the order of the sidebar. One that is missing here is an error of the build.
NAVIGATION = {
    "Begin": ["start", "model-card", "figures"],
    "A recording": ["for-a-recording", "timeline", "explain", "app"],
    "An archive": ["for-an-archive", "batch"],
    "A program": ["for-engineers", "models", "service", "performance", "api", "command-line"],
    "Research": [
        *("for-researchers", "training", "encoders", "features", "systems", "leakage", "experiments"),
        *("scaling", "api-lab"),
    ],
    "The project": ["extend", "contributing", "changelog", "licence"],
}

project = "vocalics"
copyright = "the vocalics founders; code MIT, bundled model CC BY-NC-SA 4.0"
version = release = installed("vocalics")
extensions = ["myst_parser", "sphinx.ext.autodoc", "numpydoc"]
source_suffix = {".md": "markdown"}
exclude_patterns = ["results/**"]

# Markdown as GitHub reads it, and no more: pictures with a width are written as HTML there.
myst_enable_extensions = ["html_image"]
myst_heading_anchors = 4

# The reference. Names in backticks become links where they lead somewhere; names that are typed, in a
# signature, must lead somewhere unless they are of another package, whose pages are not asked (no network).
default_role = "py:obj"
nitpicky = True
nitpick_ignore_regex = [("py:obj", ".*"), (r"py:.*", r"(?!vocalics\.).*")]
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True
autodoc_typehints_format = "short"
autodoc_type_aliases = {"Recording": "Recording", "Recordings": "Recordings"}  # of overloads
python_use_unqualified_type_names = True
python_maximum_signature_line_length = 100
numpydoc_show_class_members = False
autosummary_generate = False  # numpydoc brings it; the reference is written by site_parts
numpydoc_xref_aliases = site_parts.LINKS
numpydoc_xref_param_type = True  # links in the headings of parameters, returns and errors
add_module_names = False
toc_object_entries_show_parents = "hide"

# The page. Everything that it needs lies beside it.
html_theme = "furo"
html_title = "vocalics"
html_copy_source = False
html_show_sourcelink = False
html_static_path = ["site"]
html_favicon = "site/favicon.svg"
html_css_files = ["site.css"]
pygments_style = "friendly"
pygments_dark_style = "github-dark"
html_theme_options = {
    "light_css_variables": {"color-brand-primary": "#0072b2", "color-brand-content": "#0072b2"},
    "dark_css_variables": {"color-brand-primary": "#56b4e9", "color-brand-content": "#56b4e9"},
}


def setup(app: Sphinx) -> None:
    """Fill the pages with what is made for the site alone."""
    app.connect("source-read", fill_page)
    app.connect("autodoc-skip-member", site_parts.skip_member)
    app.connect("autodoc-process-signature", site_parts.shorten_signature)


def fill_page(app: Sphinx, name: str, source: list[str]) -> None:
    """Put the parts of the site into a page, and the order of the pages into the first one."""
    source[0] = site_parts.fill(source[0])
    if name == "index":
        source[0] += "".join(site_parts.table_of_contents(*section) for section in NAVIGATION.items())
