/* Draws Plotly figures that the server built.

   In a template, with the figure's JSON beside its place:

     <figure class="chart card">
       <figcaption>One sentence that says what the chart shows.</figcaption>
       <div class="chart__plot" data-figure="cost" role="img" aria-label="Cost per day by model"></div>
     </figure>
     {{ figure|json_script:"cost" }}

   and in the block `scripts`, in this order:

     <script defer src="{% static 'js/chart.js' %}" nonce="{{ CSP_NONCE }}"></script>
     <script defer src="{% static 'plotly.min.js' %}"></script>

   The figure is what `fig.to_plotly_json()` returns. Any string in it of the form `var(--name)` becomes
   that colour of the page, again after every change of theme. Fonts, grid lines and backgrounds come
   from here; what the figure's own layout says wins. A point whose `customdata` is a string, or a list
   that begins with one, that starts with `?` or `/` opens that address when clicked; so does a point of a series with an
   address in `meta.rows`, which the entry of the layout's `meta.times` at its place ends. In texts the only
   tag is <br>: for <b> and the like Plotly writes style attributes, which the page's policy blocks. */
"use strict";

(() => {
  // Plotly makes <style> elements, when it is loaded and with each chart. They get the page's nonce,
  // so the Content Security Policy need not allow inline styles.
  const { nonce } = document.currentScript;
  const createElement = document.createElement;
  document.createElement = function (name, options) {
    const element = createElement.call(this, name, options);
    if (name === "style") element.nonce = nonce;
    return element;
  };

  const CONFIG = { responsive: true, displayModeBar: false };
  const AXIS = {
    automargin: true,
    fixedrange: true,
    gridcolor: "var(--chart-grid)",
    linecolor: "var(--chart-grid)",
    zerolinecolor: "var(--chart-grid)",
    tickfont: { color: "var(--chart-text)" },
    title: { font: { color: "var(--chart-text)" }, standoff: 12 },
  };
  const LAYOUT = {
    autosize: true,
    paper_bgcolor: "rgba(0, 0, 0, 0)",
    plot_bgcolor: "rgba(0, 0, 0, 0)",
    margin: { t: 8, r: 8, b: 24, l: 40 },
    font: { color: "var(--text)", size: 12 },
    legend: { orientation: "h", x: 0, y: 0, yref: "container", yanchor: "bottom" },
    hoverlabel: {
      align: "left",
      bgcolor: "var(--surface)",
      bordercolor: "var(--line-strong)",
      font: { color: "var(--text)" },
    },
    xaxis: AXIS,
    yaxis: AXIS,
  };

  const isObject = (value) => value !== null && typeof value === "object" && !Array.isArray(value);

  function merge(base, over) {
    const merged = { ...base };
    for (const [key, value] of Object.entries(over)) {
      merged[key] = isObject(value) && isObject(base[key]) ? merge(base[key], value) : value;
    }
    return merged;
  }

  function themed(value) {
    if (typeof value === "string") return value.replace(/^var\((--[\w-]+)\)$/, (_, token) => Site.color(token));
    if (Array.isArray(value)) return value.map(themed);
    if (!isObject(value)) return value;
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, themed(item)]));
  }

  function draw(plot) {
    const figure = JSON.parse(document.getElementById(plot.dataset.figure).textContent);
    const font = { family: getComputedStyle(plot).fontFamily };
    const layout = merge(merge(LAYOUT, { font }), figure.layout);
    return Plotly.react(plot, themed(figure.data), themed(layout), CONFIG);
  }

  function follow({ points: [point] }) {
    const { rows } = point.data.meta ?? {};
    const address = rows ? rows + this.layout.meta.times[point.pointNumber] : [point.customdata].flat()[0];
    if (typeof address === "string" && /^(\?|\/(?!\/))/.test(address)) location.assign(address);
  }

  document.addEventListener("DOMContentLoaded", () => {
    const plots = [...document.querySelectorAll("[data-figure]")];
    for (const plot of plots) draw(plot).then(() => plot.on("plotly_click", follow.bind(plot)));
    document.addEventListener("themechange", () => plots.forEach(draw));
  });
})();
