// Exchanges the parts of the page that changed. Without it every page still works; it is then as of loading.
"use strict";

const RETRY_MILLISECONDS = 3000;

// Makes `now` equal to `next` and keeps every node that can stay: focus, scroll and selection survive.
function morph(now, next) {
  if (now.nodeType !== next.nodeType || now.nodeName !== next.nodeName) {
    now.replaceWith(next);
    return;
  }
  if (now.nodeType === Node.TEXT_NODE) {
    if (now.data !== next.data) now.data = next.data;
    return;
  }
  if (now.nodeType !== Node.ELEMENT_NODE) return;
  for (const { name } of [...now.attributes]) {
    // What a person opened stays open.
    if (!next.hasAttribute(name) && !(name === "open" && now.nodeName === "DETAILS")) now.removeAttribute(name);
  }
  for (const { name, value } of [...next.attributes]) {
    if (now.getAttribute(name) !== value) now.setAttribute(name, value);
  }
  morphChildren(now, next);
}

function morphChildren(now, next) {
  const wanted = [...next.childNodes];
  const found = [...now.childNodes];
  wanted.forEach((child, k) => (k < found.length ? morph(found[k], child) : now.append(child)));
  found.slice(wanted.length).forEach((child) => child.remove());
}

function show(parts) {
  for (const [id, html] of Object.entries(parts)) {
    const now = document.getElementById(id);
    if (!now) continue;
    const next = document.createElement(now.nodeName);
    next.innerHTML = html;
    morphChildren(now, next);
  }
}

function follow(main) {
  const state = document.getElementById("live-state");
  const pause = document.getElementById("pause");
  let stream = null;
  let retry = 0;
  let paused = false;
  let ended = false;

  function say(word, kind) {
    if (state.textContent !== word) state.textContent = word;
    state.className = kind;
  }

  function close() {
    clearTimeout(retry);
    if (stream) stream.close();
    stream = null;
  }

  function open() {
    close();
    if (paused || ended || document.hidden) return;
    stream = new EventSource("/live?page=" + encodeURIComponent(main.dataset.live));
    stream.onmessage = (event) => {
      say("live", "on");
      show(JSON.parse(event.data).parts);
    };
    stream.addEventListener("problem", () => say("nothing to read", "off"));
    stream.addEventListener("end", () => {
      ended = true;
      close();
      say("", "");
      pause.hidden = true;
    });
    stream.onerror = () => {
      close();
      say("no connection", "off");
      retry = setTimeout(open, RETRY_MILLISECONDS);
    };
  }

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    say(paused ? "paused" : "live", paused ? "off" : "on");
    open();
  });
  // A browser has six connections per host: a page nobody looks at must not hold one.
  document.addEventListener("visibilitychange", open);
  window.addEventListener("pagehide", close);
  open();
}

// On a phone the areas scroll: the one that is shown should be seen.
document.querySelector("nav [aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });

const main = document.querySelector("main[data-live]");
if (main) follow(main);
