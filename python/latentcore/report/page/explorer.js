"use strict";
// Explorers: a point is moved over the latent plane, an angle over a circle, and the decoder draws at once.

// Values (C, H, W) in [0, 1] onto a canvas, grey or in colours.
function paint(canvas, values, [channels, height, width]) {
  Object.assign(canvas, { width, height });
  const pixels = new ImageData(width, height), each = height * width;
  for (let i = 0; i < each; i++) {
    for (let c = 0; c < 3; c++) pixels.data[4 * i + c] = Math.round(255 * values[channels === 3 ? c * each + i : i]);
    pixels.data[4 * i + 3] = 255;
  }
  canvas.getContext("2d").putImageData(pixels, 0, 0);
}

const clamp = (value, low, high) => Math.min(high, Math.max(low, value));

// As soon as the screen is drawn anew, however often it was asked for until then.
function once(action) {
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    requestAnimationFrame(() => {
      asked = false;
      action();
    });
  };
}

function planeExplorer(section, found, decode) {
  const { plane } = found, [low, high] = [plane.low, plane.high];
  const centre = unpacked.floats(plane.centre), axes = unpacked.floats(plane.axes), L = centre.length;
  const box = section.querySelector(".plane"), handle = section.querySelector(".handle");
  const points = plane.points ? unpacked.floats(plane.points) : new Float32Array();
  const ofClass = found.mixture && mixture(found.mixture);
  const state = { at: plane.start.map((value, i) => clamp(value, low[i], high[i])) };

  const latents = () => Float32Array.from(centre, (value, i) => value + state.at[0] * axes[i] + state.at[1] * axes[L + i]);
  const share = (i) => (state.at[i] - low[i]) / (high[i] - low[i]);

  function draw() {
    const choice = section.querySelector("select");
    state.z = latents();
    state.image = decode(state.z, choice ? choice.selectedIndex : -1);
    const canvas = section.querySelector(".decoded canvas"), words = state.at.map((value) => value.toFixed(3)).join(", ");
    paint(canvas, state.image, found.image);
    let likely = "";
    if (ofClass) {
      state.mixture = ofClass(state.z);
      const best = state.mixture.classes.indexOf(Math.max(...state.mixture.classes));
      likely = `, class ${found.mixture.classes[best]}`;
      showBars(section.querySelector(".bars"), found.mixture.classes, state.mixture.classes);
    }
    canvas.setAttribute("aria-label", `picture decoded at ${words}${likely}`);
    section.querySelector(".place").textContent =
      `at ${words}` + (ofClass ? `, log-likelihood ${state.mixture.logLikelihood.toFixed(2)} nats` : "");
    handle.style.left = `${100 * share(0)}%`;
    handle.style.top = `${100 * (1 - share(1))}%`;
    handle.setAttribute("aria-valuenow", Math.round(200 * share(0) - 100));
    handle.setAttribute("aria-valuetext", `${words}${likely}`);
  }
  const redraw = once(draw);

  function move(x, y) {
    state.at = [clamp(x, low[0], high[0]), clamp(y, low[1], high[1])];
    redraw();
  }
  function follow(event) {
    const { left, top, width, height } = box.getBoundingClientRect();
    const across = (event.clientX - left) / width, up = 1 - (event.clientY - top) / height;
    move(low[0] + across * (high[0] - low[0]), low[1] + up * (high[1] - low[1]));
  }
  box.addEventListener("pointerdown", (event) => {
    box.setPointerCapture(event.pointerId);
    handle.focus();
    event.preventDefault();
    follow(event);
  });
  box.addEventListener("pointermove", (event) => box.hasPointerCapture(event.pointerId) && follow(event));
  handle.addEventListener("keydown", (event) => {
    const steps = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowDown: [0, -1], ArrowUp: [0, 1] }[event.key];
    if (!steps) return;
    event.preventDefault();
    const far = event.shiftKey ? 0.1 : 0.02;
    move(...state.at.map((value, i) => value + steps[i] * far * (high[i] - low[i])));
  });
  section.querySelector("select")?.addEventListener("change", redraw);
  const paintPlane = () => drawPoints(box.querySelector("canvas"), points, plane);
  new ResizeObserver(paintPlane).observe(box);
  dark.addEventListener("change", paintPlane);
  draw();
  return state;
}

