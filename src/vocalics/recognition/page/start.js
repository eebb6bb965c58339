// The beginning, once all the rest is there.

readTheme();
list.hidden = !segments.length;
element("none").hidden = segments.length > 0;
showRows();
if (segments.length) {
  rowHeight = body.children[1].getBoundingClientRect().height;
  shown = [0, 0];
}
const asks = /^#t=(\d+(?:\.\d+)?)$/.exec(location.hash);  // page.html#t=83.5 opens at that time
if (asks) position = Math.min(duration, Number(asks[1]));
draw();
showPosition();
showRows();
addEventListener("DOMContentLoaded", loadSound);  // the sound stands below: what is drawn need not wait for it
new ResizeObserver(redraw).observe(stack);
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => {
  readTheme();
  shown = [0, 0];
  heardKey = undefined;
  redraw();
  showPosition();
});
