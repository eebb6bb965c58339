"""Many answers as a table that sorts, and as CSV."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import streamlit as st

from vocalics.app import words
from vocalics.recognition.formats import predictions_to_csv
from vocalics.recognition.prediction import Prediction

#: Rows that are seen without scrolling.
ROWS_SEEN = 12

#: Recordings that failed, each of which has its sentence.
MOST_ERRORS = 10

#: What is counted that is no emotion.
_UNSURE, _SILENT, _FAILED = _WITHOUT = ("unsure", "without speech", "not heard")


def show(predictions: Sequence[Prediction], labels: Sequence[str], place: str) -> None:
    """Draw answers, one a row, with what they add up to, and offer them as CSV."""
    counts = Counter(_answer(one) for one in predictions)
    # The emotions first, the most frequent at the front; behind them what has none.
    ordered = sorted(counts.items(), key=lambda item: (item[0] in _WITHOUT, -item[1]))
    parts = [f"{count:,} {what}" for what, count in ordered]
    st.markdown(f"**{len(predictions):,} recordings:** {words.listed(parts)}.")
    st.dataframe(
        [_row(one) for one in predictions],
        hide_index=True,
        height=38 + 35 * min(ROWS_SEEN, len(predictions)),
        column_config={
            "sure": st.column_config.ProgressColumn("sure", format="%.0f %%", min_value=0, max_value=100),
            "seconds": st.column_config.NumberColumn("seconds", format="%.1f"),
        },
        placeholder="–",
        alt="One row for each recording: its name, the emotion, how sure that is, the next one, its length",
    )
    st.caption("A click on a heading sorts.")
    st.download_button(
        "Download as CSV",
        "".join(predictions_to_csv(predictions, labels)),
        file_name="emotions.csv",
        mime="text/csv",
        key=f"{place} csv",
        icon=":material/download:",
        on_click="ignore",
    )


def tell_failures(predictions: Sequence[Prediction]) -> None:
    """Say in a sentence each what could not be heard."""
    errors = [words.plain(words.sentence(one, 0.0)) for one in predictions if one.error is not None]
    if errors:
        more = [f"and {len(errors) - MOST_ERRORS:,} more."] if len(errors) > MOST_ERRORS else []
        st.warning("\n\n".join([*errors[:MOST_ERRORS], *more]), icon=":material/hearing_disabled:")


def _answer(prediction: Prediction) -> str:
    if prediction.error is not None:
        return _FAILED
    if prediction.emotion is None:
        return _SILENT
    return _UNSURE if prediction.abstained else prediction.emotion


def _row(prediction: Prediction) -> dict[str, Any]:
    ranked = sorted(prediction.probabilities.items(), key=lambda item: -item[1])
    second = f"{ranked[1][0]} {words.percent(ranked[1][1])}" if len(ranked) > 1 else None
    return {
        "recording": prediction.path,
        "emotion": prediction.emotion,
        "sure": None if prediction.confidence is None else 100 * prediction.confidence,
        "next": second,
        "seconds": prediction.duration_s,
        "note": _FAILED if prediction.error is not None else prediction.reason,
    }
