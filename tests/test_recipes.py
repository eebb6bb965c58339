"""A recipe is frozen and closed: what it says is checked; a wrong word is answered with the nearest one."""

import copy
from typing import Any

import pytest
import torch
import yaml
from pydantic import ValidationError

from vocalics.errors import RecipeError
from vocalics.lab.networks import NETWORKS
from vocalics.lab.recipes import list_recipes, load_recipe
from vocalics.lab.recipes.difference import differing_settings
from vocalics.lab.recipes.schema import FEATURE_SETTINGS, AugmentationSettings, parse_recipe
from vocalics.lab.recogniser import Recogniser

every_recipe = pytest.mark.parametrize("name", list_recipes())

#: As short as a recipe can be: all else has a default.
SHORT: dict[str, Any] = {
    "name": "short",
    "description": "As short as can be.",
    "corpora": ["savee"],
    "emotions": ["happy", "sad"],
    "features": {"stack": [{"name": "log_mel"}, {"name": "mel", "n_mels": 40}]},
    "network": {"name": "cnn_bilstm_attention"},
    "training": {"epochs": 1, "crop_s": [1.0, 2.0]},
}


def changed(path: str, value: object, content: dict[str, Any] = SHORT) -> dict[str, Any]:
    """Return `content` with a value at a dotted path; numbers count along lists."""
    content = copy.deepcopy(content)
    target: Any = content
    *parents, last = path.split(".")
    for part in parents:
        target = target[int(part)] if part.isdigit() else target.setdefault(part, {})
    target[int(last) if last.isdigit() else last] = value
    return content


def refusal(content: dict[str, Any]) -> str:
    with pytest.raises(RecipeError) as raised:
        parse_recipe(content, "mine.yaml")
    message = str(raised.value)
    assert message.startswith("mine.yaml: ")
    assert "\n" not in message
    return message


class TestBundledRecipes:
    def test_the_recipe_of_the_bundled_model_is_among_them(self):
        assert "vocalics" in list_recipes()

    @every_recipe
    def test_it_is_named_as_its_file(self, name):
        assert load_recipe(name).name == name

    @every_recipe
    def test_it_builds_and_answers_the_shortest_clip_that_it_allows(self, name, request):
        recipe = load_recipe(name)
        if recipe.lacks_encoder:
            recipe = load_recipe(name, [f"encoder.source={request.getfixturevalue('tiny_encoder')}"])
        recogniser = Recogniser(recipe).eval()
        with torch.no_grad():
            answer = recogniser(0.1 * torch.randn(1, round(recipe.minimum_s * recipe.sample_rate)))
        assert answer.probabilities.shape == (1, len(recipe.emotions))
        assert answer.probabilities.sum().item() == pytest.approx(1, abs=1e-6)  # a softmax in float32
        assert answer.features.shape[2] >= NETWORKS[recipe.network.name].minimum_frames

    @every_recipe
    def test_written_as_yaml_it_loads_equal(self, name, tmp_path):
        path = tmp_path / "again.yaml"
        path.write_text(load_recipe(name).to_yaml())
        assert load_recipe(path) == load_recipe(name)

    def test_an_unknown_recipe_is_answered_with_the_nearest_one(self):
        with pytest.raises(RecipeError, match=r"there is no recipe 'vocalic'; did you mean 'vocalics'\?"):
            load_recipe("vocalic")


