// Pointers, the wheel, keys, and the words beside the pointer.

const timeAt = (clientX) => {
  const box = stack.getBoundingClientRect();
  return view.start + ((clientX - box.left) / box.width) * span();
};

const pointers = new Map();  // id -> x
let grip = null;  // where a drag began: {x, view, moved}

stack.addEventListener("pointerdown", (event) => {
  if (event.button) return;
  pointers.set(event.pointerId, event.clientX);
  const xs = [...pointers.values()];
  grip = { x: mean(xs), spread: spreadOf(xs), start: view.start, length: span(), moved: xs.length > 1 };
});

const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
const spreadOf = (xs) => (xs.length > 1 ? Math.max(24, Math.abs(xs[0] - xs[1])) : 1);

window.addEventListener("pointermove", (event) => {
  if (!grip || !pointers.has(event.pointerId)) return;
  pointers.set(event.pointerId, event.clientX);
  const xs = [...pointers.values()], width = stack.clientWidth;
  if (!grip.moved && Math.abs(mean(xs) - grip.x) < 5) return;
  grip.moved = true;
  stack.classList.add("dragged");
  hideTip();
  // The time under the middle of the fingers stays under it.
  const length = Math.min(duration, Math.max(SHORTEST_S, (grip.length * grip.spread) / spreadOf(xs)));
  const left = stack.getBoundingClientRect().left;
  const held = grip.start + ((grip.x - left) / width) * grip.length;
  look(held - ((mean(xs) - left) / width) * length, length);
});

function release(event) {
  if (!pointers.delete(event.pointerId) || !grip) return;
  stack.classList.remove("dragged");
  if (pointers.size) {
    const xs = [...pointers.values()];
    grip = { x: mean(xs), spread: 1, start: view.start, length: span(), moved: true };
  }
}
window.addEventListener("pointerup", release);
window.addEventListener("pointercancel", release);

stack.addEventListener("click", (event) => {
  const button = event.target.closest(".segment");
  if (event.detail === 0 && button) seek(segments[button.dataset.segment].start);  // Enter on a segment
  else if (!grip || !grip.moved) seek(timeAt(event.clientX));
});

stack.addEventListener("wheel", (event) => {
  const size = event.deltaMode ? 30 : 1;  // lines, or pixels
  if (event.ctrlKey || event.metaKey) zoom(Math.exp(-0.004 * size * event.deltaY), timeAt(event.clientX));
  else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
    if (isWhole()) return;
    look(view.start + ((size * (event.deltaX || event.deltaY)) / stack.clientWidth) * span(), span());
  } else return;
  event.preventDefault();
  hideTip();
}, { passive: false });

const timeOfOverview = (event) => {
  const box = overview.getBoundingClientRect();
  return ((event.clientX - box.left) / box.width) * duration;
};
let frameFrom = null;  // where a drag of the frame began; null once it is a drag, or without one
overview.addEventListener("pointerdown", (event) => { frameFrom = event.clientX; });
overview.addEventListener("pointermove", (event) => {
  if (!event.buttons || (frameFrom !== null && Math.abs(event.clientX - frameFrom) < 5)) return;
  frameFrom = null;
  look(timeOfOverview(event) - span() / 2, span());
});
overview.addEventListener("click", (event) => { if (frameFrom !== null) show(timeOfOverview(event)); });

const middleTime = () => (position >= view.start && position <= view.end ? position : (view.start + view.end) / 2);
element("closer").addEventListener("click", () => zoom(2, middleTime()));
element("farther").addEventListener("click", () => zoom(0.5, middleTime()));
element("whole").addEventListener("click", () => look(0, duration));

const KEYS = {
  " ": toggle,
  ArrowLeft: () => seek(position - 5, false),
  ArrowRight: () => seek(position + 5, false),
  Home: () => seek(0, false),
  "+": () => zoom(2, middleTime()),
  "=": () => zoom(2, middleTime()),
  "-": () => zoom(0.5, middleTime()),
  0: () => look(0, duration),
};
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || !KEYS[event.key]) return;
  const target = event.target;
  if (target.matches("select, input:not([type=range])")) return;
  if (event.key === " " && target.matches("button:not(.segment), a")) return;  // Space presses it
  if (event.key === "Home" && target.closest("#list")) return;
  event.preventDefault();
  KEYS[event.key]();
});
document.addEventListener("keyup", (event) => {  // else Space would press the segment that has the focus
  if (event.key === " " && event.target.matches(".segment")) event.preventDefault();
});

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-time]");
  if (!link) return;
  event.preventDefault();
  show(Number(link.dataset.time));
});

