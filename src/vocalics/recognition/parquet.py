"""Tables of predictions and segments as Parquet: the columns of the CSV tables, with types."""

import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import islice
from typing import Any

from vocalics.errors import MissingExtraError
from vocalics.recognition.formats import BEFORE, unicode_text

#: Columns that hold numbers, as every emotion does; the others but `abstained` hold text.
NUMBERS = ("confidence", "duration_s", "start_s", "end_s")

#: Rows turned at once, since as Python objects they take some ten times the memory.
ROWS_AT_ONCE = 4096


def require_parquet() -> None:
    """Raise `MissingExtraError` where Parquet cannot be written: before hours are heard for it."""
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise MissingExtraError(
            "Parquet needs pyarrow, which is not installed: pip install 'vocalics[batch]', or choose another "
            "format."
        ) from None


def rows_to_parquet(
    rows: Iterable[Sequence[Any]], emotions: Sequence[str], after: Sequence[str], metadata: Mapping[str, str]
) -> bytes:
    """Return a Parquet file.

    Parameters
    ----------
    rows
        As of `formats.cells`, taken as they are written.
    emotions, after
        Columns, as of `formats.cells`.
    metadata
        What the file says of itself, beside the rows.

    Raises
    ------
    MissingExtraError
        The extra ``batch`` is not installed.
    """
    require_parquet()
    import pyarrow as pa
    import pyarrow.parquet as pq

    types = {"abstained": pa.bool_()} | dict.fromkeys((*NUMBERS, *emotions), pa.float64())
    schema = pa.schema(
        [(unicode_text(column), types.get(column, pa.string())) for column in (*BEFORE, *emotions, *after)],
        metadata={key: unicode_text(value) for key, value in metadata.items()},
    )
    rows, batches = iter(rows), []
    while some := list(islice(rows, ROWS_AT_ONCE)):
        columns = (
            [unicode_text(value) if isinstance(value, str) else value for value in column]
            for column in zip(*some, strict=True)
        )
        arrays = [pa.array(column, kind) for column, kind in zip(columns, schema.types, strict=True)]
        batches.append(pa.RecordBatch.from_arrays(arrays, schema=schema))
    file = io.BytesIO()
    pq.write_table(pa.Table.from_batches(batches, schema), file)
    return file.getvalue()
