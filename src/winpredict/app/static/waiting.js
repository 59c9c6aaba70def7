// Parts of a page that are still being worked out are looked for again, and put in place when they are there.
"use strict";
const waiting = () => [...document.querySelectorAll("[data-waiting]")];
async function look() {
  let answer;
  try {
    answer = await fetch(location.href, { credentials: "same-origin" });
  } catch {
    return;
  }
  if (!answer.ok || answer.redirected) return;
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of waiting()) {
    const there = fresh.getElementById(part.id);
    if (there && !there.hasAttribute("data-waiting")) {
      part.replaceWith(document.importNode(there, true));
      const told = document.getElementById("told");
      if (told) told.textContent = `${there.getAttribute("aria-label") || "A part of the page"} is there.`;
    }
  }
}
async function goOn() {
  // the pause grows: from a second to five
  for (let pause = 1000; waiting().length; pause = Math.min(pause * 1.3, 5000)) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (!document.hidden) await look();
  }
}
if (waiting().length) goOn();
