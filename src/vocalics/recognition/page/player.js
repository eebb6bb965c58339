// What is heard, and where in the recording that is.

let sounds = false;  // there is something to play
let position = 0;  // seconds; the player's own place once it sounds

function seek(time, play = true) {
  position = Math.min(duration, Math.max(0, time));
  if (sounds) audio.currentTime = position;
  if (sounds && play) audio.play().catch(() => {});  // a failure to decode comes as an error event
  showPosition();
}

function toggle() {
  if (!sounds) return;
  if (audio.paused) audio.play().catch(() => {}); else audio.pause();
}

function placeHead() {
  const head = element("playhead");
  const x = ((position - view.start) / span()) * stack.clientWidth;
  head.hidden = x < 0 || x > stack.clientWidth;
  head.style.transform = `translateX(${x}px)`;
}

let heardKey, currentRow;
function showPosition() {
  element("now").textContent = clock(Math.floor(position));
  const place = element("place");
  place.value = position;
  place.setAttribute("aria-valuetext", clock(position));
  placeHead();
  const speaking = data.speakers.map((_, speaker) => segmentAt(speaker, position)).filter(Boolean);
  const key = speaking.map(({ index }) => index).join();
  if (key === heardKey) return;
  heardKey = key;
  element("heard").replaceChildren(...(speaking.length ? speaking.map((segment) => make("span", { children: [
    swatch(segment), make("b", { text: nameOf(segment) }), ` ${label(segment)} ${sureness(segment)}`,
  ] })) : ["nobody speaks"]));
  currentRow = speaking.length ? speaking[speaking.length - 1].index : undefined;
  showRows(!audio.paused);
}

let following = 0;  // the frame that is asked for
function follow() {
  cancelAnimationFrame(following);
  if (audio.paused) return;
  const wasVisible = position >= view.start && position <= view.end;
  position = Math.min(duration, audio.currentTime);
  if (wasVisible && position > view.end - 0.02 * span() && !isWhole()) look(position - 0.1 * span(), span());
  showPosition();
  following = requestAnimationFrame(follow);
}

function tell(message) {
  element("message").textContent = message;
  element("message").hidden = !message;
}

function hear(url) {
  audio.src = url;
  sounds = true;
  element("play").disabled = false;
  audio.playbackRate = element("speed").value;
  if (position > 0) audio.currentTime = position;
}

function showSign() {
  const playing = !audio.paused;
  element("play").setAttribute("aria-label", playing ? "Pause" : "Play");
  element("play-sign").setAttribute("d", playing ? "M6 5h4v14H6zM14 5h4v14h-4z" : "M8 5v14l11-7z");
}

audio.addEventListener("play", () => { showSign(); follow(); });
audio.addEventListener("pause", () => { showSign(); showPosition(); });
audio.addEventListener("seeked", () => { position = Math.min(duration, audio.currentTime); showPosition(); });
audio.addEventListener("error", () => {
  sounds = false;
  element("play").disabled = true;
  showSign();
  const what = element("file").files.length ? `“${element("file").files[0].name}”` : "the sound in this page";
  tell(`This browser cannot play ${what}. Choose the recording in a format that it plays, such as wav or mp3, or open the page in another browser.`);
  element("choice").hidden = false;
});
audio.addEventListener("loadedmetadata", () => {
  if (Math.abs(audio.duration - duration) > Math.max(1, 0.01 * duration)) {
    tell(`What is played lasts ${clock(audio.duration)}, the timeline ${clock(duration)}: it may be another recording.`);
  } else tell("");
});
element("play").addEventListener("click", toggle);
element("speed").addEventListener("change", (event) => { audio.playbackRate = event.target.value; });
element("place").max = duration;
element("place").addEventListener("input", (event) => seek(Number(event.target.value), false));
element("file").addEventListener("change", (event) => {
  if (event.target.files.length) hear(URL.createObjectURL(event.target.files[0]));
});

function loadSound() {
  const base64 = element("sound").textContent;
  element("sound").remove();
  if (base64) {
    hear(URL.createObjectURL(new Blob([bytes(base64)], { type: data.sound_type })));
    return;
  }
  tell(data.no_sound);
  element("choice").hidden = false;
}
