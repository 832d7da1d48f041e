/* A form with [data-follow] is sent as soon as something is chosen in it, and its button is not needed.
   What is empty is left out of the address.

   The figures of a table with [data-points] lead where the points of the figure of that name do. Its
   columns are the figure's series, and a row's [data-place] is the place of its points. */
"use strict";

(() => {
  const KEPT = "usage.focus";

  function setUp(form) {
    form.querySelector("[data-follow-button]").hidden = true;
    form.addEventListener("change", ({ target }) => {
      sessionStorage.setItem(KEPT, target.id);
      agree(form.elements, target);
      form.requestSubmit();
    });
    form.addEventListener("submit", () => {
      for (const control of form.elements) {
        if (!control.value) control.disabled = true;
      }
    });
  }

  // Take back what cannot be together with the last choice.
  function agree({ metric, group, then, cumulative }, last) {
    const { ratio, ofDecisions } = metric.selectedOptions[0].dataset;
    // What cannot be added up has no running total either.
    if (ratio !== undefined && cumulative) cumulative.checked = false;
    // Decisions have no status.
    for (const by of ofDecisions === undefined ? [] : [group, then]) {
      if (by.value === "status") by.value = "";
    }
    if (last === group && then.value === group.value) then.value = "";
  }

  // Links are made once they are looked at, since there may be thousands.
  function link(table) {
    const { data, layout } = JSON.parse(document.getElementById(table.dataset.points).textContent);
    for (const row of table.querySelectorAll("[data-place]")) {
      [...row.querySelectorAll("td")].forEach((cell, series) => {
        const rows = data[series].meta.rows;
        if (!rows || cell.firstElementChild) return;
        const anchor = document.createElement("a");
        anchor.href = rows + layout.meta.times[row.dataset.place];
        anchor.append(...cell.childNodes);
        cell.append(anchor);
      });
    }
  }

  document.querySelectorAll("form[data-follow]").forEach(setUp);
  document.querySelectorAll("[data-points]").forEach((table) => {
    table.closest("details").addEventListener("toggle", () => link(table), { once: true });
  });
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
