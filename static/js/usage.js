/* A form with [data-follow] is sent as soon as something is chosen in it, and its button is not needed.
   What is empty is left out of the address. */
"use strict";

(() => {
  const KEPT = "usage.focus";

  function setUp(form) {
    form.querySelector("[data-follow-button]").hidden = true;
    form.addEventListener("change", ({ target }) => {
      sessionStorage.setItem(KEPT, target.id);
      // What cannot be added up has no running total either.
      const isRatio = "ratio" in (target.selectedOptions?.[0]?.dataset ?? {});
      if (isRatio && form.elements.cumulative) form.elements.cumulative.checked = false;
      form.requestSubmit();
    });
    form.addEventListener("submit", () => {
      for (const control of form.elements) {
        if (!control.value) control.disabled = true;
      }
    });
  }

  document.querySelectorAll("form[data-follow]").forEach(setUp);
  // Who chose by keyboard goes on where they were.
  document.getElementById(sessionStorage.getItem(KEPT) ?? "")?.focus({ preventScroll: true });
  sessionStorage.removeItem(KEPT);
  // A page that is gone back to may come as it was left.
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-follow]")) {
      for (const control of form.elements) control.disabled = false;
      form.reset();
    }
  });
})();
