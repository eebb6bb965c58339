"""The published system ``cnn2d`` as it is usually written: librosa, and Keras by TensorFlow.

The weights are at random, the arithmetic is the same: librosa.load at 22,050 Hz, peak normalisation, nine
calls, each from the samples, padded or cut to 174 frames, standardised, and the network of the recipe.
"""

import os
from collections.abc import Callable

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import librosa
import numpy as np
import numpy.typing as npt
from predicting import parser, tell

RATE, FRAMES, ROWS = 22_050, 174, 192
EMOTIONS = ("neutral", "calm", "happy", "sad", "angry", "fearful", "disgust", "surprised")

Array = npt.NDArray[np.floating]


def build() -> keras.Model:
    """Build the network, (batch, 192, 174, 1) to (batch, 8)."""
    layers = keras.layers
    network = keras.Sequential([keras.Input((ROWS, FRAMES, 1))])
    for channels in (32, 64, 128):
        # A bias would be taken away by the normalisation; the recipe's network has none.
        network.add(layers.Conv2D(channels, 3, padding="same", use_bias=False))
        network.add(layers.BatchNormalization())
        network.add(layers.ReLU())
        network.add(layers.MaxPooling2D(2))
    network.add(layers.GlobalAveragePooling2D())
    for units in (256, 128):
        network.add(layers.Dropout(0.2))
        network.add(layers.Dense(units, activation="relu", kernel_regularizer=keras.regularizers.L2(1e-4)))
    network.add(layers.Dropout(0.2))
    network.add(layers.Dense(len(EMOTIONS), activation="softmax"))
    return network


def trained_numbers(network: keras.Model) -> int:
    """Count what is learnt: all but the running statistics of the normalisation."""
    return int(sum(np.prod(weight.shape) for weight in network.trainable_weights))


def features(path: str) -> Array:
    """Return the stack of a file, (192, 174)."""
    y, _ = librosa.load(path, sr=RATE)
    y = librosa.util.normalize(y)
    stack = np.concatenate(
        [
            librosa.feature.mfcc(y=y, sr=RATE, n_mfcc=40),
            librosa.feature.chroma_stft(y=y, sr=RATE),
            librosa.feature.spectral_contrast(y=y, sr=RATE),
            librosa.feature.zero_crossing_rate(y),
            librosa.feature.spectral_rolloff(y=y, sr=RATE),
            librosa.feature.spectral_centroid(y=y, sr=RATE),
            librosa.feature.rms(y=y),
            librosa.feature.spectral_bandwidth(y=y, sr=RATE),
            librosa.feature.melspectrogram(y=y, sr=RATE),
        ]
    )
    return librosa.util.fix_length(stack, size=FRAMES, axis=1)


def open_model(call: str) -> tuple[Callable[[str], str], int]:
    """Build the network; its answer comes by `model.predict`, or by calling it, which is quicker for one."""
    network = build()
    mean, std = np.zeros((ROWS, 1), np.float32), np.ones((ROWS, 1), np.float32)

    def label(path: str) -> str:
        x = ((features(path) - mean) / std).astype(np.float32)[np.newaxis, :, :, np.newaxis]
        answer = network.predict(x, verbose=0) if call == "predict" else network(x, training=False).numpy()
        return EMOTIONS[int(answer[0].argmax())]

    return label, trained_numbers(network)


if __name__ == "__main__":
    options = parser()
    options.add_argument("--call", choices=("predict", "direct"), default="predict")
    wanted = options.parse_args()
    tell(wanted, lambda: open_model(wanted.call))
