"""Write the figures of docs/scaling.md: python docs/make_scaling.py [--check].

They are arithmetic on what ``benchmarks/training_rates.py`` and ``benchmarks/batch.py`` measured, and on the
assumptions that stand here in capitals and in the page in words. Rates are times real time, by one core:
hours of sound in a core-hour.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from marked_page import write_or_check

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "scaling.md"
RESULTS = ROOT / "docs" / "results"
RATES, BATCH = "scaling/training_rates.json", "batch/batch.json"

HOURS = 10_000  # of sound
CORES, MACHINES = 32, 8
NETWORK_BITS_PER_S = 10e9
CLIPS_A_PROCESS = 8  # of a batch, on the cluster: with fewer, batch normalisation measures too little
GPU_IS_CORES = 100  # nobody has measured it
FILES = 1_000_000

#: Bytes of decoded audio for each sample, and of a gradient for each parameter.
SAMPLE_BYTES, GRADIENT_BYTES = 2, 4


@dataclass(frozen=True)
class Epoch:
    """An epoch of `HOURS` with one recipe.

    Attributes
    ----------
    clips
        How many.
    reading, features, learning
        Core-hours; features are 0 where they are kept from the first epoch on.
    kept_features
        Core-hours of the first epoch for features that are kept.
    share
        Of a core's rate, what each of 32 has.
    clip_bytes
        What an epoch reads of a clip.
    stacks
        Of features of a clip, that are kept.
    parameters
        Of the recipe's network.
    clip_s
        Seconds.
    """

    clips: float
    reading: float
    features: float
    learning: float
    kept_features: float
    share: float
    clip_bytes: float
    stacks: int
    parameters: int
    clip_s: float

    @property
    def core_hours(self) -> float:
        """All of it."""
        return self.reading + self.features + self.learning

    @property
    def machine_hours(self) -> float:
        """On one machine."""
        return self.core_hours / (CORES * self.share)

    @property
    def step_s(self) -> float:
        """A step of the cluster without the network, each core with `CLIPS_A_PROCESS`."""
        core_s = 3600 * self.core_hours / self.clips * CLIPS_A_PROCESS
        return core_s / self.share

    @property
    def reduce_s(self) -> float:
        """Gradients once round the ring of machines: each sends and receives so much of them."""
        rounds = 2 * (MACHINES - 1) / MACHINES
        return rounds * GRADIENT_BYTES * self.parameters * 8 / NETWORK_BITS_PER_S

    @property
    def cluster_hours(self) -> float:
        """On all machines, where no step is done while gradients travel."""
        steps = self.clips / (CLIPS_A_PROCESS * CORES * MACHINES)
        return steps * (self.step_s + self.reduce_s) / 3600

    @property
    def gpu_hours(self) -> float:
        """With one graphics processor, which has features and steps to itself."""
        return (self.features + self.learning) / GPU_IS_CORES

    def read_mb_a_second(self, hours: float, machines: int = 1) -> float:
        """Return what each of so many machines reads where an epoch lasts so long."""
        return self.clips * self.clip_bytes / machines / (3600 * hours) / 1e6


def main() -> int:
    """Write, or with ``--check`` say whether the page is in step."""
    return write_or_check(PAGE, figures(RESULTS), __doc__)


def figures(results: Path) -> str:
    """Return what stands between the page's marks."""
    return "\n".join(
        part(json.loads((results / name).read_text())) if (results / name).is_file() else missing
        for name, part, missing in (
            (RATES, training, _not_measured("Training", "training_rates", RATES)),
            (BATCH, archive, _not_measured("An archive", "batch", BATCH)),
        )
    )


def _not_measured(heading: str, script: str, name: str) -> str:
    command = f"python benchmarks/{script}.py -o docs/results/{name}"
    return f"### {heading}\n\nNot measured yet: `{command}`, then `python docs/make_scaling.py`.\n\n"


# Training


def epoch(measured: dict[str, Any], name: str) -> Epoch:
    """Reckon with the rates of one recipe."""
    own, clip_s = measured["recipes"][name], measured["clip_s"]
    kept = own["stacks kept of a clip"]
    features = HOURS / own["features"]
    return Epoch(
        clips=HOURS * 3600 / clip_s,
        reading=HOURS / own["reading and changing"],
        features=0.0 if kept else features,
        learning=HOURS / own["learning"],
        kept_features=kept * features,
        share=share_of_a_core(clips_a_second(measured, "1"), clips_a_second(measured, "2")),
        stacks=kept,
        clip_bytes=own["bytes of a stack"] if kept else SAMPLE_BYTES * own["sample rate"] * clip_s,
        parameters=own["parameters"],
        clip_s=clip_s,
    )


def clips_a_second(measured: dict[str, Any], processes: str) -> float:
    """Return the rate of the last epoch of so many training processes."""
    first = next(iter(measured["recipes"].values()))
    return float(first["clips an epoch"] / measured["epochs by processes"][processes][-1]["seconds"])