// The latents behind the handle, or how far the prior reaches.
function drawPoints(canvas, points, { low, high, labels, rings }) {
  const side = canvas.clientWidth, sharp = window.devicePixelRatio || 1, pen = canvas.getContext("2d");
  Object.assign(canvas, { width: side * sharp, height: side * sharp });
  pen.scale(sharp, sharp);
  pen.strokeStyle = colour("quiet");
  for (const radius of rings) {
    pen.beginPath();
    pen.arc(side / 2, side / 2, (radius / (high[0] - low[0])) * side, 0, 2 * Math.PI);
    pen.stroke();
  }
  pen.globalAlpha = 0.55;
  const names = labels ? [...new Set(labels)].sort((a, b) => a - b) : [];
  const shades = PALETTE.map(shade);
  for (let i = 0; i < points.length / 2; i++) {
    const x = ((points[2 * i] - low[0]) / (high[0] - low[0])) * side;
    const y = (1 - (points[2 * i + 1] - low[1]) / (high[1] - low[1])) * side;
    pen.fillStyle = shades[labels ? names.indexOf(labels[i]) % PALETTE.length : 0];
    pen.beginPath();
    pen.arc(x, y, 2, 0, 2 * Math.PI);
    pen.fill();
  }
}

function showBars(place, names, shares) {
  if (!place.children.length) {
    for (const name of names) {
      const row = document.createElement("div"), track = document.createElement("span");
      row.className = "bar";
      track.className = "track";
      track.append(document.createElement("i"));
      row.append(document.createElement("span"), track, document.createElement("span"));
      row.firstChild.textContent = name;
      place.append(row);
    }
  }
  shares.forEach((share, c) => {
    const row = place.children[c];
    row.querySelector("i").style.width = `${100 * share}%`;
    row.lastChild.textContent = `${(100 * share).toFixed(1)} %`;
  });
}

function turnExplorer(section, found, decode, sprite) {
  const { turn } = found, rotated = operators[turn.kind](turn);
  const all = unpacked.floats(turn.z), L = found.latent, slider = section.querySelector("input");
  const latent = section.querySelector(".latent"), pixels = section.querySelector(".pixels");
  const state = { digit: 0 }, sheet = new Image();

  function draw() {
    const degrees = Number(slider.value), name = turn.names[state.digit];
    state.degrees = degrees;
    state.z = Float32Array.from(rotated(all.slice(state.digit * L, (state.digit + 1) * L), degrees));
    state.image = decode(state.z, -1);
    paint(latent, state.image, found.image);
    latent.setAttribute("aria-label", `${name}, turned by ${degrees} degrees in latent space`);
    pixels.setAttribute("aria-label", `${name}, turned by ${degrees} degrees as pixels`);
    pixels.style.transform = `rotate(${-degrees}deg)`; // to the left, as it is displayed
    section.querySelector("output").textContent = `${degrees}°`;
    slider.setAttribute("aria-valuetext", `${degrees} degrees`);
  }
  function choose(digit) {
    state.digit = digit;
    [...section.querySelectorAll("button")].forEach((button, i) => button.setAttribute("aria-pressed", i === digit));
    drawSmall(pixels, sheet, sprite, turn.places[digit]);
    draw();
  }
  const [width, height] = sprite.size;
  Object.assign(pixels, { width, height });
  const buttons = turn.names.map((name, digit) => {
    const button = document.createElement("button"), canvas = document.createElement("canvas");
    Object.assign(canvas, { width, height });
    button.type = "button";
    button.setAttribute("aria-label", String(name));
    button.append(canvas);
    button.addEventListener("click", () => choose(digit));
    section.querySelector(".digits").append(button);
    return canvas;
  });
  slider.addEventListener("input", once(draw));
  sheet.onload = () => {
    buttons.forEach((canvas, digit) => drawSmall(canvas, sheet, sprite, turn.places[digit]));
    choose(0);
  };
  sheet.src = sprite.uri;
  return state;
}

for (const section of document.querySelectorAll(".run")) {
  const { explorer, sprite } = JSON.parse(section.querySelector(".run-data").textContent);
  if (!explorer) continue;
  const decode = decoder(explorer);
  for (const element of section.querySelectorAll(".explorer")) {
    const kind = element.dataset.kind === "turn" ? turnExplorer : planeExplorer;
    element.state = kind(element, explorer, decode, sprite);
  }
}
