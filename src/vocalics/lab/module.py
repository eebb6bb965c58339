"""The Lightning module: what one step, one epoch and one check of the validation part do."""

import copy
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import lightning
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.data import DataLoader

from vocalics.errors import TrainingError
from vocalics.lab import metrics
from vocalics.lab.audio_store import AudioStore
from vocalics.lab.augment import add_feature_noise, mask_features, mixup, shift_frames
from vocalics.lab.dataset import EpochBatches, FeaturesOfCrops, Key, TrainingClips
from vocalics.lab.devices import on_gpu
from vocalics.lab.encoders import EncoderFrontEnd, StateStore, WholeStates, join_states
from vocalics.lab.encoders.rates import parameter_groups
from vocalics.lab.feature_store import FeatureStore, WholeClips
from vocalics.lab.features.stack import FrontEnd
from vocalics.lab.manifest import Manifest
from vocalics.lab.recipes.schema import Recipe
from vocalics.lab.recogniser import Recogniser
from vocalics.lab.vocal_tract import warped

#: Crops (batch, samples), or features (batch, n_features, frames) where clips come undivided or workers make
#: them, and the positions of their utterances in the manifest (batch,). With an encoder that stays as it is,
#: its states (batch, steps, n_states, width), the positions, and how many steps each clip has (batch,).
Batch = tuple[Tensor, ...]

#: Clips of a part, addressed by (epoch, position, crop length).
Clips = TrainingClips | WholeClips | WholeStates


