"use strict";
// Draws the page's charts, and again when a filter or the width changes. Colours are the style sheet's variables, so
// that dark mode and print need no script.
const charts = JSON.parse(document.getElementById("charts").textContent);
const views = {};
const ink = "var(--ink)", soft = "var(--soft)", line = "var(--line)";
const colours = [...Array(10).keys()].map((n) => `var(--series-${n})`);
const theme = {
  background: null, font: "system-ui, sans-serif", view: { stroke: line },
  range: { category: colours },
  axis: {
    labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line,
    titleFontWeight: "normal", labelFontSize: 11, titleFontSize: 11, gridOpacity: 0.6,
  },
  legend: { labelColor: ink, titleColor: soft, orient: "top", symbolOpacity: 1 },
  header: { labelColor: ink, labelFontSize: 12, labelFontWeight: 600 },
  rule: { color: soft }, line: { color: colours[0] }, area: { color: colours[0] },
};

function fit(spec, width) {
  if (!spec.facet) {
    const step = spec.usermeta && spec.usermeta.step; // a chart whose height follows its rows, also when filtered
    const height = step ? { height: step * Math.max(1, new Set(spec.data.values.map((row) => row.panel)).size) } : {};
    return {
      ...spec, ...height, width: Math.min(spec.width || 900, width) - 4,
      autosize: { type: "fit-x", contains: "padding" },
    };
  }
  const columns = Math.max(1, Math.min(4, Math.floor(width / 260)));
  const panel = Math.min(420, Math.max(120, Math.floor((width - 8) / columns) - 72));
  return { ...spec, columns, spec: { ...spec.spec, width: panel } };
}

function choose(id, rows) {
  let left = rows;
  for (const control of document.querySelectorAll(`[data-filters="${id}"]`)) {
    const cut = control.value.indexOf("="), field = control.value.slice(0, cut), value = control.value.slice(cut + 1);
    if (cut > 0) left = left.filter((row) => row[field] === value);
  }
  return left;
}

async function draw(id) {
  const place = document.getElementById(id), values = choose(id, charts[id].data.values);
  const count = document.getElementById(`${id}-count`);
  if (count) count.textContent = `${new Set(values.map((row) => row.panel)).size} shown`;
  if (views[id]) views[id].finalize();
  const room = Math.max(240, place.parentElement.clientWidth);
  const config = { ...theme, legend: { ...theme.legend, columns: room < 480 ? 2 : 0 } };
  const spec = fit({ ...charts[id], data: { values } }, room);
  views[id] = await vegaEmbed(place, spec, { actions: false, renderer: "svg", ast: true, config });
  place.removeAttribute("role"); // the element around it is the picture, and says what it shows
  place.removeAttribute("aria-label");
  place.removeAttribute("aria-roledescription");
  place.dataset.drawn = String(values.length);
}

const drawAll = () => Promise.all(Object.keys(charts).map(draw));

for (const control of document.querySelectorAll("[data-filters]")) {
  control.addEventListener("change", () => draw(control.dataset.filters));
}
let waiting = 0, width = innerWidth;
addEventListener("resize", () => {
  if (innerWidth === width) return;
  width = innerWidth;
  clearTimeout(waiting);
  waiting = setTimeout(drawAll, 150);
});
drawAll().then(() => { document.documentElement.dataset.ready = "true"; });
