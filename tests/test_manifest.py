"""The manifest: its order, its selections, and its tables on disk."""

import csv
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from made_manifests import manifest, nemo, savee, spoken_by, utterance
from vocalics.errors import CorpusError
from vocalics.lab.manifest import COLUMNS, Manifest, Utterance, load_manifest

#: Words in any script, with commas, quotes and line feeds; neither surrogates nor control characters.
words = st.text(st.characters(exclude_categories=("Cs", "Cc")) | st.just("\n"), max_size=8)
#: What people wrote into the eight columns of words between id and digest, `duration_s` aside.
rows = st.tuples(*[words] * 7)


class TestManifest:
    def test_utterances_are_sorted_by_id(self):
        made = manifest(reversed(nemo()))
        assert [u.id for u in made] == sorted(u.id for u in nemo())
        assert made == manifest(nemo())

    def test_corpora_and_speakers_are_listed_once(self):
        made = manifest(savee() + spoken_by("calls", {"DC": ""}))  # another DC
        assert made.corpora == ("calls", "savee")
        assert made.speakers == (
            ("calls", "DC"),
            ("savee", "DC"),
            ("savee", "JE"),
            ("savee", "JK"),
            ("savee", "KL"),
        )

    def test_an_id_that_stands_twice_is_refused(self):
        with pytest.raises(CorpusError, match=r"1 utterance ids stand more than once .*'calls/a_001'"):
            manifest([utterance("calls", "a", 1), utterance("calls", "a", 1), utterance("calls", "a", 2)])

    def test_audio_lies_under_the_root(self):
        made = Manifest("corpora", (utterance("calls", "a", 1),))
        assert made.audio_path(made.utterances[0]) == Path("corpora/calls/a_001.wav")


class TestChoice:
    def test_filter_keeps_what_is_true(self):
        made = manifest(nemo()).filter(lambda u: u.gender == "female")
        assert {u.speaker for u in made} == {"EB0", "IC0", "KD0", "MK0"}

    def test_select_takes_exactly_the_ids(self):
        assert [u.id for u in manifest(nemo()).select(["nemo/WR0_001", "nemo/EB0_000"])] == [
            "nemo/EB0_000",
            "nemo/WR0_001",
        ]

    def test_select_names_what_is_missing(self):
        with pytest.raises(
            CorpusError, match=r"1 of 2 utterances are not in the manifest \(first: 'nemo/nobody'\)"
        ):
            manifest(nemo()).select(["nemo/EB0_000", "nemo/nobody"])

    def test_project_keeps_a_vocabulary_and_counts_the_rest(self):
        kept, dropped = manifest(savee(per_emotion=3)).project(["happy", "sad"])
        assert Counter(u.emotion for u in kept) == {"happy": 12, "sad": 12}  # four speakers, three times
        assert dropped == {"neutral": 12, "angry": 12}

    def test_project_merges_labels_before_it_drops(self):
        kept, dropped = manifest(savee(per_emotion=3)).project(["neutral", "happy"], merge={"sad": "neutral"})
        assert Counter(u.emotion for u in kept) == {"neutral": 24, "happy": 12}
        assert dropped == {"angry": 12}
        assert {u.id for u in kept if u.emotion == "neutral"} == {
            u.id for u in manifest(savee(per_emotion=3)) if u.emotion in {"neutral", "sad"}
        }


@pytest.mark.parametrize("suffix", [".csv", ".parquet"])
class TestTables:
    @settings(max_examples=50, deadline=None)
    @given(written=st.lists(rows, min_size=1, max_size=4), duration_s=st.floats(0, 1e4))
    def test_a_saved_manifest_loads_equal_whatever_people_wrote(
        self, suffix, written, duration_s, tmp_path_factory
    ):
        folder = tmp_path_factory.mktemp("manifest")
        made = Manifest(
            folder,
            tuple(
                Utterance(f"calls/{number}{row[0]}", *row, duration_s=duration_s, digest=f"{number}")
                for number, row in enumerate(written)
            ),
        )
        made.save(folder / f"made{suffix}")
        assert load_manifest(folder / f"made{suffix}") == made

    def test_a_table_may_lie_elsewhere_than_the_audio(self, suffix, tmp_path):
        made = Manifest(tmp_path / "corpora", (utterance("calls", "a", 1),))
        made.save(tmp_path / f"tables/made{suffix}")
        assert load_manifest(tmp_path / f"tables/made{suffix}").root == tmp_path / "corpora"

    def test_an_empty_table_is_refused(self, suffix, tmp_path):
        manifest([]).save(tmp_path / f"made{suffix}")
        with pytest.raises(CorpusError, match=r"holds no rows; make a manifest with 'vocalics corpus scan"):
            load_manifest(tmp_path / f"made{suffix}")

    def test_a_table_that_is_not_there_is_named_with_the_remedy(self, suffix, tmp_path):
        with pytest.raises(CorpusError, match=r"there is no manifest '.*nowhere.*'vocalics corpus scan"):
            load_manifest(tmp_path / f"nowhere{suffix}")

    def test_what_is_no_table_is_refused(self, suffix, tmp_path):
        (tmp_path / f"made{suffix}").write_bytes(b"RIFF\xff\xfe\x00\x01WAVE")
        with pytest.raises(CorpusError, match="is neither a CSV nor a Parquet table"):
            load_manifest(tmp_path / f"made{suffix}")


class TestForeignTables:
    def edited(self, folder: Path, old: str, new: str) -> Path:
        """A saved manifest in which somebody has replaced a text."""
        manifest([utterance("calls", "a", 1)]).save(folder / "made.csv")
        path = folder / "made.csv"
        path.write_text(path.read_text().replace(old, new))
        return path

    @pytest.mark.parametrize("column", COLUMNS)
    def test_a_missing_column_is_named(self, tmp_path, column):
        path = (
            self.edited(tmp_path, f",{column},", ",other,")
            if column != "id"
            else self.edited(tmp_path, "id,", "x,")
        )
        with pytest.raises(CorpusError, match=f"lacks the column '{column}'"):
            load_manifest(path)

    def test_a_duration_that_is_no_number_is_refused(self, tmp_path):
        with pytest.raises(CorpusError, match=r"a value that does not fit its column: .*'two'"):
            load_manifest(self.edited(tmp_path, ",2.0,", ",two,"))

    def test_a_table_without_a_root_lies_beside_its_audio(self, tmp_path):
        path = tmp_path / "made.csv"
        manifest([utterance("calls", "a", 1)]).save(path)
        header, row = csv.reader(path.read_text().splitlines())
        with path.open("w", newline="") as file:
            csv.writer(file).writerows([header[:-1], row[:-1]])  # the last column is the root
        assert load_manifest(path).root == tmp_path

    def test_a_table_that_excel_saved_begins_with_a_mark_and_is_read(self, tmp_path):
        manifest([utterance("calls", "a", 1)]).save(tmp_path / "made.csv")
        text = (tmp_path / "made.csv").read_text()
        (tmp_path / "made.csv").write_text(text, encoding="utf-8-sig")
        assert load_manifest(tmp_path / "made.csv").utterances == (utterance("calls", "a", 1),)

    def test_a_table_of_another_kind_is_not_written(self, tmp_path):
        with pytest.raises(CorpusError, match=r"name a file that ends in \.parquet or \.csv"):
            manifest(nemo()).save(tmp_path / "made.xlsx")
        assert list(tmp_path.iterdir()) == []
