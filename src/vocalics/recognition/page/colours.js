// Colours of the emotions, as they are seen on the light page and on the dark one.

const rgb = (hex) => [1, 3, 5].map((i) => parseInt(hex.slice(i, i + 2), 16));
const luminance = (hex) => rgb(hex)  // WCAG 2
  .map((c) => (c / 255 <= 0.04045 ? c / 255 / 12.92 : ((c / 255 + 0.055) / 1.055) ** 2.4))
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const contrast = (a, b) => {
  const [low, high] = [luminance(a), luminance(b)].sort((x, y) => x - y);
  return (high + 0.05) / (low + 0.05);
};
const mixed = (a, b, share) => "#" + rgb(a)
  .map((c, i) => Math.round(c * (1 - share) + rgb(b)[i] * share).toString(16).padStart(2, "0")).join("");

let theme;
function readTheme() {
  const style = getComputedStyle(document.documentElement);
  theme = Object.fromEntries(["page", "card", "ink", "muted", "line"]
    .map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  // Yellow fades on white, and dark grey on black: such a colour moves towards the ink until it is seen.
  theme.emotions = data.emotions.map(({ color }) => {
    let seen = color;
    for (let share = 0; contrast(seen, theme.card) < 1.5 && share < 1; share += 0.05) seen = mixed(color, theme.ink, share);
    return seen;
  });
  for (const shape of document.querySelectorAll("[data-emotion]")) {
    shape.style.fill = theme.emotions[data.emotions.findIndex(({ name }) => name === shape.dataset.emotion)];
  }
  theme.inkOn = theme.emotions.map((color) => (contrast(color, "#ffffff") > contrast(color, "#16191f") ? "#ffffff" : "#16191f"));
  theme.pale = theme.emotions.map((color) => mixed(theme.card, color, 0.45));
  theme.paleNone = mixed(theme.card, theme.muted, 0.45);
  theme.hatched = data.emotions.map((_, i) => hatching(theme.emotions[i]));
  theme.hatchedNone = hatching(theme.muted);
}

/** A pale pattern of stripes, for what the model does not vouch for. */
function hatching(color) {
  const tile = document.createElement("canvas");
  tile.width = tile.height = 16;
  const pen = tile.getContext("2d");
  pen.fillStyle = mixed(theme.card, color, 0.22);
  pen.fillRect(0, 0, 16, 16);
  pen.strokeStyle = mixed(theme.card, color, 0.75);
  pen.lineWidth = 2.5;
  for (const x of [-16, -8, 0, 8, 16]) {
    pen.beginPath();
    pen.moveTo(x, 18);
    pen.lineTo(x + 20, -2);
    pen.stroke();
  }
  const pattern = pen.createPattern(tile, "repeat");
  pattern.setTransform(new DOMMatrix().scale(0.5));
  return pattern;
}

function fillOf(segment) {
  if (segment.emotion < 0) return theme.hatchedNone;
  return segment.abstained ? theme.hatched[segment.emotion] : theme.emotions[segment.emotion];
}

const plainFillOf = (segment) => {  // of a bar too thin for stripes
  if (segment.emotion < 0) return theme.paleNone;
  return (segment.abstained ? theme.pale : theme.emotions)[segment.emotion];
};

function swatch(segment) {
  const made = make("span", { className: "swatch" });
  const color = segment.emotion < 0 ? theme.muted : theme.emotions[segment.emotion];
  made.style.background = segment.abstained
    ? `repeating-linear-gradient(135deg, ${color} 0 2px, ${mixed(theme.card, color, 0.22)} 2px 4px)` : color;
  return made;
}
