// The probabilities of one speaker over time, as stacked areas.

/** Probabilities of each pixel column, (width, n_emotions), and the stretch of speech it lies in, -1 where none is known. */
function sampleCurve(curve, width) {
  const shares = new Float32Array(width * nEmotions);
  const runs = new Int32Array(width).fill(-1);
  const take = (x, i, weight) => {
    for (let e = 0; e < nEmotions; e++) shares[x * nEmotions + e] += weight * curve.probabilities[i * nEmotions + e];
  };
  let i = firstFrom(curve.n, (k) => curve.middles[k], view.start);
  for (let x = 0; x < width; x++) {
    const to = view.start + (span() * (x + 1)) / width, time = view.start + (span() * (x + 0.5)) / width;
    let taken = 0;
    for (; i < curve.n && curve.middles[i] < to; i++, taken++) take(x, i, 1);  // the mean of what lies in the column
    const stretch = stretchAt(curve.speaker, time);
    if (stretch < 0) continue;
    if (!taken) {
      const [a, b] = windowsAround(curve, time, stretch);
      if (a === undefined) continue;
      const share = b === undefined ? 0 : (time - curve.middles[a]) / (curve.middles[b] - curve.middles[a]);
      take(x, a, 1 - share);
      if (share) take(x, b, share);
    }
    runs[x] = stretch;
    let sum = 0;
    for (let e = 0; e < nEmotions; e++) sum += shares[x * nEmotions + e];
    for (let e = 0; e < nEmotions; e++) shares[x * nEmotions + e] /= sum || 1;
  }
  return { shares, runs };
}

/** Stacked areas, the first emotion at the bottom. */
function drawCurve(context, curve, width, top, height) {
  const n = Math.ceil(width);
  const { shares, runs } = sampleCurve(curve, n);
  const y = (level) => top + height * (1 - level);
  const stretchesSeen = [];  // [first column, one beyond the last]
  for (let from = 0, to; from < n; from = to) {
    for (to = from + 1; to < n && runs[to] === runs[from]; to++);
    if (runs[from] >= 0) stretchesSeen.push([from, to]);
  }
  const floor = new Float32Array(n), ceiling = new Float32Array(n);
  const labels = [];
  context.font = "11px system-ui, sans-serif";
  context.lineWidth = 1;
  for (let e = 0; e < nEmotions; e++) {
    for (let x = 0; x < n; x++) ceiling[x] = floor[x] + shares[x * nEmotions + e];
    const area = new Path2D(), edge = new Path2D();
    for (const [from, to] of stretchesSeen) {
      for (const path of [area, edge]) {
        path.moveTo(from, y(floor[from]));
        for (let x = from; x < to; x++) path.lineTo(x + 0.5, y(floor[x]));
        path.lineTo(to, y(floor[to - 1]));
      }
      area.lineTo(to, y(ceiling[to - 1]));
      for (let x = to - 1; x >= from; x--) area.lineTo(x + 0.5, y(ceiling[x]));
      area.lineTo(from, y(ceiling[from]));
      labels.push(...areaLabels(context, e, from, to, floor, ceiling, top, height));
    }
    context.fillStyle = theme.emotions[e];
    context.fill(area);
    if (stretchesSeen.length < n / 8) {  // parts areas whose colours somebody cannot tell apart
      context.strokeStyle = theme.card;
      context.stroke(edge);
    }
    floor.set(ceiling);
  }
  for (const [text, x, middle, ink] of labels) {
    context.fillStyle = ink;
    context.fillText(text, x, middle);
  }
}

/** Where an area is high and long enough for its name: [text, x, y, colour]. */
function areaLabels(context, e, from, to, floor, ceiling, top, height) {
  const text = data.emotions[e].name, width = widthOf(context, text) + 12;
  const LINE = 16 / height;  // share of the height that a line of text needs
  const found = [];
  if (to - from < width) return found;
  let start = from;
  for (let x = from; x <= to; x++) {
    if (x < to && ceiling[x] - floor[x] >= LINE) continue;
    for (let at = start + (x - start - width) / 2; x - start >= width && !found.length; at = x) {
      let low = 0, high = 1;
      for (let k = Math.floor(at); k < at + width; k++) {
        low = Math.max(low, floor[k]);
        high = Math.min(high, ceiling[k]);
      }
      if (high - low < LINE) break;  // the area is steep here
      found.push([text, at + 6, top + height * (1 - (low + high) / 2) + 1, theme.inkOn[e]]);
    }
    start = x + 1;
  }
  return found;
}
