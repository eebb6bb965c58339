"""A sound card for tests: it stands for the module `sounddevice` and hears what a test gives it."""

import threading
from types import ModuleType, SimpleNamespace

import numpy as np


class PortAudioError(Exception):
    """As sounddevice's own."""


def device(name, inputs, rate=48_000.0):
    return {"name": name, "hostapi": 0, "max_input_channels": inputs, "default_samplerate": rate}


class SoundCard(ModuleType):
    """The module, and the one stream that is opened on it.

    `script` is heard in a thread of its own, as PortAudio does it, as soon as the stream is started: blocks
    (n_samples, channels), ``"overrun"`` before a block that comes after lost sound, ``"gone"`` for a device
    that vanishes, or anything else to call. Without a script, a test calls `hear`.
    """

    PortAudioError = PortAudioError

    def __init__(self, devices=None, default=0, refuses=None, script=()):
        super().__init__("sounddevice")
        self.devices = [device("made microphone", 1)] if devices is None else devices
        self.default, self.refuses, self.script = default, refuses, script
        self.opened = None  # how the stream was opened
        self.closed = False
        self.thread = None

    def query_hostapis(self):
        return [{"name": "made interface"}]

    def query_devices(self, device=None, kind=None):
        if device is None and kind is None:
            return self.devices
        if device is None:
            device = self.default
        if isinstance(device, str):
            fits = [index for index, one in enumerate(self.devices) if device in one["name"]]
            if len(fits) != 1:
                raise ValueError(f"No {kind} device matching {device!r}")
            (device,) = fits
        if device is None or not 0 <= device < len(self.devices):
            raise PortAudioError(f"Error querying device {device}")
        if not self.devices[device]["max_input_channels"]:
            raise ValueError(f"Not an input device: {device}")
        return self.devices[device] | {"index": device}

    def InputStream(self, **options):
        if self.refuses:
            raise PortAudioError(self.refuses)
        self.opened = options
        return self

    def start(self):
        if self.script:
            self.thread = threading.Thread(target=self._run)
            self.thread.start()

    def close(self):
        self.closed = True
        if self.thread is not None:
            self.thread.join()

    def hear(self, block, overrun=False):
        """Give a block, (n_samples,) or (n_samples, channels), to the one who listens."""
        samples = np.array(block, dtype=np.float32).reshape(len(block), -1)
        self.opened["callback"](samples, len(samples), None, SimpleNamespace(input_overflow=overrun))

    def _run(self):
        overrun = False
        for step in self.script:
            if self.closed:  # nobody is there any more whom an interrupt could reach
                return
            if isinstance(step, str) and step == "gone":
                self.opened["finished_callback"]()
            elif isinstance(step, str):
                overrun = True
            elif callable(step):
                step()
            else:
                self.hear(step, overrun)
                overrun = False