def share_of_a_core(one: float, two: float) -> float:
    """Return what each of `CORES` cores does of what one does alone, if every doubling costs as the first."""
    doublings = CORES.bit_length() - 1
    return float(min(1.0, two / (2 * one)) ** doublings)


def training(measured: dict[str, Any]) -> str:
    """Say what was measured, and what follows for `HOURS`."""
    reckoned = {name: epoch(measured, name) for name in measured["recipes"]}
    return "\n".join(
        part
        for parts in (
            _one_core(measured),
            _workers(measured),
            _ten_thousand_hours(measured, reckoned),
            _limits(measured, reckoned),
        )
        for part in parts
    )


def _one_core(measured: dict[str, Any]) -> list[str]:
    recipes, machine = measured["recipes"], measured["machine"]
    lines = [
        "### One core",
        "",
        f"`{measured['command']}`, one thread ({machine['processor']}, {machine['precision']}), clips of "
        f"{measured['clip_s']:g} s. Times real time, which is also hours of sound in a core-hour.",
        "",
        f"| decoding and resampling to 16 kHz | {' | '.join(measured['decoding'])} |",
        "|---|" + "---|" * len(measured["decoding"]),
        f"| times real time | {' | '.join(f'{rate:,.0f}' for rate in measured['decoding'].values())} |",
        "",
        "| recipe | batch | parameters | reading and changing | features | learning |",
        "|---|---|---|---|---|---|",
    ]
    for name, own in recipes.items():
        rates = " | ".join(f"{own[part]:,.0f}" for part in ("reading and changing", "features", "learning"))
        lines.append(f"| `{name}` | {own['batch size']} | {own['parameters']:,} | {rates} |")
    read, built = measured["store"]["read, MB a second"], measured["store"]["built, times real time"]
    disk = f", {read['disk']:,.0f} MB a second from the disk" if "disk" in read else ""
    return [
        *lines,
        "",
        f"Random clips come out of the store at {read['memory']:,.0f} MB a second from memory{disk}. A store "
        f"is built at {built['threads']:,.0f} times real time by threads on {machine['cores']} cores, at "
        f"{built['2 processes']:,.0f} by two processes.",
        "",
    ]


def _workers(measured: dict[str, Any]) -> list[str]:
    lines = [
        f"### Workers and processes, on {measured['machine']['cores']} cores",
        "",
        "| an epoch | workers | seconds | of these, waited for batches |",
        "|---|---|---|---|",
    ]
    for name, own in measured["recipes"].items():
        for workers, epochs in own["epochs by workers"].items():
            told = {"": epochs[-1]}
            if own["stacks kept of a clip"]:
                told = {", features made": epochs[0], ", features kept": epochs[-1]}
            for what, row in told.items():
                waited = row["seconds waited"] / row["seconds"]
                lines.append(f"| `{name}`{what} | {workers} | {row['seconds']:.1f} | {100 * waited:.0f} % |")
    one, two = (clips_a_second(measured, processes) for processes in ("1", "2"))
    return [
        *lines,
        "",
        f"Two training processes with a thread each do {two:.0f} clips a second, one does {one:.0f}: "
        f"{two / one:.2f} times as many.",
        "",
    ]


def _ten_thousand_hours(measured: dict[str, Any], reckoned: dict[str, Epoch]) -> list[str]:
    slowest = min(measured["decoding"].values())
    rows: dict[str, list[str]] = {
        "decoding, once, the slowest kind, core-hours": [_number(HOURS / slowest)] * len(reckoned),
        "features that are kept, once, core-hours": [_number(own.kept_features) for own in reckoned.values()],
        "an epoch: reading and changing, core-hours": [_number(own.reading) for own in reckoned.values()],
        "an epoch: features, core-hours": [_number(own.features) for own in reckoned.values()],
        "an epoch: learning, core-hours": [_number(own.learning) for own in reckoned.values()],
        f"an epoch on {CORES} cores": [_duration(own.machine_hours) for own in reckoned.values()],
        f"an epoch on {MACHINES} machines of {CORES} cores": [
            _duration(own.cluster_hours) for own in reckoned.values()
        ],
        "an epoch with one GPU, as assumed": [_duration(own.gpu_hours) for own in reckoned.values()],
    }
    share = next(iter(reckoned.values())).share
    return [
        f"### {HOURS:,} hours",
        "",
        f"{next(iter(reckoned.values())).clips / 1e6:.0f} million clips. Of many cores each is taken to do "
        f"{100 * share:.0f} % of what one does alone: what two processes lose here, lost again with every "
        "doubling. Machines lose nothing by each other but the time in which gradients travel.",
        "",
        f"| | {' | '.join(f'`{name}`' for name in reckoned)} |",
        "|---|" + "---|" * len(reckoned),
        *(f"| {what} | {' | '.join(cells)} |" for what, cells in rows.items()),
        "",
    ]


