"""Pretrained encoders: each family hears as its own library does, and nothing of a checkpoint is executed."""

import json
import socket
from pathlib import Path

import numpy as np
import pytest
import torch

from vocalics.errors import MissingExtraError, ModelError, RecipeError, TrainingError
from vocalics.lab.encoders import EncoderFrontEnd, load_encoder, source
from vocalics.lab.encoders.log_mel import WhisperLogMel
from vocalics.lab.encoders.source import find_encoder
from vocalics.lab.recipes.encoder_settings import EncoderSettings

pytest.importorskip("transformers", reason="encoders are those of transformers")

import made_encoders  # needs transformers
from made_encoders import LAYERS, MADE, WIDTH

RATE = 16_000

every_family = pytest.mark.parametrize("kind", MADE)


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    """A checkpoint of each family."""
    return {kind: made_encoders.write(tmp_path_factory.mktemp(kind), kind) for kind in MADE}


@pytest.fixture
def folder(tmp_path) -> Path:
    """A checkpoint to change."""
    return made_encoders.write(tmp_path / "encoder", "wav2vec2")


def noise(samples: int, seed: int = 0, level: float = 0.1) -> np.ndarray:
    """Noise with a trend, so that its mean is not nought: what an encoder may normalise."""
    rng = np.random.default_rng(seed)
    return (level * (rng.standard_normal(samples) + np.linspace(0, 1, samples))).astype(np.float32)


def load(folder: Path, **settings: object):
    return load_encoder(find_encoder(EncoderSettings(source=str(folder), **settings)))


def refusal(folder: Path | str, kind: type[Exception] = ModelError, **settings: object) -> str:
    with pytest.raises(kind) as raised:
        load(folder, **settings)
    assert "\n" not in str(raised.value)
    return str(raised.value)


@torch.inference_mode()
def states_by_library(kind: str, samples: np.ndarray) -> list[torch.Tensor]:
    """The states as transformers computes them, its own preparation included, each (steps, width)."""
    prepared = made_encoders.extractor(kind)(samples, sampling_rate=RATE, return_tensors="pt")
    (heard,) = (value for key, value in prepared.items() if key.startswith("input_"))
    answer = made_encoders.encoder_in(made_encoders.whole_model(kind))(heard, output_hidden_states=True)
    return [state[0] for state in (*answer.hidden_states[:-1], answer.last_hidden_state)]


@every_family
class TestEveryFamily:
    def test_it_hears_as_the_library_does(self, kind, folders):
        samples = noise(20_000)
        with torch.inference_mode():
            found = load(folders[kind])(torch.from_numpy(samples)[None])
        expected = states_by_library(kind, samples)
        assert len(found) == len(expected) == LAYERS + 1
        for state, other in zip(found, expected, strict=True):
            # Whisper's go on to the end of its window; states are of the order of 1, in float32
            torch.testing.assert_close(state[0], other[: state.shape[1]], rtol=0, atol=1e-5)

    def test_a_clip_has_as_many_steps_as_it_says(self, kind, folders):
        encoder = load(folders[kind])
        for samples in (400, 401, 719, 720, 4_000, 16_001, 31_999):
            with torch.inference_mode():
                states = encoder(torch.from_numpy(noise(samples))[None])
            assert {state.shape for state in states} == {(1, encoder.n_steps(samples), WIDTH)}, samples

    def test_a_second_is_fifty_steps(self, kind, folders):
        encoder = load(folders[kind])
        assert encoder.hop_samples == 320
        assert encoder.n_steps(RATE) in (49, 50)  # convolutions without padding lose one

    def test_no_clip_changes_what_is_heard_of_another(self, kind, folders):
        encoder = load(folders[kind])
        clips = np.stack([noise(9_000), noise(9_000, 1, level=1.0), noise(9_000, 2, level=1e-3)])
        with torch.inference_mode():
            together = encoder(torch.from_numpy(clips))[-1]
            for position, clip in enumerate(clips):
                alone = encoder(torch.from_numpy(clip)[None])[-1]
                torch.testing.assert_close(together[position], alone[0], rtol=0, atol=1e-5)

    def test_in_training_only_what_is_trained_is_otherwise(self, kind, folders):
        settings = EncoderSettings(source=str(folders[kind]))
        front_end = EncoderFrontEnd(settings, RATE, 2.0).train()
        clip = torch.from_numpy(noise(9_000))[None]
        with torch.no_grad():  # no dropout, no masks, no layer left out
            in_training = front_end.stack(clip)
            torch.testing.assert_close(in_training, front_end.eval().stack(clip), rtol=0, atol=0)

    @pytest.mark.parametrize("count", range(1, LAYERS + 1))
    def test_layers_above_the_highest_that_is_heard_are_left_out(self, kind, count, folders):
        settings = EncoderSettings(source=str(folders[kind]), layers=[count])
        front_end = EncoderFrontEnd(settings, RATE, 2.0).eval()
        assert len(front_end.encoder.blocks()) == 1 + count
        samples = noise(20_000)
        with torch.inference_mode():
            heard = front_end(torch.from_numpy(samples)[None])[0].T  # (steps, width)
        expected = states_by_library(kind, samples)[count][: len(heard)]
        expected = torch.nn.functional.layer_norm(expected, (WIDTH,))
        torch.testing.assert_close(heard, expected, rtol=0, atol=1e-4)

    def test_its_checkpoint_may_be_split_and_of_half_precision(self, kind, tmp_path):
        model = made_encoders.whole_model(kind).half()
        model.save_pretrained(tmp_path, max_shard_size="10KB")
        made_encoders.extractor(kind).save_pretrained(tmp_path)
        assert len(list(tmp_path.glob("model-*.safetensors"))) > 1
        encoder = load(tmp_path)
        assert {weight.dtype for weight in encoder.parameters()} == {torch.float32}
        samples = noise(20_000)
        with torch.inference_mode():
            found = encoder(torch.from_numpy(samples)[None])[-1][0]
        expected = states_by_library(kind, samples)[-1][: len(found)]
        # weights rounded to 1 in 2,048
        torch.testing.assert_close(found, expected, rtol=0, atol=0.05)
        assert not torch.equal(found, expected)


