// The list of segments: only the rows in sight are there, so that ten hours of them scroll smoothly.

const list = element("list");
const body = list.querySelector("tbody");
const SPARE_ROWS = 20;
let rowHeight = 38.4, shown = [0, 0];

function row(segment) {
  const time = make("button", { text: clock(segment.start, 1) });
  time.type = "button";
  const end = make("span", { className: "faint wide", text: ` – ${clock(segment.end, 1)}` });
  const why = make("span", { className: "faint wide", text: segment.abstained ? ` abstained: ${segment.reason}` : "" });
  const made = make("tr", { children: [
    make("td", { children: [time, end] }),
    make("td", { text: nameOf(segment) }),
    make("td", { children: [swatch(segment), label(segment), why] }),
    make("td", { text: sureness(segment) || "–" }),
  ] });
  made.dataset.segment = segment.index;
  return made;
}

const space = (height) => {
  const cell = make("td");
  cell.colSpan = 4;
  cell.style.height = `${height}px`;
  return make("tr", { className: "space", children: [cell] });
};

function showRows(bringCurrent = false) {
  if (bringCurrent && currentRow !== undefined && !list.matches(":hover, :focus-within")) {
    const top = currentRow * rowHeight;
    if (top < list.scrollTop || top > list.scrollTop + list.clientHeight - 3 * rowHeight) list.scrollTop = top - 2 * rowHeight;
  }
  const first = Math.max(0, Math.floor(list.scrollTop / rowHeight) - SPARE_ROWS);
  const last = Math.min(segments.length, Math.ceil((list.scrollTop + list.clientHeight) / rowHeight) + SPARE_ROWS);
  if (!body.children.length || first !== shown[0] || last !== shown[1]) {
    const focused = body.contains(document.activeElement) ? document.activeElement.closest("tr").dataset.segment : undefined;
    shown = [first, last];
    body.replaceChildren(space(first * rowHeight), ...segments.slice(first, last).map(row), space((segments.length - last) * rowHeight));
    if (focused !== undefined) body.querySelector(`tr[data-segment="${focused}"] button`)?.focus({ preventScroll: true });
  }
  for (const one of body.children) one.classList.toggle("current", Number(one.dataset.segment) === currentRow);
}

list.addEventListener("scroll", () => showRows(), { passive: true });
body.addEventListener("click", (event) => {
  const clicked = event.target.closest("tr[data-segment]");
  if (clicked) show(segments[clicked.dataset.segment].start);
});
