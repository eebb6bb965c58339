"""How fast a training goes, part by part: the rates with which docs/scaling.md reckons.

    python benchmarks/training_rates.py [--clips N] [--rows N] [--quick] [-o FILE.json]

Everything is done by one thread. Rates of decoding, of reading and changing clips, of features and of
learning (forward, backward, update) are by processor time, so that they are those of one core: times real
time, which is also hours of sound in a core-hour. Epochs, the building of a store and reading from the disk
are by the clock, as are two training processes against one; for these the machine has to be quiet. The
manifest is made up, with a million rows, and opened by a process of its own.

Clips of 3 s at 16 kHz, 16 bit, sound like speech and are all different; a store of several thousand of them
is made by decoding each a few times. The recipes are the bundled ``vocalics`` and ``cnn2d``, with their own
sizes of batches.
"""

import argparse
import gc
import json
import os
import platform
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")

import numpy as np
import soundfile

from vocalics import audio
from vocalics.emotions import EMOTIONS
from vocalics.files import write_atomically
from vocalics.lab.audio_store import AudioStore, decoded
from vocalics.lab.manifest import COLUMNS, Manifest, Utterance, load_manifest
from vocalics.lab.recipes import load_recipe
from vocalics.lab.splits import make_splits

EXAMPLE = Path(__file__).parents[1] / "examples" / "woman.wav"
RATE, CLIP_S = 16_000, 3.0
RECIPES = ("vocalics", "cnn2d")
WORKERS, PROCESSES = (0, 1, 2), (1, 2)

#: What recordings come as: file name, sample rate in Hz, soundfile's name of the coding.
KINDS = {
    "wav, 16 kHz": ("16.wav", 16_000, "PCM_16"),
    "wav, 48 kHz": ("48.wav", 48_000, "PCM_16"),
    "flac, 48 kHz": ("48.flac", 48_000, "PCM_16"),
    "mp3, 44.1 kHz": ("44.mp3", 44_100, "MPEG_LAYER_III"),
}

# Sounds


def made_manifest(folder: Path, count: int, emotions: Iterable[str]) -> Manifest:
    """Write clips that are all different, and sound like speech, by eight speakers."""
    sound, rate = soundfile.read(EXAMPLE, dtype="int16")
    rng, choices, utterances = np.random.default_rng(0), list(emotions), []
    for number in range(count):
        name = f"{number:05}"
        soundfile.write(folder / f"{name}.wav", np.roll(sound, rng.integers(len(sound)))[: _n(rate)], rate)
        emotion = choices[number % len(choices)]
        words = {"corpus": "made", "speaker": str(number % 8), "gender": "", "intensity": "", "sentence": ""}
        utterances.append(
            Utterance(f"made/{name}", f"{name}.wav", emotion=emotion, duration_s=CLIP_S, digest=name, **words)
        )
    return Manifest(folder, tuple(utterances))


def many_times(manifest: Manifest, count: int) -> Manifest:
    """Name the recordings of a manifest again and again, under other ids."""
    named = manifest.utterances
    return Manifest(
        manifest.root,
        tuple(
            Utterance(**{name: getattr(one, name) for name in COLUMNS} | {"id": f"{one.id}~{number:06}"})
            for number, one in ((number, named[number % len(named)]) for number in range(count))
        ),
    )


def _n(rate: int) -> int:
    return round(CLIP_S * rate)


# Rates of one core, times real time


def by_core(work: Callable[[], object], sound_s: float, least_s: float) -> float:
    """Repeat some work for so long at least; return the seconds of sound that a core-second gets through."""
    work()  # warm
    began_s, times = time.process_time(), 0
    while time.process_time() - began_s < least_s or not times:
        work()
        times += 1
    return sound_s * times / (time.process_time() - began_s)


def decoding(folder: Path, least_s: float) -> dict[str, float]:
    """Decode and resample clips of several kinds as a store does."""
    clip = audio.read(EXAMPLE, 0.0, CLIP_S)
    found = {}
    for kind, (name, rate, coding) in KINDS.items():
        path = folder / name
        soundfile.write(path, clip.resampled(rate).samples[0], rate, subtype=coding)
        found[kind] = by_core(lambda path=path: decoded(RATE, RATE / 2, path), CLIP_S, least_s)
    return found


# By the clock


def stores(manifest: Manifest, folder: Path) -> dict[str, Any]:
    """Build a store by threads and by processes, then read from it at random."""
    built = {}
    for how, workers in (("threads", 0), ("2 processes", 2)):
        told: list[float] = []  # when each clip was there
        store = AudioStore.build(
            manifest,
            RATE,
            RATE / 2,
            folder / how,
            workers=workers,
            progress=lambda done, _, told=told: told.append(time.perf_counter()),
        )
        after = len(told) // 10  # by then all processes have started
        built[how] = CLIP_S * (len(told) - after) / (told[-1] - told[after - 1])
    order = np.random.default_rng(0).permutation(len(store))
    raw = next(folder.glob("2 processes/*.int16"))
    read = {"memory": 0.0}
    if hasattr(os, "posix_fadvise"):
        del store  # what is mapped is not forgotten
        gc.collect()
        with raw.open("rb") as file:
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        store = AudioStore(raw)
        read["disk"] = _read(store, order)
    read["memory"] = _read(store, order)
    return {"built, times real time": built, "read, MB a second": read}


def _read(store: AudioStore, order: Iterable[int]) -> float:
    began_s = time.perf_counter()
    n_samples = sum(len(store.clip(int(place))) for place in order)
    return 2 * n_samples / 1e6 / (time.perf_counter() - began_s)


