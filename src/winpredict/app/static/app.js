// Keys: / to search, j and k through the rows, enter opens. Everything works without this file.
"use strict";
const rows = () => [...document.querySelectorAll("[data-row]")];
function typing(target) {
  return target.matches("input, select, textarea, [contenteditable]");
}
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target)) return;
  if (event.key === "/") {
    const field = document.querySelector('[data-key="/"]');
    if (field) { event.preventDefault(); field.focus(); }
  } else if (event.key === "j" || event.key === "k") {
    const all = rows();
    if (!all.length) return;
    const now = all.indexOf(document.activeElement);
    const next = event.key === "j" ? Math.min(now + 1, all.length - 1) : Math.max(now - 1, 0);
    all[next].focus();
  }
});
for (const field of document.querySelectorAll(".filters select")) {
  field.addEventListener("change", () => field.form.requestSubmit());
}