class TestClosed:
    def test_every_default_is_taken(self):
        assert parse_recipe(SHORT).features.stack[0].n_mels == 128
        assert parse_recipe(SHORT).training.batch_size == 32

    @pytest.mark.parametrize(
        ("path", "where", "nearest"),
        [
            ("corpus", "", "corpora"),
            ("features.normalization", " under 'features'", "normalisation"),
            ("features.stack.0.n_mel", " under 'features.stack.0.log_mel'", "n_mels"),
            ("features.stack.0.topdb", " under 'features.stack.0.log_mel'", "top_db"),
            ("features.stack.1.f_max", " under 'features.stack.1.mel'", "fmax"),
            ("network.parameter", " under 'network'", "parameters"),
            ("augmentation.mixup_alfa", " under 'augmentation'", "mixup_alpha"),
            ("training.learning_rte", " under 'training'", "learning_rate"),
            ("trainer.device", " under 'trainer'", "devices"),
        ],
    )
    def test_an_unknown_key_is_refused_with_the_nearest_one_at_every_level(self, path, where, nearest):
        key = path.split(".")[-1]
        assert refusal(changed(path, 1)) == (
            f"mine.yaml: unknown key '{key}'{where}; did you mean '{nearest}'?"
        )

    def test_a_key_of_another_feature_is_unknown(self):
        # `top_db` belongs to log_mel; among the keys of mel none is near
        assert refusal(changed("features.stack.1.top_db", 80)) == (
            "mine.yaml: unknown key 'top_db' under 'features.stack.1.mel'. "
            "Known keys: name, n_mels, fmin, fmax."
        )

    def test_a_misspelt_key_is_told_before_the_one_that_is_missing_for_it(self):
        content = changed("training.epoch", 5)
        del content["training"]["epochs"]
        assert "unknown key 'epoch' under 'training'; did you mean 'epochs'?" in refusal(content)

    def test_an_unknown_feature_is_refused_with_the_nearest_one(self):
        assert refusal(changed("features.stack.0.name", "logmel")) == (
            "mine.yaml: unknown feature 'logmel' in 'features.stack.0'; did you mean 'log_mel'?"
        )

    def test_a_feature_without_a_name_is_answered_with_the_list(self):
        assert refusal(changed("features.stack.0", {"n_mels": 3})) == (
            f"mine.yaml: 'features.stack.0' names no feature. Known features: {', '.join(FEATURE_SETTINGS)}."
        )

    @pytest.mark.parametrize(
        ("path", "value", "message"),
        [
            ("training.learning_rate", 0, "training.learning_rate: Input should be greater than 0"),
            ("training.learning_rate", float("nan"), "training.learning_rate: Input should be"),
            ("training.learning_rate", float("inf"), "should be a finite number"),
            ("training.epochs", 0, "greater than or equal to 1 (given: 0)"),
            ("training.epochs", 2.5, "a valid integer"),
            ("training.batch_size", "many", "training.batch_size: "),
            ("training.label_smoothing", 1.1, "less than or equal to 1 (given: 1.1)"),
            ("training.optimiser", "sgd", "Input should be 'adam' or 'adamw' (given: 'sgd')"),
            ("training.crop_s", [1.0], "training.crop_s.1: Field required"),
            ("augmentation.noise_probability", -0.1, "greater than or equal to 0 (given: -0.1)"),
            ("augmentation.stretch", [0.4, 1.0], "augmentation.stretch.0: "),  # below 0.5 no run would repeat
            ("sample_rate", 4_000, "greater than or equal to 8000"),
            ("emotions", ["happy"], "emotions: "),  # one emotion is no choice
            ("emotions", "happy", "emotions: Input should be a valid tuple (given: 'happy')"),
            ("emotions", ["sad", "sad"], "emotions names one emotion twice"),
            ("features.stack", [], "features.stack: "),
            ("name", "My Recipe", "name: "),  # it becomes the name of a file and of a model
            ("minimum_s", 7.0, "minimum_s is 7, longer than window_s, 6"),
            ("features.win_length", 513, "win_length is 513; it cannot be longer than n_fft, 512"),
            ("features.stack.0.fmax", 8_001, "features.stack.0 spans 0 to 8001 Hz; give fmin below fmax"),
            ("features.stack.1.fmin", 8_000, "features.stack.1 spans 8000 to 8000 Hz; give fmin below fmax"),
            (
                "features.stack.0",
                {"name": "mel"},
                "stack names mel twice, whose rows would have the same names",
            ),
            (
                "features.stack.0",
                {"name": "mfcc", "n_mfcc": 41, "n_mels": 40},
                "n_mfcc is 41; give at most n_mels",
            ),
            ("features.stack.0", {"name": "mfcc", "deltas": 3}, "less than or equal to 2 (given: 3)"),
            (
                "features.stack.0",
                {"name": "spectral_rolloff", "share": 1.0},
                "should be less than 1 (given: 1.0)",
            ),
            (
                "features.round_to_bits",
                7,
                "features.round_to_bits: Input should be greater than or equal to 8",
            ),
            ("features.amplitude", "rms", "Input should be 'as_is' or 'peak' (given: 'rms')"),
            ("features.functionals", ["median"], "Input should be 'mean' or 'std' (given: 'median')"),
            ("features.frames", 0, "features.frames: Input should be greater than or equal to 1 (given: 0)"),
            ("augmentation.noise_factor", 0, "augmentation.noise_factor: Input should be greater than 0"),
            ("augmentation.copies", -1, "augmentation.copies: Input should be greater than or equal to 0"),
            ("training.dense_l2", -1, "training.dense_l2: Input should be greater than or equal to 0"),
            ("augmentation.band_low_hz", [200, 400], "a band has two sides; give both band_low_hz and"),
            ("augmentation.clip_share", 1.0, "augmentation.clip_share: Input should be less than 1"),
            (
                "augmentation",
                {"band_low_hz": [200, 3_000], "band_high_hz": [3_000, 3_400]},
                "band_low_hz reaches 3000, and band_high_hz begins at 3000; let every band have",
            ),
        ],
    )
    def test_a_value_out_of_range_is_refused(self, path, value, message):
        assert message in refusal(changed(path, value))

    @pytest.mark.parametrize(
        "path",
        [
            "training.crop_s",
            "augmentation.speed",
            "augmentation.gain_db",
            "augmentation.noise_snr_db",
            "augmentation.pitch_semitones",
            "augmentation.stretch",
            "augmentation.babble_snr_db",
            "augmentation.echo_rt60_s",
            "augmentation.echo_direct_db",
            "augmentation.low_pass_hz",
            "augmentation.vocal_tract",
        ],
    )
    def test_a_range_with_its_bounds_exchanged_is_refused(self, path):
        assert refusal(changed(path, [3, 2])) == f"mine.yaml: {path} is [3, 2]; give the lower bound first."
        parse_recipe(changed(path, [2, 3]))
        parse_recipe(changed(path, [2, 2]))

    def test_a_merge_into_an_emotion_that_the_recipe_lacks_is_refused(self):
        assert "merge leads to 'calm', which is not among the recipe's emotions" in refusal(
            changed("merge", {"neutral": "calm"})
        )
        assert parse_recipe(changed("merge", {"fearful": "sad"})).merge == {"fearful": "sad"}

    def test_a_recipe_is_frozen(self):
        recipe = parse_recipe(SHORT)
        with pytest.raises(ValidationError, match="frozen"):
            recipe.window_s = 1.0
        with pytest.raises(ValidationError, match="frozen"):
            recipe.training.epochs = 2

    def test_defaults_are_valid_themselves(self):
        # pydantic does not check defaults; here they pass through the checks once
        defaults = AugmentationSettings()
        assert AugmentationSettings.model_validate(defaults.model_dump()) == defaults
        recipe = parse_recipe(SHORT)
        assert parse_recipe(recipe.model_dump()) == recipe