# The manifest


def write_rows(path: Path, count: int) -> None:
    """Write a manifest with as much in it as that of a real archive, by five thousand speakers."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    rng, emotions = np.random.default_rng(0), tuple(EMOTIONS)
    columns: dict[str, list[Any]] = {
        "id": [f"calls/{number:09}" for number in range(count)],
        "path": [f"{number // 1000:06}/{number:09}.flac" for number in range(count)],
        "corpus": ["calls"] * count,
        "speaker": [f"{number % 5000:05}" for number in range(count)],
        "gender": ["female" if number % 2 else "male" for number in range(count)],
        "emotion": [emotions[number // 5000 % len(emotions)] for number in range(count)],
        "intensity": [""] * count,
        "sentence": [""] * count,
        "duration_s": [CLIP_S] * count,
        "digest": [rng.bytes(32).hex() for _ in range(count)],
    }
    pq.write_table(pa.table({name: columns[name] for name in COLUMNS}), path)


def open_rows(path: Path) -> dict[str, float]:
    """Load a manifest and split it, as ``vocalics train`` does; for a process of its own."""
    import pyarrow.parquet  # noqa: F401 - its code is not counted

    before_mb, began_s = memory_mb("VmRSS"), time.perf_counter()
    manifest, _ = load_manifest(path).project(EMOTIONS)
    found = {"rows": len(manifest), "load s": time.perf_counter() - began_s}
    found["held MB"] = memory_mb("VmRSS") - before_mb
    began_s = time.perf_counter()
    split = make_splits(manifest)[0]
    train, rest = manifest.select(split.train), manifest.select(split.validation)
    found |= {"split s": time.perf_counter() - began_s, "training rows": len(train) + len(rest)}
    return found | {"peak MB": memory_mb("VmHWM") - before_mb}


def memory_mb(which: str) -> float:
    """Return what Linux says of this process's memory: what it holds, or held at most since it began."""
    gc.collect()
    told = Path("/proc/self/status").read_text()
    return int(re.search(rf"^{which}:\s+(\d+) kB", told, re.MULTILINE)[1]) * 1024 / 1e6


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clips", type=int, default=480, help="in an epoch")
    parser.add_argument("--rows", type=int, default=1_000_000, help="of the manifest")
    parser.add_argument("--quick", action="store_true", help="hardly measure: is all of it in order?")
    parser.add_argument("-o", "--output", type=Path, help="write the figures there as JSON")
    parser.add_argument("--open", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.open:
        print(json.dumps(open_rows(options.open)))
        return
    # Not before: processes that decode or open a manifest read this script too, and need no PyTorch.
    from timed_training import count_parameters, epochs, loading, stored
    from vocalics.lab.trainer import best_precision

    if options.quick:
        options.clips, options.rows = 8, 2_000
    least_s, few = (0.0, ["training.batch_size=4"]) if options.quick else (2.0, [])
    recipes = [load_recipe(name, few) for name in RECIPES]
    n_cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    result: dict[str, Any] = {
        "command": f"python benchmarks/training_rates.py --clips {options.clips} --rows {options.rows}",
        "machine": {
            "processor": platform.processor() or platform.machine(),
            "cores": n_cores,
            "precision": best_precision("auto"),
        },
        "clip_s": CLIP_S,
        "recipes": {},
    }

    def tell(name: str, figures: Any) -> None:
        print(f"{name}: {json.dumps(figures)}", flush=True)

    with tempfile.TemporaryDirectory() as name, suppress(KeyboardInterrupt):
        folder = Path(name)
        manifest = made_manifest(folder, options.clips, recipes[0].emotions)
        result["decoding"] = decoding(folder, least_s)
        tell("decoding, times real time", result["decoding"])
        result["store"] = stores(many_times(manifest, 8 * options.clips), folder)
        tell("store", result["store"])
        for recipe in recipes:
            store = AudioStore.build(manifest, recipe.sample_rate, recipe.bandwidth_hz, folder / "audio")
            of_workers = {
                str(workers): epochs(recipe, store, manifest, folder, f"training.workers={workers}")
                for workers in WORKERS
            }
            n_heard = options.clips // recipe.training.batch_size * recipe.training.batch_size
            learning_s = of_workers["0"][-1]["core-seconds of learning"]
            result["recipes"][recipe.name] = {
                "parameters": count_parameters(recipe),
                "batch size": recipe.training.batch_size,
                "clips an epoch": n_heard,
                "sample rate": recipe.sample_rate,
                **stored(recipe),
                **{
                    what: by_core(work, CLIP_S * recipe.training.batch_size, least_s)
                    for what, work in loading(recipe, store, manifest, folder, CLIP_S).items()
                },
                "learning": CLIP_S * n_heard / learning_s,
                "epochs by workers": of_workers,
            }
            tell(recipe.name, result["recipes"][recipe.name])
            if recipe.name == RECIPES[0]:
                result["epochs by processes"] = {
                    str(devices): epochs(
                        *(recipe, store, manifest, folder),
                        *(f"trainer.devices={devices}", "trainer.accelerator=cpu"),
                    )
                    for devices in PROCESSES
                }
                tell("epochs by processes", result["epochs by processes"])
        write_rows(folder / "rows.parquet", options.rows)
        told = subprocess.run(
            [sys.executable, __file__, "--open", folder / "rows.parquet"],
            stdout=subprocess.PIPE,
            check=True,
        )
        result["manifest"] = json.loads(told.stdout)
        tell("manifest", result["manifest"])
    if options.output and "manifest" in result:
        write_atomically(options.output, json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
