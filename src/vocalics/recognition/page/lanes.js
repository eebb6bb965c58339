// The view, which is the stretch of the recording that fills the width, and the lanes that show it.

const SHORTEST_S = Math.min(2, duration);  // the closest zoom
const view = { start: 0, end: duration };
const span = () => view.end - view.start;
const isWhole = () => span() >= duration - 1e-6;

function look(start, length) {
  const kept = Math.min(duration, Math.max(SHORTEST_S, length));
  view.start = Math.min(duration - kept, Math.max(0, start));
  view.end = view.start + kept;
  redraw();
}

/** Zoom by a factor so that a time stays where it is. */
function zoom(factor, time) {
  const length = Math.min(duration, Math.max(SHORTEST_S, span() / factor));
  look(time - (time - view.start) * length / span(), length);
}

let asked = false;
function redraw() {
  if (asked) return;
  asked = true;
  requestAnimationFrame(() => {
    asked = false;
    draw();
  });
}

const stack = element("stack");
const overview = element("overview");
const WAVE = 58, TURNS = 9, BLOCKS = 28, GAP = 5, CURVE = 66;  // heights, CSS pixels
const BAR = 3;  // a bar of the waveform and the space beside it, CSS pixels

/** A lane: a heading, a canvas and, over it, a button for each segment that is wide enough. */
function lane(title, words, height, says) {
  const canvas = make("canvas");
  canvas.setAttribute("role", "img");
  canvas.setAttribute("aria-label", says);
  const plot = make("div", { className: "plot", children: [canvas] });
  plot.style.height = `${height}px`;
  const heading = make("p", { children: [make("b", { text: title }), make("span", { text: words })] });
  const made = make("div", { className: "lane", children: [heading, plot] });
  stack.append(made);
  return { plot, canvas, height, buttons: new Map() };
}

const mixedWave = waves.length > 0 && data.speakers.every(({ wave }) => wave === null);
const recordingLane = mixedWave
  ? { ...lane("recording", "coloured by the emotion of who speaks", WAVE, "Waveform of the recording"), speaker: -1 } : null;
const lanes = data.speakers.map((speaker, index) => {
  const top = { wave: 0, turns: speaker.wave === null ? 0 : WAVE };
  top.blocks = top.turns + (speaker.turns.length ? TURNS : 3);
  top.curve = top.blocks + BLOCKS + GAP;
  const height = curves[index] ? top.curve + CURVE : top.blocks + BLOCKS + 2;
  const says = `Segments and probabilities of ${speaker.name} over time; the list below has them in words`;
  return { ...lane(speaker.name, speaker.words, height, says), top, speaker: index };
});
const allLanes = recordingLane ? [recordingLane, ...lanes] : lanes;
overview.hidden = duration < 60;

/** A canvas of the size it has on the screen, cleared, in CSS pixels. */
function pen(canvas) {
  const scale = window.devicePixelRatio || 1;
  const width = canvas.clientWidth, height = canvas.clientHeight;
  if (canvas.width !== Math.round(width * scale) || canvas.height !== Math.round(height * scale)) {
    canvas.width = Math.round(width * scale);
    canvas.height = Math.round(height * scale);
  }
  const context = canvas.getContext("2d");
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}

function draw() {
  drawRuler();
  if (recordingLane) drawRecording();
  for (const one of lanes) drawLane(one);
  if (!overview.hidden) drawOverview();
  placeHead();
  element("closer").disabled = span() <= SHORTEST_S + 1e-6;
  element("farther").disabled = element("whole").disabled = isWhole();
  const width = stack.clientWidth;  // read before anything is moved, so that the browser lays out once
  for (const one of lanes) placeButtons(one, ofSpeaker[one.speaker], width);
}

function drawRuler() {
  const { context, width, height } = pen(element("ruler").firstChild);
  const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 18000, 36000];
  const step = steps.find((one) => (one / span()) * width >= 72) || 72000;
  context.font = "12px system-ui, sans-serif";
  context.fillStyle = theme.muted;
  context.strokeStyle = theme.line;
  context.textBaseline = "middle";
  context.beginPath();
  for (let k = Math.ceil(view.start / step); k * step <= view.end; k++) {
    const x = ((k * step - view.start) / span()) * width;
    const words = clock(k * step, step < 1 ? 1 : 0);
    context.moveTo(x, height - 6);
    context.lineTo(x, height);
    if (x + context.measureText(words).width + 4 < width) context.fillText(words, x + 3, height / 2 - 2);
  }
  context.stroke();
}

