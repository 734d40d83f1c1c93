// Draws the figures that lie beside their frames, in the reader's own light; again when that changes.
"use strict";
const dark = matchMedia("(prefers-color-scheme: dark)");
const charts = [...document.querySelectorAll(".chart")].map((frame) => ({
  frame,
  figure: JSON.parse(frame.parentElement.querySelector("script[type='application/json']").textContent),
}));

function put(target, path, value) {
  const last = path[path.length - 1];
  let at = target;
  for (const key of path.slice(0, -1)) at = at[key] ??= {};
  at[last] = value;
}

function draw({ frame, figure }, night, width) {
  const made = structuredClone({ data: figure.data, layout: figure.layout });
  if (night) for (const [path, value] of figure.dark) put(made, path, value);
  const style = getComputedStyle(document.documentElement);
  const colour = (name) => style.getPropertyValue(name).trim();
  const { layout } = made;
  layout.paper_bgcolor = layout.plot_bgcolor = "rgba(0,0,0,0)";
  layout.font = { ...layout.font, color: colour("--ink"), family: getComputedStyle(document.body).fontFamily };
  layout.hoverlabel = { ...layout.hoverlabel, bgcolor: colour("--shade"), font: { color: colour("--ink") } };
  for (const name of ["xaxis", "yaxis"]) {
    layout[name] = { gridcolor: colour("--grid"), linecolor: colour("--line"), ...layout[name] };
  }
  layout.autosize = !width;
  if (width) layout.width = width; else delete layout.width;
  const buttons = ["zoomIn2d", "zoomOut2d", "autoScale2d", "select2d", "lasso2d"];
  Plotly.react(frame, made.data, layout, { responsive: true, displaylogo: false, modeBarButtonsToRemove: buttons });
}

function all(night, width) { for (const chart of charts) draw(chart, night, width); }

all(dark.matches);
dark.addEventListener("change", () => all(dark.matches));
addEventListener("beforeprint", () => all(false, 680));
addEventListener("afterprint", () => all(dark.matches));
document.documentElement.dataset.drawn = charts.length;