def _limits(measured: dict[str, Any], reckoned: dict[str, Epoch]) -> list[str]:
    table, epochs = measured["manifest"], list(reckoned.values())
    million = 1e6 / table["rows"]
    clips = epochs[0].clips / 1e6
    disk = measured["store"]["read, MB a second"].get("disk")
    rows: dict[str, list[str]] = {
        "decoded audio on the disk": [
            f"{HOURS * 3600 * SAMPLE_BYTES * measured['recipes'][name]['sample rate'] / 1e12:.2f} TB"
            for name in reckoned
        ],
        "kept features on the disk": [
            f"{own.clips * own.stacks * own.clip_bytes / 1e12:.2f} TB" if own.stacks else "none"
            for own in epochs
        ],
        f"random reads, one machine of {CORES} cores": [
            f"{own.read_mb_a_second(own.machine_hours):,.0f} MB a second" for own in epochs
        ],
        f"random reads, each of {MACHINES} machines": [
            f"{own.read_mb_a_second(own.cluster_hours, MACHINES):,.0f} MB a second" for own in epochs
        ],
        "random reads, one GPU as assumed": [
            f"{own.read_mb_a_second(own.gpu_hours):,.0f} MB a second" for own in epochs
        ],
        "workers that keep that GPU busy, cores": [_number(own.reading / own.gpu_hours) for own in epochs],
        "gradients, a step": [f"{GRADIENT_BYTES * own.parameters / 1e6:.1f} MB" for own in epochs],
        "their travel, of a step of the cluster": [
            f"{1e3 * own.reduce_s:.1f} of {1e3 * (own.step_s + own.reduce_s):.0f} ms, "
            f"{100 * own.reduce_s / (own.step_s + own.reduce_s):.1f} %"
            for own in epochs
        ],
    }
    return [
        "### What then limits",
        "",
        f"| | {' | '.join(f'`{name}`' for name in reckoned)} |",
        "|---|" + "---|" * len(reckoned),
        *(f"| {what} | {' | '.join(cells)} |" for what, cells in rows.items()),
        "",
        *([f"The disk here reads {disk:,.0f} MB a second at random.", ""] if disk else []),
        f"A manifest of a million rows takes {million * table['held MB'] / 1e3:.2f} GB in memory "
        f"({million * table['peak MB'] / 1e3:.2f} GB at most, with its split), opens in "
        f"{million * table['load s']:.0f} s and is split in {million * table['split s']:.0f} s. For "
        f"{clips:.0f} million: {clips * million * table['held MB'] / 1e3:.0f} GB, at most "
        f"{clips * million * table['peak MB'] / 1e3:.0f} GB, and "
        f"{_duration(clips * million * (table['load s'] + table['split s']) / 3600)}, once on each machine.",
        "",
        "",
    ]


# An archive


def archive(measured: dict[str, Any]) -> str:
    """Say how long ``vocalics batch`` takes for a million clips and for `HOURS`."""
    speeds = {name: found["times real time"] for name, found in measured["speeds"].items()}
    one = speeds["1 worker, 1 core"]
    share = share_of_a_core(one, speeds.get("2 workers, 2 cores", 2 * one))
    clip_s = 3.0  # as `batch.py` makes them
    lines = [
        "### An archive",
        "",
        f"`{measured['command']}`: {one:,.0f} times real time by one worker on one core, from file to row. "
        f"Of {CORES} cores each is taken to do {100 * share:.0f} % of that, by the same rule.",
        "",
        f"| clips of {clip_s:g} s | one core | {CORES} cores | {MACHINES} machines | read, each machine |",
        "|---|---|---|---|---|",
    ]
    machine = one * CORES * share
    read = f"{SAMPLE_BYTES * 16_000 * machine / 1e6:,.0f} MB a second"
    for what, hours in {f"{FILES:,} files": FILES * clip_s / 3600, f"{HOURS:,} hours": HOURS}.items():
        times = (hours / one, hours / machine, hours / (machine * MACHINES))
        lines.append(f"| {what} | {' | '.join(map(_duration, times))} | {read} |")
    return "\n".join([*lines, "", ""])


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 else f"{value:.1f}"


def _duration(hours: float) -> str:
    """Say a time so that two figures of it count.

    Examples
    --------
    >>> _duration(0.01), _duration(0.5), _duration(2.25), _duration(85.2)
    ('36 s', '30 min', '2.2 h', '85 h')
    """
    if hours < 1 / 60:
        return f"{3600 * hours:.0f} s"
    if hours < 1:
        return f"{60 * hours:.0f} min"
    return f"{hours:.1f} h" if hours < 10 else f"{hours:,.0f} h"


if __name__ == "__main__":
    raise SystemExit(main())