/** For each of n equal columns of a stretch of time, the segment that fills most of it, or null. */
function columns(own, start, end, n) {
  const best = new Float32Array(n);
  const owner = new Array(n).fill(null);
  const scale = n / (end - start);
  const first = Math.max(0, firstFrom(own.length, (i) => own[i].start, start) - 1);
  for (let i = first; i < own.length && own[i].start < end; i++) {
    const from = (own[i].start - start) * scale, to = (own[i].end - start) * scale;
    for (let x = Math.max(0, Math.floor(from)); x < Math.min(n, to); x++) {
      const overlap = Math.min(x + 1, to) - Math.max(x, from);
      if (overlap > best[x]) {
        best[x] = overlap;
        owner[x] = own[i];
      }
    }
  }
  return owner;
}

/** Draw an envelope as bars; `owners` are the columns of the speakers that colour it. */
function drawWave(context, wave, owners, start, end, width, top, height) {
  const n = Math.ceil(width / BAR), nPoints = wave.length / 2, scale = (height / 2 - 2) / 127, middle = top + height / 2;
  for (let k = 0; k < n; k++) {
    const from = start + ((end - start) * k * BAR) / width, to = start + ((end - start) * (k + 1) * BAR) / width;
    const last = Math.min(nPoints, Math.max(Math.floor((from / duration) * nPoints) + 1, Math.floor((to / duration) * nPoints)));
    let low = 127, high = -127;
    for (let i = Math.floor((from / duration) * nPoints); i < last; i++) {
      low = Math.min(low, wave[2 * i]);
      high = Math.max(high, wave[2 * i + 1]);
    }
    if (low > high) continue;
    // Where several speak at once, the bars take turns in their colours.
    const speaking = owners.map((owner) => owner[k]).filter(Boolean);
    context.fillStyle = speaking.length ? plainFillOf(speaking[k % speaking.length]) : theme.paleNone;
    const y = middle - Math.max(high * scale, 0.5);
    context.fillRect(k * BAR, y, BAR - 1, Math.max(1, middle - low * scale - y));
  }
}

function drawRecording() {
  const { context, width, height } = pen(recordingLane.canvas);
  const owners = ofSpeaker.map((own) => columns(own, view.start, view.end, Math.ceil(width / BAR)));
  drawWave(context, waves[0], owners, view.start, view.end, width, 0, height);
}

let overviewDrawn = {};
function drawOverview() {
  placeFrame();
  const canvas = overview.querySelector("canvas");
  if (overviewDrawn.theme === theme && overviewDrawn.width === canvas.clientWidth) return;
  overviewDrawn = { theme, width: canvas.clientWidth };
  const { context, width, height } = pen(canvas);
  const n = Math.ceil(width / BAR);
  const owners = ofSpeaker.map((own) => columns(own, 0, duration, n));
  const rows = mixedWave ? [[waves[0], owners]] : waves.map((wave, i) => [wave, owners.filter((_, s) => data.speakers[s].wave === i)]);
  rows.forEach(([wave, own], i) => drawWave(context, wave, own, 0, duration, width, (i * height) / rows.length, height / rows.length));
}

function placeFrame() {
  const frame = element("frame"), width = overview.clientWidth;
  frame.hidden = isWhole();
  frame.style.transform = `translateX(${(view.start / duration) * width}px)`;
  frame.style.width = `${Math.max(6, (span() / duration) * width)}px`;
}