class TestClipsAndFrames:
    """What hangs together: the length of clips and crops, the frames that come of them, what needs some."""

    WHOLE = changed("training.crop_s", None, changed("features.frames", 30))

    def test_clips_that_come_undivided_need_frames_that_are_alike(self):
        assert refusal(changed("training.crop_s", None)) == (
            "mine.yaml: training.crop_s is null, so clips of all lengths come undivided; give "
            "features.frames or features.functionals, which make them alike, or a crop_s such as [3.0, 3.0]."
        )

    @pytest.mark.parametrize(
        ("path", "value", "fixed"),
        [("features.frames", 30, 30), ("features.functionals", ["mean", "std"], 1)],
    )
    def test_frames_or_functionals_make_them_alike(self, path, value, fixed):
        recipe = parse_recipe(changed(path, value, changed("training.crop_s", None)))
        assert recipe.features.fixed_frames == fixed
        assert parse_recipe(SHORT).features.fixed_frames is None

    def test_what_is_drawn_for_every_crop_or_batch_needs_crops(self):
        babble, tracts = "augmentation.babble_snr_db", "augmentation.vocal_tract"
        assert "clips that come undivided (training.crop_s null) are stored for all parts" in refusal(
            changed(babble, [5, 20], self.WHOLE)
        )
        assert "and give a training.crop_s such as [3.0, 3.0]" in refusal(
            changed(tracts, [0.9, 1.1], self.WHOLE)
        )
        parse_recipe(changed(babble, [5, 20], changed(tracts, [0.9, 1.1])))

    def test_vocal_tracts_are_heard_through_mel_filters_alone(self):
        without = changed("features.stack", [{"name": "spectral_centroid"}])
        parse_recipe(without)
        assert "take a feature that has them (mel, log_mel, mfcc)" in refusal(
            changed("augmentation.vocal_tract", [0.9, 1.1], without)
        )

    def test_functionals_leave_no_frames_to_cut(self):
        content = changed("features.functionals", ["mean"], self.WHOLE)
        assert (
            refusal(content)
            == "mine.yaml: features: functionals leave one frame of a clip; leave out frames."
        )

    @pytest.mark.parametrize("normalisation", ["level", "utterance"])
    def test_functionals_leave_nothing_to_normalise_a_clip_by(self, normalisation):
        content = changed("features.normalisation", normalisation, changed("features.functionals", ["mean"]))
        assert f"one frame, which normalisation '{normalisation}' would blank; take 'training' or 'none'" in (
            refusal(content)
        )

    @pytest.mark.parametrize(
        ("content", "frames"),
        [
            (WHOLE, 30),
            (changed("features.functionals", ["mean"]), 1),
            (SHORT, 63),  # the shortest crop, one second, has 1 + 16000 // 256
        ],
        ids=["frames", "functionals", "crops"],
    )
    def test_a_shift_leaves_some_of_the_frames(self, content, frames):
        assert refusal(changed("augmentation.shift_frames", frames, content)) == (
            f"mine.yaml: augmentation.shift_frames is {frames}; give fewer than the {frames} frames that a "
            "clip comes with."
        )
        parse_recipe(changed("augmentation.shift_frames", frames - 1, content))

    def test_copies_are_for_clips_that_come_undivided(self):
        assert "copies is for clips that come undivided (training.crop_s null), and crops are drawn anew" in (
            refusal(changed("augmentation.copies", 3))
        )
        assert parse_recipe(changed("augmentation.copies", 3, self.WHOLE)).augmentation.copies == 3

    @pytest.mark.parametrize(
        ("path", "value", "shortest"),
        [
            ("minimum_s", 0.12, "0.12 s, has 8 frames"),  # 1 + 1920 // 256
            ("training.crop_s", [0.1, 2.0], "0.1 s, has 7 frames"),
            ("features.hop_length", 512, "0.25 s, has 8 frames"),
        ],
    )
    def test_deltas_need_nine_frames(self, path, value, shortest):
        with_deltas = changed("features.stack.0", {"name": "mfcc", "deltas": 1})
        assert f"the shortest clip or crop, {shortest}, and deltas need 9" in refusal(
            changed(path, value, with_deltas)
        )
        parse_recipe(changed("minimum_s", 0.128, with_deltas))  # 1 + 2048 // 256 = 9
        parse_recipe(changed(path, value))  # without deltas


