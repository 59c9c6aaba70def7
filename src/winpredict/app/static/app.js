// Short cuts, live sliders, filters that apply at once. Everything works without this file.
"use strict";
const KEYS = "winpredict keys off";
const rows = () => [...document.querySelectorAll("[data-row]")];
const typing = (target) => target.matches("input, select, textarea, [contenteditable]");
const off = () => localStorage.getItem(KEYS) === "yes";

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || off()) return;
  if (event.key === "/") {
    const field = document.querySelector('[data-key="/"]');
    if (field) { event.preventDefault(); field.focus(); }
    return;
  }
  const all = rows();
  const now = all.indexOf(document.activeElement);
  // with the focus elsewhere arrows scroll, as everywhere; on an untouched page they enter the list
  if (!all.length || (now < 0 && document.activeElement !== document.body)) return;
  const step = { ArrowDown: 1, ArrowUp: -1, j: 1, k: -1 }[event.key];
  if (step === undefined || (now < 0 && event.key.length === 1)) return;
  event.preventDefault();
  all[Math.min(Math.max(now + step, 0), all.length - 1)].focus();
});

for (const hint of document.querySelectorAll("[data-keys]")) {
  const button = hint.querySelector("button");
  const show = () => {
    button.setAttribute("aria-pressed", String(off()));
    button.textContent = off() ? document.body.dataset.keysOn : document.body.dataset.keysOff;
  };
  button.addEventListener("click", () => {
    localStorage.setItem(KEYS, off() ? "no" : "yes");
    show();
  });
  hint.hidden = false;
  show();
}

// with the keyboard one goes through the options, each a change: there the button is for when the right one is found
for (const field of document.querySelectorAll(".filters select")) {
  let byKeys = false;
  field.addEventListener("keydown", () => { byKeys = true; });
  field.addEventListener("pointerdown", () => { byKeys = false; });
  field.addEventListener("change", () => { if (!byKeys) field.form.requestSubmit(); });
}

// a form whose answer stands on the same page: it is asked for in the background when a slider is let go
for (const form of document.querySelectorAll("form[data-live]")) {
  const answer = document.getElementById(form.dataset.live);
  let asked = 0;
  const ask = async () => {
    const mine = ++asked;
    const address = `${form.action.split("#")[0]}?${new URLSearchParams(new FormData(form))}`;
    answer.setAttribute("aria-busy", "true");
    try {
      const page = await (await fetch(address)).text();
      const found = new DOMParser().parseFromString(page, "text/html").getElementById(form.dataset.live);
      if (mine !== asked) return;
      if (!found) { form.submit(); return; }
      answer.replaceChildren(...found.childNodes);
      history.replaceState(null, "", address);
    } catch {
      if (mine === asked) form.submit();
    } finally {
      if (mine === asked) answer.removeAttribute("aria-busy");
    }
  };
  form.addEventListener("input", (event) => {
    const told = event.target.parentElement.querySelector("output");
    if (told) told.textContent = event.target.value;
  });
  form.addEventListener("change", ask);
  form.addEventListener("submit", (event) => { event.preventDefault(); ask(); });
}
