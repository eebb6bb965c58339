"""An epoch of the network of ``cnn2d`` in Keras, by TensorFlow, on features made of noise.

With the optimiser, the batches and the penalty of the recipe; nothing changes the features, and there is no
validation part.
"""

import epochs
import keras
import keras_cnn2d  # first: it says what TensorFlow logs
import numpy as np

BATCH = 16


class Noted(keras.callbacks.Callback):
    """Notes when epochs end."""

    def __init__(self) -> None:
        super().__init__()
        self.ends = epochs.Ends()

    def on_epoch_end(self, epoch: int, logs: object = None) -> None:
        """Note it."""
        self.ends.note()


if __name__ == "__main__":
    wanted = epochs.parser().parse_args()
    rng = np.random.default_rng(0)
    shape = (keras_cnn2d.ROWS, keras_cnn2d.FRAMES)
    features = rng.standard_normal((wanted.clips, *shape, 1), dtype=np.float32)
    truth = np.arange(wanted.clips) % len(keras_cnn2d.EMOTIONS)
    network = keras_cnn2d.build()
    network.compile(keras.optimizers.Adam(0.001), "sparse_categorical_crossentropy", metrics=["accuracy"])
    noted = Noted()
    network.fit(features, truth, batch_size=BATCH, epochs=1 + wanted.epochs, verbose=0, callbacks=[noted])
    epochs.tell(
        noted.ends,
        parameters=keras_cnn2d.trained_numbers(network),
        shape=list(shape),
        batch=BATCH,
        precision="32-true",
    )
