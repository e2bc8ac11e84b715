"use strict";
// Draws the page's charts, again when a filter, the width or the colour scheme changes.
const charts = JSON.parse(document.getElementById("charts").textContent);
const views = {};

function theme() {
  const read = (name) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
  const dark = matchMedia("(prefers-color-scheme: dark)").matches && !matchMedia("print").matches;
  const ink = read("--ink"), soft = read("--soft"), line = read("--line");
  const colours = dark
    ? ["#6db3f2", "#f2a65a", "#7ed09e", "#d6a1e8", "#f28b82", "#5fd0d6", "#e8d36a", "#b9c2cc", "#f5a8c5", "#9fb56a"]
    : ["#2166ac", "#c05a00", "#2b8a4b", "#7b3294", "#b2182b", "#00798c", "#8a6d00", "#5b6570", "#b0397a", "#5a7302"];
  return {
    background: "transparent", font: "system-ui, sans-serif", view: { stroke: line },
    range: { category: colours, outcome: [read("--good"), read("--unsure"), read("--bad")] },
    axis: { labelColor: soft, titleColor: soft, gridColor: line, domainColor: line, tickColor: line,
      titleFontWeight: "normal", labelFontSize: 11, titleFontSize: 11, gridOpacity: 0.6 },
    legend: { labelColor: ink, titleColor: soft, titleFontWeight: "normal", orient: "top", symbolOpacity: 1 },
    header: { labelColor: ink, titleColor: soft, labelFontSize: 12, labelFontWeight: 600 },
    rule: { color: soft }, text: { color: ink }, line: { color: colours[0] }, area: { color: colours[0] },
  };
}

function fit(spec, box) {
  const width = Math.max(220, box.clientWidth), drawn = { ...spec };
  if (spec.facet) {
    const columns = Math.max(1, Math.min(4, Math.floor(width / 270)));
    drawn.columns = columns;
    drawn.spec = { ...spec.spec, width: Math.max(120, Math.floor(width / columns) - 64) };
  } else {
    drawn.width = Math.min(spec.width || 900, width) - 16;
    drawn.autosize = { type: "fit-x", contains: "padding" };
  }
  return drawn;
}

function chosen(id, rows) {
  let left = rows;
  for (const control of document.querySelectorAll(`[data-filters="${id}"]`)) {
    const field = control.dataset.field;
    const value = control.type === "checkbox" ? (control.checked ? control.value : "") : control.value;
    if (value) left = left.filter((row) => row[field] === value);
  }
  return left;
}

async function draw(id) {
  const box = document.getElementById(id), values = chosen(id, charts[id].data.values);
  const count = document.getElementById(id + "-count");
  if (count) count.textContent = new Set(values.map((row) => row.panel)).size + " shown";
  if (views[id]) views[id].finalize();
  views[id] = await vegaEmbed(box, fit({ ...charts[id], data: { values } }, box), {
    actions: false, renderer: "svg", ast: true, config: theme(), tooltip: { theme: "custom" },
  });
  box.dataset.drawn = String(values.length);
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
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", drawAll);
matchMedia("print").addEventListener("change", drawAll);
drawAll().then(() => { document.documentElement.dataset.ready = "true"; });