class TestCheckpoints:
    def test_names_of_older_versions_are_read(self, folder):
        from safetensors.torch import load_file, save_file

        path = folder / "model.safetensors"
        weights = load_file(path)
        split = "parametrizations.weight.original"
        older = {
            name.replace(f"{split}0", "weight_g").replace(f"{split}1", "weight_v"): value
            for name, value in weights.items()
        }
        assert older.keys() != weights.keys()
        before = load(folder)
        save_file(older, path, metadata={"format": "pt"})
        for one, other in zip(before.parameters(), load(folder).parameters(), strict=True):
            assert torch.equal(one, other)

    def test_what_a_checkpoint_says_of_its_own_training_does_not_count(self, folder):
        before = load(folder)
        own = {"output_hidden_states": True, "return_dict": False, "layerdrop": 0.9, "add_adapter": True}
        made_encoders.change_config(folder, **own)
        after = load(folder).train()  # where layers would be left out
        clip = torch.from_numpy(noise(9_000))[None]
        with torch.no_grad():
            assert len(after(clip)) == LAYERS + 1
            torch.testing.assert_close(after.eval()(clip), before(clip), rtol=0, atol=0)

    def test_whisper_s_encoder_alone_is_a_checkpoint_too(self, tmp_path, folders):
        from transformers import WhisperFeatureExtractor

        made_encoders.whole_model("whisper").model.encoder.save_pretrained(tmp_path)
        WhisperFeatureExtractor().save_pretrained(tmp_path)
        clip = torch.from_numpy(noise(9_000))[None]
        with torch.inference_mode():
            assert torch.equal(load(tmp_path)(clip)[-1], load(folders["whisper"])(clip)[-1])

    def test_a_preparation_that_is_not_stated_is_the_library_s_default(self, tmp_path, folders):
        bare = made_encoders.write(tmp_path / "bare", "hubert", prepared=False)
        assert load(bare).normalises
        assert not load(folders["wavlm"]).normalises  # it says so

    def test_a_processor_s_settings_hold_the_preparation(self, tmp_path):
        bare = made_encoders.write(tmp_path / "bare", "hubert", prepared=False)
        processor = {"feature_extractor": {"do_normalize": False}, "processor_class": "Wav2Vec2Processor"}
        (bare / "processor_config.json").write_text(json.dumps(processor))
        assert not load(bare).normalises


class TestLogMel:
    @pytest.mark.parametrize("samples", [1, 400, 16_000, 31_999, 32_000])
    def test_it_equals_the_library_s(self, samples):
        sound = noise(samples)
        expected = made_encoders.extractor("whisper")(sound, sampling_rate=RATE, return_tensors="pt")
        own = WhisperLogMel(80, 400, 160, 200, RATE)
        (routes := [own]).append(WhisperLogMel(80, 400, 160, 200, RATE))
        routes[1].spectrum.prepare_export()
        for log_mel in routes:
            found = log_mel(torch.from_numpy(sound)[None])
            # The library promises 1e-5 to Whisper's own; float32 sums of 400 products, in units of four tens
            torch.testing.assert_close(found, expected["input_features"], rtol=0, atol=1e-4)

    def test_silence_is_heard(self):
        assert WhisperLogMel(80, 400, 160, 200, RATE)(torch.zeros(1, 8_000)).isfinite().all()