class TestEncoders:
    """What a recipe may say of a pretrained encoder."""

    FROZEN = SHORT | {
        "features": None,
        "encoder": {"source": "somewhere"},
        "network": {"name": "attentive_statistics"},
        "training": {"epochs": 1, "crop_s": None},
    }

    def test_the_bundled_one_waits_for_its_source(self):
        recipe = load_recipe("encoder")
        assert recipe.lacks_encoder
        assert not load_recipe("encoder", ["encoder.source=microsoft/wavlm-base"]).lacks_encoder
        assert not load_recipe("vocalics").lacks_encoder
        with pytest.raises(RecipeError, match=r"no encoder; give one with --set encoder\.source=FOLDER"):
            Recogniser(recipe)

    def test_a_network_hears_features_or_an_encoder(self):
        told = "a network hears features or an encoder; give the recipe one of the two sections, not both"
        assert told in refusal(SHORT | {"encoder": {}})
        assert told in refusal({key: value for key, value in SHORT.items() if key != "features"})
        parse_recipe(self.FROZEN)

    def test_its_keys_are_closed_too(self):
        assert refusal(changed("encoder.fine_tuned", "all", self.FROZEN)) == (
            "mine.yaml: unknown key 'fine_tuned' under 'encoder'; did you mean 'fine_tune'?"
        )

    @pytest.mark.parametrize("value", ["none", "all", 1, 12])
    def test_it_may_stay_as_it_is_or_be_trained_to_a_depth(self, value):
        crop_s = None if value == "none" else [1.0, 2.0]
        content = changed("training.crop_s", crop_s, changed("encoder.fine_tune", value, self.FROZEN))
        encoder = parse_recipe(content).encoder
        assert encoder.fine_tune == value
        assert encoder.is_frozen == (value == "none")

    @pytest.mark.parametrize("value", ["some", 0, -1, True, None, 2.5])
    def test_another_depth_is_refused(self, value):
        assert "give none, all, or how many of the top layers are trained, such as 4" in refusal(
            changed("encoder.fine_tune", value, self.FROZEN)
        )

    @pytest.mark.parametrize(
        ("path", "value", "message"),
        [
            ("encoder.layer_decay", 0, "encoder.layer_decay: Input should be greater than 0"),
            ("encoder.layer_decay", 1.1, "less than or equal to 1"),
            ("encoder.learning_rate", 0, "encoder.learning_rate: Input should be greater than 0"),
            ("encoder.layers", [], "encoder.layers: "),
            ("training.crop_s", [1.0, 2.0], "hears each clip once, undivided; set training.crop_s to null"),
            ("augmentation.speed", [0.9, 1.1], "hears each of them once; give augmentation.copies"),
            (
                "augmentation.shift_frames",
                3,
                "an encoder does not have; move the clip with",
            ),
            (
                "encoder.fine_tune",
                "all",
                "on crops of equal length; give training.crop_s",
            ),
        ],
    )
    def test_what_an_encoder_cannot_do_is_refused(self, path, value, message):
        assert message in refusal(changed(path, value, self.FROZEN))

    def test_copies_are_heard_once_each(self):
        with_speed = changed("augmentation.speed", [0.9, 1.1], self.FROZEN)
        assert parse_recipe(changed("augmentation.copies", 2, with_speed)).augmentation.n_copies == 2

    def test_another_encoder_is_another_training(self):
        one, other = (load_recipe("encoder", [f"encoder.source={name}"]) for name in ("a/b", "a/c"))
        assert differing_settings(one, other) == ["encoder.source"]