/** Play from a time and bring it into view. */
function show(time) {
  if (time < view.start || time > view.end) look(time - 0.2 * span(), span());
  seek(time);
}


const tip = element("tip");
const hideTip = () => { tip.hidden = true; };

function showTip(children, x, y) {
  tip.replaceChildren(...children);
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = Math.max(8, Math.min(x + 14, window.innerWidth - width - 8));
  const top = y + 18 + height > window.innerHeight ? Math.max(8, y - height - 14) : y + 18;
  tip.style.transform = `translate(${left}px, ${top}px)`;
}

function segmentWords(segment) {
  return [
    make("p", { children: [swatch(segment), make("b", { text: emotionOf(segment) }), ` ${sureness(segment)}`] }),
    make("p", { text: `${nameOf(segment)}, ${clock(segment.start, 1)} to ${clock(segment.end, 1)}` }),
    ...(segment.abstained ? [make("p", { className: "faint", text: `abstained: ${segment.reason}` })] : []),
  ];
}

function windowWords(curve, i) {
  const shares = data.emotions.map(({ name }, e) => [name, curve.probabilities[i * nEmotions + e] / 255, e]);
  const rows = shares.sort((a, b) => b[1] - a[1]).slice(0, 5).filter(([, share]) => share >= 0.005);
  const heard = `probabilities from ${clock(curve.starts[i] / 1000, 1)} to ${clock(curve.ends[i] / 1000, 1)}`;
  const table = make("table", { children: rows.map(([name, share, emotion]) => make("tr", { children: [
    make("td", { children: [swatch({ emotion }), name] }), make("td", { className: "n", text: percent(share) }),
  ] })) });
  return [make("p", { className: "faint", text: heard }), table];
}

stack.addEventListener("pointermove", (event) => {
  if (event.pointerType === "touch" || (grip && grip.moved && event.buttons)) return hideTip();
  const one = allLanes.find(({ plot }) => plot.contains(event.target));
  if (!one) return hideTip();
  const time = timeAt(event.clientX);
  const speakers = one.speaker < 0 ? data.speakers.map((_, i) => i) : [one.speaker];
  const near = speakers.flatMap((speaker) => data.speakers[speaker].turns)
    .find(([at]) => one.speaker >= 0 && Math.abs(at - time) / span() * stack.clientWidth < 5);
  const found = speakers.map((speaker) => segmentAt(speaker, time)).filter(Boolean);
  const at = one.speaker < 0 ? -1 : windowAt(curves[one.speaker], time);
  showTip([
    make("p", { className: "faint", text: clock(time, 1) }),
    ...(found.length ? found.flatMap(segmentWords) : [make("p", { text: "no speech" })]),
    ...(near ? [make("p", { text: `turning point: from ${near[1]} to ${near[2]}` })] : []),
    ...(at >= 0 ? windowWords(curves[one.speaker], at) : []),
  ], event.clientX, event.clientY);
});
stack.addEventListener("pointerleave", hideTip);

/** Words beside the segment that the keyboard has reached, if any. */
function showFocused() {
  const button = stack.querySelector(".segment:focus-visible");
  if (!button) return hideTip();
  const segment = segments[button.dataset.segment];
  if (segment.start < view.start || segment.start > view.end) {
    look(segment.start - 0.1 * span(), span());
    draw();
  }
  const box = button.getBoundingClientRect();
  showTip(segmentWords(segment), box.left, box.bottom - 10);
}
stack.addEventListener("focusin", showFocused);
window.addEventListener("scroll", showFocused, { passive: true });  // as the browser scrolls to what has the focus
stack.addEventListener("focusout", hideTip);
