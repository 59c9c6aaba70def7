// Parts of a page that are still being worked out are looked for again, and put in place when they are there.
"use strict";
const words = document.body.dataset;
const waiting = () => [...document.querySelectorAll("[data-waiting]")];
function tell(message, isTrouble = true) {
  const told = document.getElementById("told");
  if (!told) return;
  told.textContent = message;
  // what keeps a page from getting on is shown to all, what came into place is there to see
  told.classList.toggle("hidden", !message || !isTrouble);
  told.classList.toggle("message", !told.classList.contains("hidden"));
}
async function look() {
  let answer;
  try {
    answer = await fetch(location.href, { credentials: "same-origin" });
  } catch {
    tell(words.noAnswer);
    return true;
  }
  if (answer.redirected || answer.status === 401) {
    tell(words.signedOut);
    return false;
  }
  if (!answer.ok) {
    tell(words.trouble);
    return true;
  }
  if (document.querySelector("#told.message")) tell("");
  const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
  for (const part of waiting()) {
    const there = fresh.getElementById(part.id);
    if (!there || there.outerHTML === part.outerHTML) continue;
    const isWhole = !there.hasAttribute("data-waiting");
    // what is there so far is shown, unless it would take away what somebody is at
    if (!isWhole && part.contains(document.activeElement)) continue;
    part.replaceWith(document.importNode(there, true));
    if (isWhole) tell(words.ready.replace("%s", () => there.getAttribute("aria-label") || ""), false);
  }
  return true;
}
async function goOn() {
  // the pause grows: from a second to five
  for (let pause = 1000; waiting().length; pause = Math.min(pause * 1.3, 5000)) {
    await new Promise((resolve) => setTimeout(resolve, pause));
    if (!document.hidden && !(await look())) return;
  }
}
if (waiting().length) goOn();
