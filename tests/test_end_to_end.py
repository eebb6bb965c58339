"""From real speech to an answer: the whole length once."""

import pytest

import vocalics
from vocalics.lab.corpora import load_data
from vocalics.lab.recipes import load_recipe
from vocalics.lab.splits import make_splits
from vocalics.lab.training import fit

#: The bundled recipe with a network that trains in seconds.
SMALL = (
    "corpora=[ravdess]",
    "training.epochs=1",
    "training.check_every=1",
    "training.crop_s=[1.0, 1.0]",
    "network.parameters.channels=[4, 4, 4]",
    "network.parameters.lstm_inputs=8",
    "network.parameters.lstm_units=8",
    "network.parameters.embedding_size=8",
)

#: A man and a woman of two of the published folds.
ACTORS = ("01", "20", "08", "09")


@pytest.mark.data
@pytest.mark.slow
def test_real_speech_becomes_a_model_that_answers(data, tmp_path, monkeypatch):
    monkeypatch.setenv("VOCALICS_CACHE", str(tmp_path / "cache"))
    everyone = load_data(data, corpora=["ravdess"], cache=False)
    few = everyone.filter(lambda utterance: utterance.speaker in ACTORS and utterance.sentence == "01")
    few.save(tmp_path / "few.parquet")
    manifest = load_data(manifest=tmp_path / "few.parquet")

    recipe = load_recipe("vocalics", SMALL)
    split = make_splits(manifest)[0]
    model = vocalics.load(fit(recipe, manifest, split, tmp_path / "run"))

    clips = [manifest.audio_path(utterance) for utterance in manifest.select(split.test)]
    predictions = model.predict(clips)
    assert len(predictions) == 60  # two actors' first sentence: half of 60 clips each
    assert all(prediction.error is None for prediction in predictions)
    heard = [prediction for prediction in predictions if prediction.emotion]
    assert len(heard) >= 55  # people speak in all of them; the gate may miss a whisper
    for prediction in heard:
        assert prediction.emotion in recipe.emotions
        assert sum(prediction.probabilities.values()) == pytest.approx(1, abs=1e-5)  # float32
    adapted = model.adapt(clips[:5]).predict(clips[5])
    assert adapted.probabilities != predictions[5].probabilities
