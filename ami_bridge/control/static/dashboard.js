// Makes the pages live. They are complete without it: it only replaces parts of them by what
// the server renders anew, and adds rows of text.

// How far the server's clock is from this one's, and from UTC, in seconds.
const offset = Number(document.body.dataset.now) - Date.now() / 1000;
const zone = Number(document.body.dataset.zone);
const LAST_SAID = 40;

function lasting(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  const minutes = Math.floor(whole / 60), hours = Math.floor(minutes / 60), days = Math.floor(hours / 24);
  if (days) return `${days} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes % 60} min`;
  return minutes ? `${minutes}:${String(whole % 60).padStart(2, "0")} min` : `${whole} s`;
}

function tick() {
  const now = Date.now() / 1000 + offset;
  for (const place of document.querySelectorAll("[data-since]")) {
    place.textContent = lasting(now - Number(place.dataset.since));
  }
}

// -- parts that the server renders anew --------------------------------------------------

async function refresh(place) {
  if (place.busy) { place.again = true; return; }
  place.busy = true;
  try {
    const answer = await fetch(place.dataset.fragment, { redirect: "error" });
    if (answer.ok) {
      const text = await answer.text();
      // Nobody loses what they are about to press.
      if (text !== place.shown && !place.contains(document.activeElement)) {
        place.innerHTML = text;
        place.shown = text;
      }
    } else if (answer.status === 401) {
      location.reload();
    }
  } catch {
    // The stream tells that nobody answers.
  } finally {
    place.busy = false;
    if (place.again) { place.again = false; later(place); }
  }
}

function later(place) {
  if (!place.timer) {
    place.timer = setTimeout(() => { place.timer = 0; refresh(place); }, 100);
  }
}

const parts = [...document.querySelectorAll("[data-fragment]")];
for (const place of parts) {
  const seconds = Number(place.dataset.when);
  if (seconds) setInterval(() => refresh(place), seconds * 1000);
}

// -- call events as they are said -----------------------------------------------------------

const log = document.getElementById("said");

function cell(...pieces) {
  const made = document.createElement("td");
  made.append(...pieces);
  return made;
}

function span(kind, text) {
  const made = document.createElement("span");
  made.className = kind;
  made.textContent = text;
  return made;
}

function show(said) {
  const row = document.createElement("tr");
  const told = said.parameters;
  row.className = `event-${said.event.toLowerCase()} fresh`;
  const time = said.time === null ? "" : new Date((said.time + zone) * 1000).toISOString().slice(11, 19);
  const caller = told.CallerIDName ? [`${told.CallerIDNum} `, span("quiet", told.CallerIDName)] : [told.CallerIDNum];
  row.append(
    cell(time), cell(span("event", said.event)), cell(said.extension),
    cell(...caller), cell(told.CalledNumber), cell(told.CallStatus),
  );
  document.getElementById("nothing-said")?.remove();
  log.prepend(row);
  while (log.rows.length > LAST_SAID) log.lastElementChild.remove();
}

// Screen readers hear a summary now and then, not every event of a busy PBX.
let unheard = [];
function speak() {
  const place = document.getElementById("said-aloud");
  if (!unheard.length) return;
  const last = unheard.at(-1);
  const count = unheard.length > 1 ? `${unheard.length} call events, the last: ` : "";
  place.textContent = `${count}${last.event} of ${last.extension}`;
  unheard = [];
}

if (log) {
  const state = document.getElementById("stream-state");
  const source = new EventSource("/api/v1/stream");
  const changed = parts.filter((place) => place.dataset.when === "said");
  source.onopen = () => { state.textContent = "live"; state.className = "live"; changed.forEach(later); };
  source.onerror = () => { state.textContent = "no connection to the bridge"; state.className = "lost"; };
  source.onmessage = (message) => {
    const said = JSON.parse(message.data);
    show(said);
    unheard.push(said);
    changed.forEach(later);
  };
  setInterval(speak, 5000);
  addEventListener("pagehide", () => source.close());
}

setInterval(tick, 1000);
document.querySelector("[data-focus]")?.focus();