class TrainingModule(lightning.LightningModule):
    """A `Recogniser` in training.

    Every random draw follows from the seed, the epoch and the utterance or batch, and for a batch also from
    the process, so that a run repeats, and a resumed epoch is the one that was lost.

    Parameters
    ----------
    recipe
        What to train.
    recogniser
        The module that is trained.
    store
        Decoded audio of both parts.
    train, validation
        Manifests of the two parts; the validation part may be empty.
    features
        Stacks of both parts, or the states of an encoder, where the recipe takes clips undivided.
    """

    def __init__(
        self,
        recipe: Recipe,
        recogniser: Recogniser,
        store: AudioStore,
        train: Manifest,
        validation: Manifest,
        features: FeatureStore | StateStore | None = None,
    ) -> None:
        super().__init__()
        self.recipe = recipe
        # Convolutions on a CPU take half the time so. PyTorch's types do not know the call.
        self.recogniser = recogniser.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._features = features
        # Of the manifests stays what is an array: a process for each device gets all that is kept here.
        self._groups = _positions_by_corpus(train)
        self._clips, self._validation_clips = self._datasets(store, train, validation)
        index = {emotion: position for position, emotion in enumerate(recipe.emotions)}
        self._targets = torch.tensor([index[utterance.emotion] for utterance in train])
        self._validation_targets = torch.tensor([index[utterance.emotion] for utterance in validation])
        self._allowed = self._allowed_emotions(index, train)
        self._class_weights = self._balance(len(index)) if recipe.training.class_weights else None
        self._dense = [layer for layer in recogniser.network.modules() if isinstance(layer, torch.nn.Linear)]
        if recipe.training.dense_l2 and not self._dense:
            raise TrainingError(
                f"training.dense_l2 holds dense layers small, and the network '{recipe.network.name}' has "
                "none here; leave it out, or give the network some."
            )
        for name in recipe.training.frozen:  # Lightning leaves each part in the mode in which it finds it
            _part(recogniser.network, name).requires_grad_(False).eval()
        averages = recipe.training.average_decay is not None
        self.averaged = copy.deepcopy(recogniser).requires_grad_(False) if averages else None
        self._losses: list[tuple[float, float]] = []
        self._validated: dict[str, float] = {}
        self._plateau: torch.optim.lr_scheduler.ReduceLROnPlateau | None = None
        self._restored_plateau: dict[str, Any] | None = None

    @property
    def trained(self) -> Recogniser:
        """What is validated and exported: the averaged weights where the recipe averages."""
        return self.averaged or self.recogniser

    @property
    def validates(self) -> bool:
        """Whether there is a validation part."""
        return len(self._validation_targets) > 0

    # Batches ----------------------------------------------------------------------------------------------

    def train_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        """Return the batches of the current epoch; Lightning asks anew every epoch."""
        settings, rate = self.recipe.training, self.recipe.sample_rate
        low, high = settings.crop_s or (0.0, 0.0)
        batches = EpochBatches(
            self._groups,
            self.current_epoch,
            settings.seed,
            settings.batch_size,
            (round(low * rate), round(high * rate)),
            settings.balance_corpora,
            share=(self.global_rank, self.trainer.world_size),
        )
        return self._loader(self._clips, batches)

    def val_dataloader(self) -> DataLoader[tuple[Tensor, int]]:
        """Return the validation part for monitoring; calibration hears it by itself, clip by clip.

        Where the recipe trains on crops, these are middle crops.
        """
        settings = self.recipe.training
        length = round(settings.crop_s[1] * self.recipe.sample_rate) if settings.crop_s else 0
        positions = [(0, position, length) for position in range(len(self._validation_clips))]
        batches = [
            positions[k : k + settings.batch_size] for k in range(0, len(positions), settings.batch_size)
        ]
        return self._loader(self._validation_clips, batches)

    def _datasets(self, store: AudioStore, *parts: Manifest) -> list[Clips]:
        """Return the clips of the training and of the validation part, which is never changed.

        Stacks of undivided clips are finished on the processor, wherever the network is.
        """
        features, recipe = self._features, self.recipe
        clips: list[Clips] = []
        for part, changed in zip(parts, (True, False), strict=True):
            if isinstance(features, StateStore):
                clips.append(WholeStates(features, part, changed))
            elif features:
                front_end = copy.deepcopy(self.recogniser.front_end).cpu()
                clips.append(WholeClips(features, front_end, part, changed))
            else:
                changes = recipe.augmentation if changed else None
                clips.append(TrainingClips(store, part, changes, recipe.sample_rate, recipe.training.seed))
        return clips

    def _loader(self, clips: Clips, batches: Iterable[list[Key]]) -> DataLoader[tuple[Tensor, int]]:
        """Return batches, which the recipe's workers make ready while the network learns."""
        join: Callable[[Any], Batch] | None = None
        if isinstance(clips, WholeStates):
            join = join_states  # clips of an encoder differ in length
        elif self._workers_hear:
            join = FeaturesOfCrops(copy.deepcopy(self.recogniser.front_end).cpu())
        workers = self.recipe.training.workers
        return DataLoader(clips, batch_sampler=batches, num_workers=workers, collate_fn=join)

    @property
    def _workers_hear(self) -> bool:
        """Whether the features of crops are the workers' work too.

        A graphics processor is faster at it. Filters that are moved for a batch belong to its step.
        """
        front_end = self.recogniser.front_end
        return (
            self.recipe.training.workers > 0
            and isinstance(front_end, FrontEnd)
            and not self._features
            and not on_gpu(self.recipe.trainer)
            and not self.recipe.augmentation.vocal_tract
        )

    # Steps ------------------------------------------------------------------------------------------------

    def on_train_epoch_start(self) -> None:
        """Forget the figures of the epoch before."""
        self._losses, self._validated = [], {}

    def on_train_batch_start(self, batch: Batch, batch_index: int) -> None:
        """Seed what PyTorch draws itself (dropout), so that a resumed epoch is the epoch that was lost.

        It is done with the first batch in hand: before, Lightning makes iterators, which draw a number each,
        and in the first epoch of a resumed run it makes other ones.
        """
        if batch_index == 0:
            run = self.recipe.training.seed * 1_000_003 + self.global_rank * 10_007
            torch.manual_seed(run + self.current_epoch)
            if self.current_epoch > 0:  # the draw of the iterator that is made between epochs
                torch.empty((), dtype=torch.int64).random_()

    def training_step(self, batch: Batch, batch_index: int) -> Tensor:
        """One batch: hear, change, answer, compare."""
        heard, positions, *lengths = batch
        place = [self.recipe.training.seed, self.current_epoch, batch_index, 1 + self.global_rank]
        rng = np.random.default_rng(place)
        settings = self.recipe.augmentation
        tracts: AbstractContextManager[None] = nullcontext()
        if settings.vocal_tract:
            tracts = warped(self.recogniser.front_end.mels, rng.uniform(*settings.vocal_tract))
        with tracts:
            features = self._hear(self.recogniser, heard)  # (batch, n_features, frames)
        features = shift_frames(features, settings.shift_frames, rng)
        features = add_feature_noise(features, settings.feature_noise, rng)
        truth = self._targets.to(self.device)[positions]
        targets = functional.one_hot(truth, len(self.recipe.emotions)).float()
        allowed = self._allowed.to(self.device)[positions]
        if settings.mixup_alpha and rng.random() < settings.mixup_probability:
            features, targets, partners = mixup(features, targets, settings.mixup_alpha, rng)
            allowed = allowed | allowed[partners]
            lengths = [torch.maximum(length, length[partners]) for length in lengths]
        logits = self.recogniser.logits(mask_features(features, settings, rng), *lengths)
        loss = self._loss(logits, targets, allowed)
        if not torch.isfinite(loss):
            raise TrainingError(
                f"the loss is {loss.item()} in epoch {self.current_epoch}: the training has diverged. Lower "
                "training.learning_rate, or set training.gradient_clip."
            )
        self._losses.append((loss.item(), (logits.argmax(dim=1) == truth).float().mean().item()))
        return loss + self._dense_penalty() if self.recipe.training.dense_l2 else loss

    def on_train_batch_end(self, *_: Any) -> None:
        """Move the averaged weights towards the trained ones."""
        if self.averaged is None:
            return
        decay = float(self.recipe.training.average_decay or 0.0)
        with torch.no_grad():
            for average, current in zip(
                self.averaged.state_dict().values(), self.recogniser.state_dict().values(), strict=True
            ):
                if average.dtype.is_floating_point:
                    average.lerp_(current, 1 - decay)
                else:
                    average.copy_(current)

    def on_validation_epoch_start(self) -> None:
        """Collect the answers of the validation part."""
        self._answers: list[tuple[Tensor, Tensor]] = []

    def validation_step(self, batch: Batch, batch_index: int) -> None:
        """Answer one batch of middle crops, or of clips undivided."""
        heard, positions, *lengths = batch
        logits = self.trained.logits(self._hear(self.trained, heard), *lengths)
        self._answers.append((logits.cpu(), positions.cpu()))

    def on_validation_epoch_end(self) -> None:
        """Measure the validation part and lower the learning rate on a plateau."""
        logits = torch.cat([answer for answer, _ in self._answers])
        truth = self._validation_targets[torch.cat([positions for _, positions in self._answers])]
        predicted = logits.argmax(dim=1)
        counts = metrics.confusion(truth.numpy(), predicted.numpy(), self.recipe.emotions)
        values = {
            "validation_loss": functional.cross_entropy(logits, truth).item(),
            "validation_accuracy": metrics.accuracy(counts),
            "validation_uar": metrics.uar(counts),
        }
        # Every process has heard all of it; one decides for all, since other machines may round otherwise.
        self._validated = values = self.trainer.strategy.broadcast(values)
        self.log_dict(values)  # for early stopping
        if self._plateau is not None:
            self._plateau.step(values["validation_loss"])

    def epoch_figures(self) -> dict[str, float]:
        """Return the epoch's loss and accuracy, its learning rate, and what was validated in it, if so.

        They are means over all processes, each of which must ask.
        """
        means = torch.from_numpy(np.mean(self._losses, axis=0)).to(self.device)
        loss, accuracy = self.trainer.strategy.reduce(means, reduce_op="mean").tolist()
        rate = self.trainer.optimizers[0].param_groups[0]["lr"]
        return {
            "train_loss": loss,
            "train_accuracy": accuracy,
            **self._validated,
            "learning_rate": rate,
        }

    # Optimisation -----------------------------------------------------------------------------------------

    def configure_optimizers(self) -> Any:
        """Return Adam or AdamW, with one cycle over all batches where the recipe says so.

        The plateau of the validation loss is watched by the module itself, which steps it before the epoch's
        checkpoint is written; Lightning would do so after it.
        """
        settings = self.recipe.training
        optimiser_class = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[settings.optimiser]
        optimiser = optimiser_class(
            parameter_groups(self.recipe, self.recogniser),
            lr=settings.learning_rate,
            weight_decay=settings.weight_decay,
        )
        if settings.schedule == "one_cycle":
            schedule = torch.optim.lr_scheduler.OneCycleLR(
                optimiser,
                max_lr=[group["lr"] for group in optimiser.param_groups],
                total_steps=int(self.trainer.estimated_stepping_batches),
                pct_start=settings.warmup_share,
            )
            return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
        if settings.schedule == "plateau":
            self._plateau = torch.optim.lr_scheduler.ReduceLROnPlateau(
                optimiser, factor=settings.plateau_factor, patience=settings.plateau_patience
            )
            if self._restored_plateau:
                self._plateau.load_state_dict(self._restored_plateau)
        return optimiser

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keep the plateau's memory."""
        if self._plateau is not None:
            checkpoint["plateau"] = self._plateau.state_dict()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Restore the plateau's memory once the optimiser exists."""
        self._restored_plateau = checkpoint.get("plateau")
        if self._plateau is not None and self._restored_plateau:
            self._plateau.load_state_dict(self._restored_plateau)

    def _hear(self, recogniser: Recogniser, heard: Tensor) -> Tensor:
        """Return what the network hears of a batch, in full precision; (batch, rows, frames) it is already.

        An encoder learns with the network: at least the weights of its layers.
        """
        front_end = recogniser.front_end
        if isinstance(front_end, EncoderFrontEnd):
            return front_end.finish(heard) if self._features else front_end(heard)
        if heard.ndim == 3:  # features, from a store or from a worker
            return heard
        with torch.no_grad(), torch.autocast(self.device.type, enabled=False):
            return front_end(heard)  # type: ignore[no-any-return]

    def _dense_penalty(self) -> Tensor:
        """Return the squared weights of the network's dense layers, times ``dense_l2``."""
        squares = torch.stack([layer.weight.square().sum() for layer in self._dense])
        return self.recipe.training.dense_l2 * squares.sum()

    def _loss(self, logits: Tensor, targets: Tensor, allowed: Tensor) -> Tensor:
        """Return the cross-entropy over the emotions that each clip's corpus has, smoothed over those alone.

        Parameters
        ----------
        logits, targets
            (batch, n_emotions); each row of `targets` sums to one.
        allowed
            Which emotions count, (batch, n_emotions); the others get no gradient.
        """
        smoothing = self.recipe.training.label_smoothing
        even = allowed.float() / allowed.sum(dim=1, keepdim=True)
        targets = (1 - smoothing) * targets + smoothing * even
        likelihoods = (
            logits.masked_fill(~allowed, float("-inf")).log_softmax(dim=1).masked_fill(~allowed, 0.0)
        )
        losses = -targets * likelihoods
        if self._class_weights is not None:
            losses = losses * self._class_weights.to(losses.device)
        return losses.sum(dim=1).mean()

    def _allowed_emotions(self, index: dict[str, int], train: Manifest) -> Tensor:
        """Say which emotions the corpus of each training utterance has at all, (n_utterances, n_emotions)."""
        allowed = torch.ones(len(train), len(index), dtype=torch.bool)
        if self.recipe.training.mask_missing_emotions:
            for positions in self._groups:
                missing = sorted(set(index.values()) - set(self._targets[positions].tolist()))
                allowed[positions[:, None], missing] = False
        return allowed

    def _balance(self, n_emotions: int) -> Tensor:
        """Weights (n_emotions,) in inverse proportion to the training counts, 1 on average over the clips."""
        counts = torch.bincount(self._targets, minlength=n_emotions).clamp(min=1)
        return len(self._targets) / (n_emotions * counts)


def _positions_by_corpus(part: Manifest) -> list[npt.NDArray[np.int64]]:
    """Return the positions (n_clips,) of each corpus's utterances."""
    index = {name: number for number, name in enumerate(part.corpora)}
    corpora = np.fromiter((index[utterance.corpus] for utterance in part), np.int32, count=len(part))
    return [np.flatnonzero(corpora == number) for number in index.values()]


def _part(network: nn.Module, name: str) -> nn.Module:
    """Return a part of a network by its name; ``network`` is all of it, so that the head alone learns."""
    parts = {"network": network, **dict(network.named_children())}
    if name not in parts:
        raise TrainingError(
            f"training.frozen names '{name}', which the network does not have; its parts: {', '.join(parts)}."
        )
    return parts[name]