class TestFiles:
    def test_a_recipe_of_ones_own_is_read_from_its_file(self, tmp_path):
        path = tmp_path / "mine.yml"
        path.write_text(yaml.safe_dump(SHORT))
        assert load_recipe(path) == parse_recipe(SHORT)

    def test_words_in_any_script_survive_the_way_through_yaml(self, tmp_path):
        recipe = parse_recipe(changed("description", "złość, 怒り: # not a comment"))
        (tmp_path / "mine.yaml").write_text(recipe.to_yaml(), encoding="utf-8")
        assert load_recipe(tmp_path / "mine.yaml") == recipe

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"", "holds no settings; a recipe is a YAML mapping"),
            (b"- happy\n- sad\n", "holds no settings; a recipe is a YAML mapping"),
            (b"name: [unclosed", "is not a recipe in YAML: "),
            (b"RIFF\xff\xfe\x00\x01WAVE", "is not a recipe in YAML: "),
            (b"1: 2\n", "Field required"),
        ],
        ids=["empty", "a list", "unclosed", "a recording", "a number for a key"],
    )
    def test_a_file_that_is_no_recipe_is_refused(self, tmp_path, content, message):
        path = tmp_path / "mine.yaml"
        path.write_bytes(content)
        with pytest.raises(RecipeError) as raised:
            load_recipe(path)
        assert str(raised.value).startswith(str(path))
        assert message in str(raised.value)
        assert "\n" not in str(raised.value)

    def test_a_file_that_is_not_there_is_named(self, tmp_path):
        with pytest.raises(RecipeError, match=r"there is no recipe file '.*nowhere\.yaml'"):
            load_recipe(tmp_path / "nowhere.yaml")


class TestSettings:
    @pytest.fixture
    def mine(self, tmp_path):
        path = tmp_path / "mine.yaml"
        path.write_text(yaml.safe_dump(SHORT))
        return path

    def test_settings_replace_values_in_their_order(self, mine):
        recipe = load_recipe(mine, ["training.epochs=5", "training.epochs=7", "window_s=4"])
        assert recipe.training.epochs == 7
        assert recipe.window_s == 4.0

    def test_a_setting_reaches_what_the_file_leaves_out(self, mine):
        assert load_recipe(mine, ["augmentation.mixup_alpha=0.4"]).augmentation.mixup_alpha == 0.4

    @pytest.mark.parametrize(
        ("value", "parsed"),
        [("[0.9, 1.1]", (0.9, 1.1)), (" [1,1] ", (1.0, 1.0)), ("null", None), ("", None)],
    )
    def test_the_value_is_yaml(self, mine, value, parsed):
        assert load_recipe(mine, [f"augmentation.speed={value}"]).augmentation.speed == parsed

    def test_an_equals_sign_in_the_value_belongs_to_it(self, mine):
        assert load_recipe(mine, ["description=a = b"]).description == "a = b"

    @pytest.mark.parametrize(
        ("setting", "message"),
        [
            ("training.epochs", "'training.epochs' is not a setting; write key=value"),
            ("=5", "'=5' is not a setting; write key=value"),
            ("training.epochs.more=5", "sets a key of 'epochs', which has none; set 'epochs' as a whole"),
            ("features.stack.name=mel", "sets a key of 'stack', which has none; set 'stack' as a whole"),
            ("training.crop_s=[1", "the value of 'training.crop_s=[1' is not YAML"),
            ("training.epoch=5", "unknown key 'epoch' under 'training'; did you mean 'epochs'?"),
            ("training.epochs=-5", "training.epochs: Input should be greater than or equal to 1 (given: -5)"),
        ],
    )
    def test_a_setting_that_cannot_be_is_refused(self, mine, setting, message):
        with pytest.raises(RecipeError) as raised:
            load_recipe(mine, [setting])
        assert message in str(raised.value)
