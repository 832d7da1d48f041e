// Loaded in <head> without defer: the chosen theme must hold before the first paint.
"use strict";

const Site = (() => {
  const THEMES = ["system", "light", "dark"];
  const root = document.documentElement;

  function storedTheme() {
    try {
      const theme = localStorage.getItem("theme");
      return THEMES.includes(theme) ? theme : "system";
    } catch {
      return "system";
    }
  }

  function applyTheme(theme) {
    if (theme === "system") delete root.dataset.theme;
    else root.dataset.theme = theme;
  }

  function announceTheme() {
    document.dispatchEvent(new CustomEvent("themechange"));
  }

  /** Return the colour that a token such as "--series-1" has in the current theme, as rgb(). */
  function color(token) {
    const probe = document.createElement("span");
    probe.hidden = true;
    probe.style.color = `var(${token})`;
    document.body.append(probe);
    const value = getComputedStyle(probe).color;
    probe.remove();
    return value;
  }

  function setUpThemeButton(button) {
    const show = (theme) => {
      button.dataset.themeNow = theme;
      button.setAttribute("aria-label", `Theme: ${theme}. Change`);
      button.title = `Theme: ${theme}`;
      for (const icon of button.querySelectorAll("[data-theme-icon]")) {
        icon.toggleAttribute("hidden", icon.dataset.themeIcon !== theme);
      }
    };
    show(storedTheme());
    button.hidden = false;
    button.addEventListener("click", () => {
      const next = THEMES[(THEMES.indexOf(button.dataset.themeNow) + 1) % THEMES.length];
      applyTheme(next);
      show(next);
      try {
        localStorage.setItem("theme", next);
      } catch {
        // A browser that keeps nothing still gets the theme for this page.
      }
      announceTheme();
    });
  }

  function setUpCopyButton(button) {
    if (!navigator.clipboard) return;
    const label = button.textContent;
    button.hidden = false;
    button.addEventListener("click", async () => {
      const source = document.querySelector(button.dataset.copy);
      await navigator.clipboard.writeText(source.value ?? source.textContent);
      button.textContent = "Copied";
      setTimeout(() => {
        button.textContent = label;
      }, 2000);
    });
  }

  function setUpFilter(input) {
    const items = [...document.querySelectorAll(`${input.dataset.filter} [data-filter-text]`)];
    input.closest("[hidden]")?.removeAttribute("hidden");
    input.addEventListener("input", () => {
      const wanted = input.value.trim().toLowerCase();
      for (const item of items) {
        item.hidden = !item.dataset.filterText.toLowerCase().includes(wanted);
      }
    });
    input.addEventListener("keydown", (event) => {
      if (event.key === "Enter") event.preventDefault();
    });
  }

  function closeMenus(except) {
    for (const menu of document.querySelectorAll("details.menu[open]")) {
      if (menu !== except) menu.open = false;
    }
  }

  applyTheme(storedTheme());

  document.addEventListener("DOMContentLoaded", () => {
    document.querySelectorAll("[data-theme-button]").forEach(setUpThemeButton);
    document.querySelectorAll("[data-copy]").forEach(setUpCopyButton);
    document.querySelectorAll("[data-filter]").forEach(setUpFilter);
    document.querySelector(".tabs [aria-current]")?.scrollIntoView({ block: "nearest", inline: "nearest" });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", announceTheme);
  });
  document.addEventListener("click", (event) => closeMenus(event.target.closest("details.menu")));
  document.addEventListener("keydown", (event) => {
    if (event.key !== "Escape") return;
    document.querySelector("details.menu[open] > summary")?.focus();
    closeMenus(null);
  });

  return { color };
})();
