/* Keeps "12 calls in the last 5 minutes" up to date while the page is looked at:

     <p data-live="/projects/…/usage/live.json"></p>

   With data-live-start="started" the page is shown anew as soon as the first call has come in, with "decided" also
   when a first decision was made; with data-live-again after a moment in any case. */
"use strict";

(() => {
  const EVERY_MS = 5000;
  const place = document.querySelector("[data-live]");
  const waits = place.dataset.liveStart;
  let timer;

  function ago(seconds) {
    return seconds < 60 ? `${seconds} s ago` : `${Math.floor(seconds / 60)} min ago`;
  }

  function words({ calls, is_capped: isCapped, seconds_ago: secondsAgo, model }) {
    if (!calls) return "No calls in the last 5 minutes";
    const number = `${calls.toLocaleString("en")}${isCapped ? "+" : ""}`;
    return `${number} call${calls === 1 ? "" : "s"} in the last 5 minutes, the last one ${ago(secondsAgo)} of ${model}`;
  }

  async function ask() {
    try {
      const answer = await fetch(place.dataset.live, { cache: "no-store" });
      if (answer.ok) {
        const now = await answer.json();
        if (waits && now[waits]) {
          location.reload();
          return;
        }
        if (!waits) {
          place.textContent = words(now);
          place.hidden = false;
          place.classList.toggle("live--on", now.calls > 0);
        }
      }
    } catch {
      // The server may be away for a moment.
    }
    clearTimeout(timer);
    if (!document.hidden) timer = setTimeout(ask, EVERY_MS);
  }

  document.addEventListener("visibilitychange", () => {
    clearTimeout(timer);
    if (!document.hidden) ask();
  });
  ask();
  if ("liveAgain" in place.dataset) setTimeout(() => location.reload(), EVERY_MS);
})();
