// A line chart in SVG, small and plain: one or more series over time, axes, a legend with the latest
// values, and a sentence that says the same. It reads its width from its element and draws in CSS
// pixels, so that text has its size on every screen. Colours, dashes and sizes are page.css's, by
// class; nothing is told apart by colour alone.
//
// layout() is pure and tested; LineChart only puts it into the document, and keeps its nodes.
// Bounds: chartLimits.points points (older ones are left out) and .series series.

import * as words from "./words.js";

export const chartLimits = Object.freeze({ points: 1200, series: 6 });

const SVG = "http://www.w3.org/2000/svg";
const NARROW = 420; // CSS pixels: below, fewer labels

const isNumber = (value) => typeof value === "number" && Number.isFinite(value);

/** 0 and up to `most` steps of 1, 2 or 5 times a power of ten, the last at or above `top`. */
export function niceTicks(top, most = 4) {
  if (!isNumber(top) || top <= 0) return [0, 1];
  const raw = top / most, power = 10 ** Math.floor(Math.log10(raw));
  const step = [1, 2, 5, 10].map((n) => n * power).find((n) => n >= raw * (1 - 1e-9));
  const ticks = [];
  for (let i = 0; i <= most; i++) {
    // i * step, without the noise of adding: 0.30000000000000004 is no label.
    ticks.push(Number((i * step).toPrecision(12)));
    if (ticks[i] >= top * (1 - 1e-9)) break;
  }
  return ticks;
}

/** How far back the axis goes: no further than there is something, and no further than `most`. */
function chooseSpan(points, most, nowMs) {
  const oldest = points.find((point) => point.v.some(isNumber));
  const wanted = oldest ? nowMs - oldest.t : 0;
  return [1, 2, 5, 10, 20, 30, 60].map((minutes) => minutes * 60000)
    .find((span) => span >= wanted && span <= most) || most;
}

/** "M1.0 2.0L3.0 4.0": a line with a hole wherever the value is not a number. */
export function linePath(points, series, x, y) {
  let path = "", drawing = false, lone = null;
  for (const point of points) {
    const value = point.v[series];
    if (!isNumber(value)) {
      if (lone) path += `h0.01`; // one point between two holes: a dot, by its round cap
      drawing = false;
      lone = null;
      continue;
    }
    path += `${drawing ? "L" : "M"}${x(point.t).toFixed(1)} ${y(value).toFixed(1)}`;
    lone = drawing ? null : point;
    drawing = true;
  }
  return lone ? path + "h0.01" : path;
}

/**
 * Where everything goes. `points` are {t: ms, v: [a number or null for each series]}, oldest first.
 * {ticks: [{y, text}], times: [{x, text, anchor}], paths: [string], legend: [{x, name, text}],
 *  plot: {left, right, top, bottom}, summary}
 */
