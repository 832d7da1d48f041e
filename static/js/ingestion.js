// Keeps the progress of a reading up to date, and shows the whole page anew once it has ended.
"use strict";

(() => {
  const EVERY_MS = 1000;
  const section = document.querySelector("[data-progress-url]");
  const bar = section.querySelector("progress");

  const WORDS = {
    label: (now) => now.label,
    seconds_left: (now) => (now.seconds_left === null ? "–" : `${now.seconds_left.toLocaleString("en")} s`),
  };

  function show(now) {
    bar.max = Math.max(1, now.runs_expected);
    bar.value = now.runs_done;
    for (const place of document.querySelectorAll("[data-progress-text]")) {
      const name = place.dataset.progressText;
      place.textContent = WORDS[name] ? WORDS[name](now) : now[name].toLocaleString("en");
    }
  }

  async function ask() {
    try {
      const answer = await fetch(section.dataset.progressUrl, { cache: "no-store" });
      if (answer.ok) {
        const now = await answer.json();
        if (now.finished) {
          location.reload();
          return;
        }
        show(now);
      }
    } catch {
      // The server may be away for a moment.
    }
    setTimeout(ask, EVERY_MS);
  }

  setTimeout(ask, EVERY_MS);
})();
