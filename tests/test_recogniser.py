"""The module that is trained and exported: one affine head, whose statistics move without a trace."""

import numpy as np
import pytest
import torch

from vocalics.errors import RecipeError
from vocalics.lab.recipes.schema import Recipe, parse_recipe
from vocalics.lab.recogniser import Recogniser
from vocalics.recognition.head import AffineHead

EMOTIONS = ("neutral", "happy", "sad")


def small_recipe() -> Recipe:
    """A recipe with every part of a real one and few numbers."""
    return parse_recipe(
        {
            "name": "small",
            "description": "For tests.",
            "corpora": ["savee"],
            "emotions": EMOTIONS,
            "features": {"stack": [{"name": "log_mel", "n_mels": 16}], "normalisation": "level"},
            "network": {
                "name": "cnn_bilstm_attention",
                "parameters": {
                    "channels": [4, 4],
                    "time_pools": [2, 1],
                    "lstm_inputs": 8,
                    "lstm_units": 8,
                    "embedding_size": 12,
                },
            },
            "training": {"epochs": 1, "crop_s": [1.0, 1.0]},
        }
    )


@pytest.fixture
def waveforms() -> torch.Tensor:
    """Six clips of noise (6, 8000), from white to dull."""
    white = torch.randn(6, 8_000, generator=torch.Generator().manual_seed(1))
    smooth = torch.nn.functional.avg_pool1d(white[:, None], 9, stride=1, padding=4)[:, 0]
    return 0.1 * torch.lerp(white, smooth, torch.linspace(0, 1, 6)[:, None])


@pytest.fixture
def recogniser(waveforms) -> Recogniser:
    """A recogniser whose batch normalisation has met the clips, so that it answers them differently."""
    torch.manual_seed(0)
    made = Recogniser(small_recipe())
    for module in made.modules():
        if isinstance(module, torch.nn.BatchNorm1d | torch.nn.BatchNorm2d):
            module.momentum = 1.0  # what it met last is all that it knows
    answers(made.train(), waveforms)
    made.head.weight.data *= 10  # an untrained head hardly tells emotions apart
    made.temperature.fill_(1.7)  # any but 1, so that a forgotten division is seen
    return made.eval()


def answers(recogniser: Recogniser, waveforms: torch.Tensor):
    with torch.no_grad():
        return recogniser(waveforms)


def statistics(seed: int) -> np.ndarray:
    """Made embeddings (50, 12): each dimension has a mean and a deviation of its own."""
    rng = np.random.default_rng(seed)
    return rng.normal(rng.uniform(-2, 2, 12), rng.uniform(0.5, 3, 12), (50, 12)).astype(np.float32)


class TestStatistics:
    def test_moving_them_into_the_head_changes_no_answer(self, recogniser, waveforms):
        before = answers(recogniser, waveforms)
        assert before.probabilities.std(dim=0).min() > 1e-2  # the clips are answered differently
        for seed in (1, 2):  # the second time from other statistics than 0 and 1
            recogniser.set_statistics(statistics(seed))
            after = answers(recogniser, waveforms)
            torch.testing.assert_close(after.embedding, before.embedding, rtol=0, atol=0)  # before the head
            torch.testing.assert_close(after.probabilities, before.probabilities, rtol=0, atol=1e-5)

    def test_embeddings_are_normalised_by_them(self, recogniser):
        embeddings = torch.from_numpy(statistics(1))
        recogniser.set_statistics(embeddings.numpy())
        normalised = (embeddings - recogniser.embedding_mean) / recogniser.embedding_std
        # float32 sums of 50 values of about 1
        torch.testing.assert_close(normalised.mean(dim=0), torch.zeros(12), rtol=0, atol=1e-5)
        torch.testing.assert_close(normalised.std(dim=0, correction=0), torch.ones(12), rtol=0, atol=1e-5)

    def test_a_unit_that_is_always_zero_divides_nothing_by_zero(self, recogniser, waveforms):
        before = answers(recogniser, waveforms).probabilities
        embeddings = statistics(1)
        embeddings[:, 3] = 0.0
        recogniser.set_statistics(embeddings)
        assert recogniser.embedding_std[3].item() == pytest.approx(1e-3)
        torch.testing.assert_close(answers(recogniser, waveforms).probabilities, before, rtol=0, atol=1e-5)


