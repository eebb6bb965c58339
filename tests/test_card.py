import json

import pytest
from pydantic import ValidationError

import toy_model
from vocalics.card import FORMAT_VERSION, ModelCard
from vocalics.errors import ModelError


def read(**changes):
    return ModelCard.from_json(json.dumps(toy_model.card(**changes)), "file.onnx")


def test_a_card_survives_the_way_through_json():
    card = read(languages=["en", "pl"], limits=["Ünïcode; 日本語."])
    assert ModelCard.from_json(card.to_json()) == card


def test_every_number_of_the_head_survives_the_way_through_json():
    third = 1 / 3  # has no finite decimal or binary form
    numbers = toy_model.head() | {"mean": [third] * 6}
    assert ModelCard.from_json(read(head=numbers).to_json()).head.mean == (third,) * 6


def test_a_card_cannot_be_changed():
    with pytest.raises(ValidationError, match="frozen"):
        read().name = "other"


def test_a_newer_format_is_refused_and_upgrading_advised():
    with pytest.raises(ModelError, match=r"file.onnx.*format_version.*upgrade vocalics") as refused:
        read(format_version=FORMAT_VERSION + 1)
    assert "\n" not in str(refused.value)


def test_a_newer_format_is_told_first_even_when_it_has_new_keys():
    with pytest.raises(ModelError, match="format_version"):
        read(format_version=FORMAT_VERSION + 1, hue="blue")


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"sample_rate": 4000}, "sample_rate"),  # below a telephone's 8 kHz
        ({"emotions": ["sad"]}, "emotions"),  # one emotion is no choice
        ({"window_s": 0}, "window_s"),
        ({"abstain_below": 1.5}, "abstain_below"),
        ({"emotions": ["sad", "calm", "happy"]}, "the head answers 4 emotions, the card names 3"),
        ({"head": toy_model.head() | {"std": [1.0]}}, "differ in length"),
        ({"head": toy_model.head() | {"temperature": 0.0}}, "temperature"),
        ({"learning_rte": 1}, "learning_rte"),
    ],
    ids=["rate", "one emotion", "window", "threshold", "labels", "widths", "temperature", "unknown key"],
)
def test_a_card_that_makes_no_sense_is_refused_with_what_is_wrong(changes, complaint):
    with pytest.raises(ModelError, match=complaint):
        read(**changes)


def test_text_that_is_not_json_is_refused():
    with pytest.raises(ModelError, match="cannot read"):
        ModelCard.from_json('{"name": "cut sho', "file.onnx")


def test_a_missing_field_is_named():
    record = toy_model.card()
    del record["licence"]
    with pytest.raises(ModelError, match="licence"):
        ModelCard.from_json(json.dumps(record))
