"""Everything that vocalics raises on purpose.

::

    VocalicsError
    ├── AudioError          a recording that cannot be used: not found, not audio, empty, NaN, too short
    ├── ModelError          a model file that cannot be used: not found, cut short, of another format
    ├── UsageError          the call itself is wrong: an unknown name, a value out of range
    │   ├── RecipeError     a recipe with an unknown key or a value out of range
    │   └── MissingExtraError   the call needs an optional dependency that is not installed
    ├── CorpusError         a corpus folder or table that is not what it should be
    │   └── DownloadError   a corpus that could not be fetched
    ├── SplitError          a split that cannot be made, read or matched to a manifest
    │   └── LeakError       the same speaker or the same audio on two sides of a split
    ├── TrainingError       a training that cannot start or go on
    └── ExportError         an exported model that does not answer as the trained one

Each message is one sentence that says what was given, what is allowed and what to do.
"""


class VocalicsError(Exception):
    """Root of every error that vocalics raises on purpose."""


class AudioError(VocalicsError):
    """A recording cannot be used."""


class ModelError(VocalicsError):
    """A model file cannot be used."""


class UsageError(VocalicsError):
    """The call itself is wrong."""


class RecipeError(UsageError):
    """A recipe has an unknown key or a value out of range."""


class MissingExtraError(UsageError):
    """An optional dependency is not installed."""


class CorpusError(VocalicsError):
    """A corpus folder or table is not what it should be."""


class DownloadError(CorpusError):
    """A corpus could not be fetched."""


class SplitError(VocalicsError):
    """A split cannot be made, read or matched to a manifest."""


class LeakError(SplitError):
    """The same speaker or the same audio stands on two sides of a split."""


class TrainingError(VocalicsError):
    """A training cannot start or go on."""


class ExportError(VocalicsError):
    """An exported model does not answer as the trained one."""