export function layout(points, options, width, height, nowMs) {
  const { series, label, format = (value) => words.short(value) } = options;
  const usable = points.slice(-chartLimits.points)
    .filter((point) => point && isNumber(point.t) && Array.isArray(point.v) && point.t <= nowMs);
  const spanMs = chooseSpan(usable, options.spanMs || 600000, nowMs);
  const kept = usable.filter((point) => point.t > nowMs - spanMs);
  let top = 0;
  for (const point of kept)
    for (const value of point.v) if (isNumber(value) && value > top) top = value;
  const values = niceTicks(top, height < 140 ? 2 : 4);
  const texts = values.map((value) => format(value));
  const widest = Math.max(...texts.map((text) => text.length));
  const plot = { left: 10 + 7 * widest, right: Math.max(width - 8, 60), top: 26, bottom: height - 22 };
  const most = values[values.length - 1];
  const x = (t) => plot.right - ((nowMs - t) / spanMs) * (plot.right - plot.left);
  const y = (value) => plot.bottom - (value / most) * (plot.bottom - plot.top);
  const parts = width < NARROW || spanMs <= 120000 ? 2 : 5;
  const times = [];
  for (let i = 0; i <= parts; i++) {
    const ago = (spanMs * (parts - i)) / parts;
    times.push({ x: x(nowMs - ago), text: ago ? `−${words.duration(ago / 1000)}` : "now",
                 anchor: i === 0 ? "start" : i === parts ? "end" : "middle" });
  }
  const legend = [], said = [];
  let at = plot.left;
  series.slice(0, chartLimits.series).forEach((one, i) => {
    const numbers = kept.map((point) => point.v[i]).filter(isNumber);
    const latest = kept.length && isNumber(kept[kept.length - 1].v[i]) ? kept[kept.length - 1].v[i] : null;
    const text = latest === null ? "–" : format(latest);
    legend.push({ x: at, name: one.name, text });
    at += 40 + 7 * (one.name.length + text.length);
    said.push(numbers.length
      ? `${one.name}: now ${text}, least ${format(Math.min(...numbers))}, most ${format(Math.max(...numbers))}`
      : `${one.name}: nothing yet`);
  });
  return {
    plot,
    ticks: values.map((value, i) => ({ y: y(value), text: texts[i] })),
    times,
    paths: legend.map((_, i) => linePath(kept, i, x, y)),
    legend,
    summary: `${label}, the last ${words.duration(spanMs / 1000)}. ${said.join(". ")}.`,
  };
}

function place(parent, name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const key of Object.keys(attributes)) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

export class LineChart {
  #svg;
  #options;
  #groups;
  #summary = "";
  #spokenAt = 0;

  /**
   * `svg`: an empty <svg> whose size is CSS's. Options: label (what is drawn, for the text
   * alternative); unit (stands behind the numbers where there is no format); series:
   * [{name, class}]; format: (value) => string; spanMs: how far back at most (10 minutes).
   */
  constructor(svg, options) {
    const unit = options.unit ? ` ${options.unit}` : "";
    this.#svg = svg;
    this.#options = { format: (value) => words.short(value) + unit, ...options };
    svg.setAttribute("role", "img");
    svg.classList.add("chart");
    this.#groups = ["grid", "axis", "lines", "legend"].map((name) => place(svg, "g", { class: name }));
  }

  /** `points` as layout() has them. */
  draw(points, nowMs = Date.now()) {
    const width = this.#svg.clientWidth, height = this.#svg.clientHeight;
    if (!width || !height) return; // not shown
    const drawn = layout(points, this.#options, width, height, nowMs);
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#put(drawn);
    // A screen reader is not told four times a second.
    if (!this.#summary || nowMs - this.#spokenAt > 10000 || nowMs < this.#spokenAt) {
      this.#summary = drawn.summary;
      this.#spokenAt = nowMs;
      this.#svg.setAttribute("aria-label", drawn.summary);
    }
  }

  #put({ plot, ticks, times, paths, legend }) {
    const [grid, axis, lines, key] = this.#groups;
    for (const group of this.#groups) group.replaceChildren();
    for (const { y, text } of ticks) {
      place(grid, "line", { x1: plot.left, x2: plot.right, y1: y.toFixed(1), y2: y.toFixed(1) });
      place(axis, "text", { x: plot.left - 6, y: (y + 4).toFixed(1), "text-anchor": "end" }, text);
    }
    for (const { x, text, anchor } of times)
      place(axis, "text", { x: x.toFixed(1), y: plot.bottom + 17, "text-anchor": anchor }, text);
    paths.forEach((d, i) => d && place(lines, "path", { d, class: this.#options.series[i].class || "" }));
    legend.forEach(({ x, name, text }, i) => {
      const style = this.#options.series[i].class || "";
      place(key, "path", { d: `M${x} 12h18`, class: style });
      place(key, "text", { x: x + 24, y: 16 }, `${name} ${text}`);
    });
  }
}