class TestAnswers:
    def test_the_head_in_numpy_equals_the_graph(self, recogniser, waveforms):
        recogniser.set_statistics(statistics(1))
        head = AffineHead(
            weight=recogniser.head.weight.detach().double().numpy(),
            bias=recogniser.head.bias.detach().double().numpy(),
            mean=recogniser.embedding_mean.double().numpy(),
            std=recogniser.embedding_std.double().numpy(),
            temperature=recogniser.temperature.item(),
        )
        graph = answers(recogniser, waveforms)
        np.testing.assert_allclose(
            graph.probabilities.numpy(), head.probabilities(graph.embedding.numpy()), rtol=0, atol=1e-5
        )

    def test_logits_over_the_temperature_are_the_probabilities(self, recogniser, waveforms):
        # Training and recognition take two ways through the same module.
        recogniser.set_statistics(statistics(1))
        answer = answers(recogniser, waveforms)
        with torch.no_grad():
            probabilities = (recogniser.logits(answer.features) / 1.7).softmax(dim=1)
        torch.testing.assert_close(answer.probabilities, probabilities, rtol=0, atol=1e-6)

    def test_probabilities_sum_to_one(self, recogniser, waveforms):
        probabilities = answers(recogniser, waveforms).probabilities
        assert probabilities.shape == (6, len(EMOTIONS))
        torch.testing.assert_close(probabilities.sum(dim=1), torch.ones(6), rtol=0, atol=1e-6)

    def test_a_clip_alone_is_answered_as_in_a_batch(self, recogniser, waveforms):
        together = answers(recogniser, waveforms)
        for position in range(6):
            alone = answers(recogniser, waveforms[position : position + 1])
            torch.testing.assert_close(
                alone.probabilities[0], together.probabilities[position], rtol=0, atol=1e-5
            )
            torch.testing.assert_close(alone.embedding[0], together.embedding[position], rtol=0, atol=1e-5)

    def test_features_are_what_the_network_heard(self, recogniser, waveforms):
        answer = answers(recogniser, waveforms)
        assert answer.features.shape == (6, 16, 1 + 8_000 // 256)
        with torch.no_grad():
            heard = recogniser.network(answer.features)
        assert torch.equal(heard.embedding, answer.embedding)
        assert torch.equal(heard.attention, answer.attention)

    def test_dropout_acts_in_training_alone(self, recogniser, waveforms):
        features = answers(recogniser, waveforms).features
        with torch.no_grad():
            assert torch.equal(recogniser.logits(features), recogniser.logits(features))
            recogniser.head_dropout.train()
            assert not torch.equal(recogniser.logits(features), recogniser.logits(features))


class TestState:
    def test_all_that_was_learned_travels_in_the_state(self, recogniser, waveforms):
        recogniser.set_statistics(statistics(1))
        loaded = Recogniser(small_recipe()).eval()
        loaded.load_state_dict(recogniser.state_dict())
        assert torch.equal(
            answers(loaded, waveforms).probabilities, answers(recogniser, waveforms).probabilities
        )

    def test_preparing_the_export_changes_neither_state_nor_answers(self, recogniser, waveforms):
        before, keys = answers(recogniser, waveforms), list(recogniser.state_dict())
        recogniser.front_end.prepare_export()
        assert list(recogniser.state_dict()) == keys  # so a checkpoint still loads
        torch.testing.assert_close(
            answers(recogniser, waveforms).probabilities, before.probabilities, rtol=0, atol=1e-4
        )

    def test_trained_numbers_are_counted(self, recogniser):
        head = 12 * len(EMOTIONS) + len(EMOTIONS)
        convolutions = (9 * 4 + 8) + (9 * 4 * 4 + 8)  # without bias; batch normalisation has two a channel
        projection = 4 * (16 // 4) * 8 + 8
        lstm = 2 * 4 * (8 * 8 + 8 * 8 + 8 + 8)  # two directions, four gates
        attention = (16 * 64 + 64) + (64 + 1)
        embedding = 32 * 12 + 12 + 2 * 12
        assert recogniser.n_parameters == head + convolutions + projection + lstm + attention + embedding


def test_fewer_frames_than_the_network_needs_are_refused():
    recipe = small_recipe().model_copy(
        update={"features": small_recipe().features.model_copy(update={"frames": 4})}
    )
    with pytest.raises(
        RecipeError, match=r"needs 8 frames, and the shortest clip has 4; raise features\.frames"
    ):
        Recogniser(recipe)