class TestNothingIsExecuted:
    def test_a_folder_is_read_without_a_network(self, folder, monkeypatch):
        def refuse(*_):
            pytest.fail("somebody is asked over the network")

        monkeypatch.setattr(socket.socket, "connect", refuse)
        assert load(folder).n_layers == LAYERS

    def test_a_pickle_beside_the_weights_is_not_opened(self, folder, tmp_path):
        trace = tmp_path / "trace"
        for name in ("pytorch_model.bin", "adapter_model.bin", "training_args.bin"):
            (folder / name).write_text(f"cos\nmkdir\n(V{trace}\ntR.")  # would make a folder
        (folder / "adapter_config.json").write_text('{"peft_type": "LORA"}')
        (folder / "modeling_evil.py").write_text(f"import os; os.mkdir({str(trace)!r})")
        evil = {"auto_map": {"AutoModel": "modeling_evil.Model"}, "_attn_implementation": "someone/kernel"}
        made_encoders.change_config(
            folder, **evil, attn_implementation="someone/kernel", quantization_config={"quant_method": "awq"}
        )
        assert load(folder).n_layers == LAYERS
        assert not trace.exists()

    @pytest.mark.parametrize("name", ["pytorch_model.bin", "tf_model.h5", "flax_model.msgpack"])
    def test_without_safetensors_the_sentence_says_what_to_do(self, folder, name):
        (folder / "model.safetensors").rename(folder / name)
        sentence = refusal(folder)
        assert f"has no weights as model.safetensors, only {name}; other formats can run any code" in sentence
        assert "encoder.revision" in sentence
        assert "docs/encoders.md" in sentence

    @pytest.mark.parametrize("shard", ["pytorch_model.bin", "../model.safetensors", "/model.safetensors"])
    def test_an_index_leads_to_no_other_file(self, folder, shard):
        (folder / "model.safetensors").rename(folder.parent / "model.safetensors")
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"a": shard}}))
        assert "has no weights as model.safetensors" in refusal(folder)


class TestRefusals:
    def test_what_is_no_folder_and_no_id(self):
        assert refusal("models/wav/lm").startswith("there is no folder 'models/wav/lm'; name one, or an id")

    def test_a_folder_without_settings(self, tmp_path):
        assert "holds no config.json, so it is no encoder of the Hugging Face format" in refusal(tmp_path)

    @pytest.mark.parametrize("content", ["", "{", "[]", '"words"'])
    def test_settings_that_cannot_be_read(self, folder, content):
        (folder / "config.json").write_text(content)
        assert "config.json' cannot be read" in refusal(folder)

    @pytest.mark.parametrize("kind", ["bert", None, 3])
    def test_another_kind_of_model(self, folder, kind):
        made_encoders.change_config(folder, model_type=kind)
        assert (
            f"is a '{kind}', which is no speech encoder that is known here; known are wav2vec2, "
            in refusal(folder)
        )

    def test_damaged_weights(self, folder):
        path = folder / "model.safetensors"
        whole = path.read_bytes()
        for content in (b"", whole[:100], whole[:-100], b"words" + whole):
            path.write_bytes(content)
            assert "model.safetensors' is damaged or was cut short" in refusal(folder)

    def test_weights_that_are_missing(self, folder):
        made_encoders.change_config(folder, num_hidden_layers=LAYERS + 1)
        assert "lacks 16 of the weights of a wav2vec2 encoder (first: " in refusal(folder)  # one layer's

    def test_weights_of_another_width(self, folder):
        made_encoders.change_config(folder, intermediate_size=25)
        assert "cannot be built as its config.json says: " in refusal(folder)

    def test_a_part_of_the_weights_that_is_not_there(self, tmp_path):
        made_encoders.whole_model("hubert").save_pretrained(tmp_path, max_shard_size="10KB")
        first = min(tmp_path.glob("model-*.safetensors"))
        first.unlink()
        assert f"lacks {first.name}; fetch it again" in refusal(tmp_path)

    def test_another_rate(self, folder):
        path = folder / "preprocessor_config.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"sampling_rate": 8_000}))
        assert "hears sound at 8000 Hz, and only encoders for 16000 Hz are known here" in refusal(folder)

    def test_a_folder_has_no_revisions(self, folder):
        assert "is a folder, which has none; leave it out" in refusal(folder, RecipeError, revision="main")

    def test_the_extra_is_named_where_it_is_missing(self, folder, monkeypatch):
        import sys

        monkeypatch.setitem(sys.modules, "transformers", None)
        assert "pip install 'vocalics[encoders]'" in refusal(folder, MissingExtraError)

    @pytest.mark.parametrize(
        ("sample_rate", "window_s", "kind", "message"),
        [
            (8_000, 2.0, "hubert", "sample_rate is 8000, and the encoder .* hears 16000 Hz"),
            (16_000, 2.1, "whisper", "window_s is 2.1, and the encoder .* hears at most 2 s"),
        ],
    )
    def test_a_recipe_of_another_rate_or_window(self, folders, sample_rate, window_s, kind, message):
        with pytest.raises(RecipeError, match=message):
            EncoderFrontEnd(EncoderSettings(source=str(folders[kind])), sample_rate, window_s)


