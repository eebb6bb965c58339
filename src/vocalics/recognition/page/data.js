"use strict";
// What Python measured: the segments, the windows behind them, the envelopes of the waveforms. Names among them
// only ever become text, never markup.

const data = JSON.parse(document.getElementById("data").textContent);
const duration = data.duration_s;
const element = (id) => document.getElementById(id);
const audio = element("audio");

function bytes(base64) {
  const text = atob(base64);
  const out = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) out[i] = text.charCodeAt(i);
  return out;
}

// Envelopes: int8 (n_points, 2), the smallest and the largest sample of each point.
const waves = data.waves.map((wave) => new Int8Array(bytes(wave).buffer));

// A segment is [start_s, end_s, speaker, emotion or -1, confidence or null, reason when abstained].
const segments = data.segments.map(([start, end, speaker, emotion, confidence, reason], index) => ({
  index, start, end, speaker, emotion, confidence, reason, abstained: reason !== undefined,
}));
const ofSpeaker = data.speakers.map((_, speaker) => segments.filter((segment) => segment.speaker === speaker));

/** Index of the first item that starts at `time` or later; `start(i)` rises. */
function firstFrom(n, start, time) {
  let low = 0, high = n;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (start(middle) < time) low = middle + 1; else high = middle;
  }
  return low;
}

/** The segment of a speaker at a time, or undefined. */
function segmentAt(speaker, time) {
  const own = ofSpeaker[speaker];
  const segment = own[firstFrom(own.length, (i) => own[i].start, time + 1e-9) - 1];
  return segment && time < segment.end ? segment : undefined;
}

// Speech of each speaker, [start, end]: segments that follow one another closely are one stretch of it.
const stretches = ofSpeaker.map((own) => {
  const found = [];
  for (const { start, end } of own) {
    if (found.length && start - found[found.length - 1][1] < 0.05) found[found.length - 1][1] = end;
    else found.push([start, end]);
  }
  return found;
});

/** Index of the stretch that a time lies in, or -1. */
function stretchAt(speaker, time) {
  const own = stretches[speaker];
  const index = firstFrom(own.length, (i) => own[i][0], time + 1e-9) - 1;
  return index >= 0 && time < own[index][1] ? index : -1;
}

// The windows of each speaker. One that reaches beyond the stretch it mostly lies in counts as cut to it.
const nEmotions = data.emotions.length;
const curves = data.curves.map((curve, speaker) => {
  if (!curve) return null;
  const starts = new Uint32Array(bytes(curve.starts_ms).buffer);
  const ends = new Uint32Array(bytes(curve.ends_ms).buffer);
  const own = stretches[speaker];
  const stretchOf = new Int32Array(starts.length).fill(-1);
  const middles = new Float64Array(starts.length);
  for (let i = 0; i < starts.length; i++) {
    const start = starts[i] / 1000, end = ends[i] / 1000;
    middles[i] = (start + end) / 2;
    let most = 0;
    for (let s = Math.max(0, firstFrom(own.length, (k) => own[k][0], start) - 1); s < own.length && own[s][0] < end; s++) {
      const from = Math.max(start, own[s][0]), to = Math.min(end, own[s][1]);
      if (to - from <= most) continue;
      most = to - from;
      stretchOf[i] = s;
      middles[i] = (from + to) / 2;
    }
  }
  return { speaker, n: starts.length, starts, ends, middles, stretchOf, probabilities: bytes(curve.probabilities) };
});

/** The two windows whose middles are before and after a time, as far as they tell of it: of its stretch, else over it. */
function windowsAround(curve, time, stretch) {
  const after = firstFrom(curve.n, (i) => curve.middles[i], time);
  const near = [after - 1, after].filter((i) => i >= 0 && i < curve.n);
  const own = near.filter((i) => curve.stretchOf[i] === stretch);
  return own.length ? own : near.filter((i) => curve.starts[i] <= 1000 * time && 1000 * time <= curve.ends[i]);
}

/** The window of a speaker whose middle is next to a time, or -1. */
function windowAt(curve, time) {
  if (!curve) return -1;
  const stretch = stretchAt(curve.speaker, time);
  if (stretch < 0) return -1;
  const near = windowsAround(curve, time, stretch);
  near.sort((a, b) => Math.abs(curve.middles[a] - time) - Math.abs(curve.middles[b] - time));
  return near.length ? near[0] : -1;
}
