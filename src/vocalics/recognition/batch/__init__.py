"""Archives: many recordings into a folder of rows, by many workers, killed and resumed at will.

From what a person names (`listing`) to a sorted list on disk (`inputs`), in pieces (`pieces`) to workers here
(`processes`, `worker`) or on a cluster (`on_ray`), which answer each recording (`task`), and back into parts
that are whole or not there (`folder`); `run` is all of it.
"""

from vocalics.recognition.batch.reports import Progress, Summary
from vocalics.recognition.batch.run import batch

__all__ = ["Progress", "Summary", "batch"]