function drawLane(one) {
  const { context, width } = pen(one.canvas);
  const own = ofSpeaker[one.speaker], speaker = data.speakers[one.speaker];
  if (speaker.wave !== null) {
    const owner = columns(own, view.start, view.end, Math.ceil(width / BAR));
    drawWave(context, waves[speaker.wave], [owner], view.start, view.end, width, 0, WAVE);
  }
  context.fillStyle = theme.page;
  context.fillRect(0, one.top.blocks, width, BLOCKS);
  if (curves[one.speaker]) drawCurve(context, curves[one.speaker], width, one.top.curve, CURVE);
  drawBlocks(context, own, width, one.top.blocks);
  context.fillStyle = theme.ink;
  let drawn = -Infinity;
  for (const [time] of speaker.turns) {
    const x = ((time - view.start) / span()) * width;
    if (x < -5 || x > width + 5 || x < drawn + 4) continue;
    drawn = x;
    context.beginPath();
    context.moveTo(x - 5, one.top.turns + 1);
    context.lineTo(x + 5, one.top.turns + 1);
    context.lineTo(x, one.top.turns + TURNS - 1);
    context.fill();
  }
}

const inView = (own) => {
  const first = Math.max(0, firstFrom(own.length, (i) => own[i].start, view.start) - 1);
  const last = firstFrom(own.length, (i) => own[i].start, view.end);
  return [first, last];
};

const widths = new Map();
function widthOf(context, text) {
  const key = context.font + text;
  if (!widths.has(key)) widths.set(key, context.measureText(text).width);
  return widths.get(key);
}

function drawBlocks(context, own, width, top) {
  const [first, last] = inView(own);
  const scale = width / span();
  const THIN = 3;  // what is narrower shares its columns with its neighbours: the longest has the colour
  context.font = "600 12px system-ui, sans-serif";
  context.textBaseline = "middle";
  columns(own, view.start, view.end, Math.ceil(width)).forEach((segment, x) => {
    if (!segment || (segment.end - segment.start) * scale >= THIN) return;
    context.fillStyle = plainFillOf(segment);
    context.fillRect(x, top, 1, BLOCKS);
  });
  for (let i = first; i < last; i++) {
    const segment = own[i];
    const x = (segment.start - view.start) * scale, to = (segment.end - view.start) * scale;
    if (to - x < THIN || to < 0) continue;
    const from = Math.max(x, -8), length = Math.min(to, width + 8) - from - 1;  // 1: a line between neighbours
    context.fillStyle = fillOf(segment);
    context.beginPath();
    context.roundRect(from, top, length, BLOCKS, Math.min(5, length / 3));
    context.fill();
    if (segment.abstained) {
      context.strokeStyle = segment.emotion < 0 ? theme.muted : theme.emotions[segment.emotion];
      context.lineWidth = 1;
      context.stroke();
    }
    const text = label(segment);
    const left = Math.max(from, 0) + 7, room = Math.min(to, width) - left - 6;
    if (widthOf(context, text) > room) continue;
    if (segment.abstained) {  // stripes would cross the letters
      context.fillStyle = theme.card;
      context.beginPath();
      context.roundRect(left - 3, top + 5, widthOf(context, text) + 6, BLOCKS - 10, 4);
      context.fill();
    }
    context.fillStyle = segment.abstained ? theme.ink : theme.inkOn[segment.emotion];
    context.fillText(text, left, top + BLOCKS / 2 + 1);
  }
}

const MOST_BUTTONS = 200;

/** Buttons over the segments in view and their next neighbours: Tab goes through them, a reader hears them. */
function placeButtons(one, own, width) {
  const [first, last] = inView(own);
  const scale = width / span();
  const many = last - first > MOST_BUTTONS;
  const wanted = own.slice(Math.max(0, first - 1), last + 1)
    .filter((segment) => !many || (segment.end - segment.start) * scale >= 12).slice(0, MOST_BUTTONS);
  const kept = new Set(wanted);
  for (const [segment, button] of one.buttons) {
    if (kept.has(segment)) continue;
    button.remove();
    one.buttons.delete(segment);
  }
  let before = one.canvas;
  for (const segment of wanted) {
    let button = one.buttons.get(segment);
    if (!button) {
      button = make("button", { className: "segment" });
      button.type = "button";
      button.dataset.segment = segment.index;
      button.setAttribute("aria-label", sentence(segment));
      one.buttons.set(segment, button);
    }
    if (before.nextSibling !== button) before.after(button);
    before = button;
    button.style.left = `${(segment.start - view.start) * scale}px`;
    button.style.width = `${Math.max(3, (segment.end - segment.start) * scale - 1)}px`;
    button.style.top = `${one.top.blocks}px`;
    button.style.height = `${BLOCKS}px`;
  }
}