class TestHub:
    """Encoders by their id on the hub, here a server on this machine."""

    @pytest.fixture
    def served(self, hub, folder):
        """A repository on the hub with the checkpoint of `folder`."""
        files = {path.name: path.read_bytes() for path in folder.iterdir()}
        files["README.md"] = b"---\nlanguage: en\nlicense: apache-2.0\n---\n# wav2vec 2.0\n"
        return hub.add("anna/wave", files | {"pytorch_model.bin": b"a pickle", "tokenizer.json": b"{}"})

    def found(self, **settings: str) -> source.EncoderFiles:
        return find_encoder(EncoderSettings(source="anna/wave", **settings))

    def test_what_is_needed_is_fetched_and_nothing_else(self, hub, served, folder):
        files = self.found()
        assert load_encoder(files).n_layers == LAYERS
        fetched = {path.name for path in files.folder.iterdir()}
        assert fetched == {"config.json", "preprocessor_config.json", "model.safetensors", "README.md"}
        assert not any("pytorch_model.bin" in line for line in hub.asked)

    def test_its_commit_and_its_licence_are_known(self, served, folder):
        provenance = self.found().provenance
        assert (provenance.source, provenance.revision) == ("anna/wave", served.refs["main"])
        assert provenance.licence == "apache-2.0"
        local = find_encoder(EncoderSettings(source=str(folder))).provenance
        assert provenance.digest == local.digest  # the same encoder, wherever it lies
        assert (local.revision, local.licence) == (None, None)
        assert local.for_card()["source"] == folder.name
        assert provenance.for_card()["source"] == "anna/wave"

    def test_a_revision_is_the_encoder_of_its_time(self, served, tmp_path):
        first = served.refs["v1"] = served.refs["main"]
        other = made_encoders.write(tmp_path / "other", "wav2vec2", seed=1)
        served.commit({"model.safetensors": (other / "model.safetensors").read_bytes()})
        assert self.found(revision="v1").provenance.revision == first
        assert self.found(revision="v1").provenance.digest != self.found().provenance.digest

    def test_what_was_fetched_once_needs_no_network(self, served, monkeypatch):
        import hub_server

        digest = self.found().provenance.digest
        hub_server.point_at("http://127.0.0.1:9", monkeypatch)  # nobody listens there
        assert self.found().provenance.digest == digest

    def test_without_a_network_the_sentence_says_what_to_do(self, hub, monkeypatch):
        import hub_server

        hub_server.point_at("http://127.0.0.1:9", monkeypatch)
        assert refusal("anna/wave") == (
            "the encoder 'anna/wave' is neither a folder here nor in the hub's cache, and the hub cannot be "
            "reached; connect once, or copy its files into a folder and name that "
            "(--set encoder.source=FOLDER)."
        )

    def test_a_repository_that_is_not_there_may_have_been_meant_as_a_folder(self, hub):
        assert refusal("anna/wav").startswith(
            "there is no folder 'anna/wav', and there is no repository anna/wav on the hub that you may read"
        )

    def test_a_revision_that_is_not_there(self, served):
        assert "has no revision 'v9'" in refusal("anna/wave", revision="v9")

    def test_a_repository_that_has_only_a_pickle(self, hub, folder):
        files = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".json"}
        hub.add("anna/old", files | {"pytorch_model.bin": b"a pickle"})
        assert "the encoder 'anna/old' has no weights as model.safetensors; other formats can run" in refusal(
            "anna/old"
        )


class TestProvenance:
    def test_a_run_goes_on_with_the_encoder_that_it_began_with(self, folder, tmp_path):
        settings = EncoderSettings(source=str(folder))
        find_encoder(settings).provenance.keep(tmp_path)
        find_encoder(settings).provenance.keep(tmp_path)
        made_encoders.write(folder, "wav2vec2", seed=1)
        with pytest.raises(TrainingError, match=r"is no longer the one that .* began with"):
            find_encoder(settings).provenance.keep(tmp_path)

    @pytest.mark.parametrize("name", ["config.json", "preprocessor_config.json", "model.safetensors"])
    def test_every_file_that_decides_on_an_answer_is_in_the_digest(self, folder, name):
        settings = EncoderSettings(source=str(folder))
        before = find_encoder(settings).provenance.digest
        content = (folder / name).read_bytes()
        (folder / name).write_bytes(content + b" ")
        assert find_encoder(settings).provenance.digest != before
