"use strict";
// Plotly's plots in the colours of the page, light or dark; in print light and as wide as the paper.

const dark = matchMedia("(prefers-color-scheme: dark)");
const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
const PAPER = 660; // pixels of a sheet's width, between its margins
// as in latentcore.plots.style; the style has each colour as it is readable on a light or a dark page
const PALETTE = ["#0072B2", "#E69F00", "#009E73", "#CC79A7", "#56B4E9", "#D55E00", "#F0E442", "#7F7F7F", "#8C564B", "#5E3C99"];
const shade = (plain) => (PALETTE.includes(plain) ? colour(`c${PALETTE.indexOf(plain)}`) : plain);
// by name, since others would send the plot to a service
const BUTTONS = [["toImage", "zoom2d", "pan2d", "zoomIn2d", "zoomOut2d", "resetScale2d"]];
const finger = matchMedia("(pointer: coarse)").matches; // which moves the page, not the plot

function themed() {
  const axis = { color: colour("text"), gridcolor: colour("grid"), linecolor: colour("line") };
  return {
    paper_bgcolor: "rgba(0,0,0,0)",
    plot_bgcolor: "rgba(0,0,0,0)",
    "font.color": colour("text"),
    "font.family": "system-ui, sans-serif",
    "modebar.bgcolor": "rgba(0,0,0,0)",
    "modebar.color": colour("line"),
    "modebar.activecolor": colour("accent"),
    ...Object.fromEntries(
      ["xaxis", "yaxis"].flatMap((name) => Object.entries(axis).map(([key, value]) => [`${name}.${key}`, value])),
    ),
  };
}

const plots = [];

async function plot(element, figure) {
  const options = { responsive: true, displaylogo: false, plotlyServerURL: "", modeBarButtons: BUTTONS, displayModeBar: !finger };
  const layout = { ...figure.layout, dragmode: finger ? false : "zoom" };
  const colours = figure.data.map(({ line, marker }) => ({ line: line?.color, marker: marker?.color }));
  await Plotly.newPlot(element, figure.data, layout, options);
  plots.push({ element, colours });
  await recolour({ element, colours }, {});
}

function recolour({ element, colours }, layout) {
  const of = (part) => colours.map((found) => found[part] && shade(found[part]));
  return Plotly.update(element, { "line.color": of("line"), "marker.color": of("marker") }, { ...themed(), ...layout });
}

function repaint() {
  const paper = document.documentElement.classList.contains("paper");
  for (const each of plots) {
    const { element } = each;
    const columns = paper && element.closest(".plots") ? 2 : 1;
    const width = paper ? Math.floor(PAPER / columns) - 10 : undefined;
    recolour(each, { width, autosize: !paper });
  }
}

// The small image of a point stands beside it.
function showImages(element, sprite) {
  const [width, height] = sprite.size, canvas = document.createElement("canvas"), sheet = new Image();
  canvas.className = "hovered";
  Object.assign(canvas, { width, height, hidden: true });
  sheet.src = sprite.uri;
  element.append(canvas);
  element.on("plotly_hover", ({ points: [point], event }) => {
    if (point.customdata === undefined) return;
    drawSmall(canvas, sheet, sprite, point.customdata);
    const box = element.getBoundingClientRect(), x = event.clientX - box.left, y = event.clientY - box.top;
    canvas.style.left = `${x > box.width / 2 ? x - 104 : x + 20}px`;
    canvas.style.top = `${Math.max(0, y - 95)}px`;
    canvas.hidden = false;
  });
  element.on("plotly_unhover", () => (canvas.hidden = true));
}

function drawSmall(canvas, sheet, { columns, size: [width, height] }, place) {
  const x = (place % columns) * width, y = Math.floor(place / columns) * height;
  canvas.getContext("2d").drawImage(sheet, x, y, width, height, 0, 0, width, height);
}

async function drawPlots() {
  const figures = JSON.parse(document.getElementById("curves-data").textContent);
  for (const element of document.querySelectorAll("[data-curve]")) await plot(element, figures[element.dataset.curve]);
  for (const section of document.querySelectorAll(".run")) {
    const { scatter, sprite } = JSON.parse(section.querySelector(".run-data").textContent);
    if (!scatter) continue;
    const element = section.querySelector(".latents");
    await plot(element, scatter.figure);
    showImages(element, sprite);
  }
  dark.addEventListener("change", repaint);
}

// On paper everything is open, and the plots are as wide as it is.
function onPaper(paper) {
  document.documentElement.classList.toggle("paper", paper);
  for (const details of document.querySelectorAll("details")) details.open = paper;
  repaint();
}
// the events come before the sheets are cut, the medium's change may come after it
addEventListener("beforeprint", () => onPaper(true));
addEventListener("afterprint", () => onPaper(false));
const drawn = drawPlots();
