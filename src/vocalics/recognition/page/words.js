// What the page says.

function clock(time, decimals = 0) {
  const unit = 10 ** decimals;
  const whole = Math.round(time * unit) / unit;
  const h = Math.floor(whole / 3600), m = Math.floor(whole / 60) % 60;
  const s = (whole % 60).toFixed(decimals).padStart(decimals ? 3 + decimals : 2, "0");
  return h || duration >= 3600 ? `${h}:${String(m).padStart(2, "0")}:${s}` : `${m}:${s}`;
}

const percent = (share) => `${Math.round(100 * share)} %`;
const emotionOf = (segment) => (segment.emotion < 0 ? "no emotion" : data.emotions[segment.emotion].name);
const nameOf = (segment) => data.speakers[segment.speaker].name;
const sureness = (segment) => (segment.confidence === null ? "" : percent(segment.confidence));
const label = (segment) => (segment.emotion < 0 ? segment.reason : emotionOf(segment) + (segment.abstained ? " ?" : ""));

function sentence(segment) {
  const sure = segment.confidence === null ? "" : `, ${sureness(segment)} sure`;
  const held = segment.abstained ? `, abstained: ${segment.reason}` : "";
  return `${nameOf(segment)}: ${emotionOf(segment)}${sure}${held}, ${clock(segment.start, 1)} to ${clock(segment.end, 1)}`;
}

/** An element with text, a class and children. */
function make(tag, { text, className, children = [] } = {}) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (text !== undefined) made.textContent = text;
  made.append(...children);
  return made;
}
