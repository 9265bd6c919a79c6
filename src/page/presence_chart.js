// Presence and coming and going over the last half hour, as pictures: presence as areas, known below and
// randomised on top; arrivals as bars upwards, departures downwards. Minutes whose counts are uncertain
// are hatched. One look says it, a sentence says the same (aria-label), and the figures stand in the
// view's own text. presenceLayout() is pure and tested.
import { niceTicks } from "./chart.js";
import { clock, count, counted } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const SPANS = [5, 10, 20, 30]; // minutes: no longer back than there is something
const SPOKEN_MS = 10000; // a screen reader is not told four times a second

/**
 * Where everything goes, in the pixels of `width` and `height`. `points`: Presence's series; `scope`: of
 * whom, in words.
 * {areas: {known, randomized: path}, bars: [{x, width, up: {y, height}, down}], hatched: [{x, width}],
 *  ticks: [{y, text}], times: [{x, text, anchor}], middle, plot, lower, summary}
 */
export function presenceLayout(points, width, height, scope = "everywhere") {
  const upper = { top: 10, bottom: Math.round(height * 0.58) };
  const lower = { top: upper.bottom + 16, bottom: height - 20 };
  const now = points.length ? points[points.length - 1].t : 0;
  const span = SPANS.find((minutes) => points.length <= minutes) || SPANS[SPANS.length - 1];
  const begin = now - span * 60000;
  const top = Math.max(1, ...points.map((point) => point.known + point.randomized));
  const turn = Math.max(1, ...points.map((point) => Math.max(point.arrivals, point.departures)));
  const values = niceTicks(Math.max(top, 4), 4).filter(Number.isInteger), most = Math.max(...values, top);
  const left = 12 + 7 * Math.max(count(most).length, count(turn).length), right = Math.max(width - 8, left + 60);
  const x = (t) => left + ((Math.max(t, begin) - begin) / Math.max(now - begin, 1)) * (right - left);
  const y = (value) => upper.bottom - (value / most) * (upper.bottom - upper.top);
  const middle = (lower.top + lower.bottom) / 2, unit = (lower.bottom - lower.top) / 2 / turn;
  const ticks = values.map((value) => ({ y: y(value), text: count(value) }));
  ticks.push({ y: lower.top + 4, text: count(turn) }, { y: lower.bottom - 4, text: count(turn) });
  const shown = points.filter((point) => point.t > begin);
  return {
    plot: { left, right, ...upper }, lower, middle, ticks,
    times: [span, span / 2, 0].filter(Number.isInteger).map((ago) => ({ x: x(now - ago * 60000), text: ago ? `−${ago} min` : "now",
                                               anchor: ago === span ? "start" : ago ? "middle" : "end" })),
    areas: { known: area(shown, x, (point) => y(0), (point) => y(point.known)),
             randomized: area(shown, x, (point) => y(point.known), (point) => y(point.known + point.randomized)) },
    edge: line(shown, x, (point) => y(point.known)),
    bars: shown.map((point) => {
      const at = x(point.from), wide = Math.max(x(point.t) - at, 1);
      return { x: at + wide * 0.15, width: wide * 0.7,
               up: { y: middle - point.arrivals * unit, height: point.arrivals * unit },
               down: { y: middle, height: point.departures * unit } };
    }),
    hatched: stretches(shown).map(({ from, to }) => ({ x: x(from), width: Math.max(x(to) - x(from), 2) })),
    summary: summary(shown, scope),
  };
}

function line(points, x, edge) {
  return points.map((point, i) => `${i ? "L" : "M"}${x(point.t).toFixed(1)} ${edge(point).toFixed(1)}`).join("");
}

function area(points, x, low, high) {
  if (points.length === 0) return "";
  // One point alone is as wide as its minute so far.
  const first = points.length === 1 ? [{ ...points[0], t: points[0].from }] : [];
  const all = [...first, ...points];
  const back = [...all].reverse().map((point) => `L${x(point.t).toFixed(1)} ${low(point).toFixed(1)}`).join("");
  return `${line(all, x, high)}${back}Z`;
}

function stretches(points) {
  const found = [];
  for (const { from, t, uncertain } of points) {
    if (!uncertain) continue;
    const last = found[found.length - 1];
    if (last && last.to >= from) last.to = t;
    else found.push({ from, to: t });
  }
  return found;
}

function summary(points, scope) {
  if (points.length === 0) return `Presence, ${scope}: nothing is known yet.`;
  const last = points[points.length - 1], all = points.map((point) => point.known);
  const sum = (key) => count(points.reduce((total, point) => total + point[key], 0));
  return `Presence, ${scope}, since ${clock(points[0].from)}: now ${counted(last.known, "known client")} and `
    + `${counted(last.randomized, "randomised address", "randomised addresses")}; of known clients at least ${count(Math.min(...all))}, `
    + `at most ${count(Math.max(...all))}; ${sum("arrivals")} came and ${sum("departures")} left`
    + `${points.some((point) => point.uncertain) ? "; parts are uncertain" : ""}.`;
}

function make(parent, name, attributes, text) {
  const node = document.createElementNS(SVG, name);
  for (const key of Object.keys(attributes)) node.setAttribute(key, attributes[key]);
  if (text !== undefined) node.textContent = text;
  parent.append(node);
  return node;
}

export class PresenceChart {
  #svg;
  #defs;
  #group;
  #drawn = "";
  #scope = "";
  #spokenAt = -Infinity;

  /** `svg`: an empty <svg> whose size is CSS's. */
  constructor(svg) {
    this.#svg = svg;
    svg.setAttribute("role", "img");
    svg.classList.add("presence-chart");
    this.#defs = make(svg, "defs", {});
    const hatch = make(this.#defs, "pattern", { id: "presence-hatch", width: 6, height: 6,
                                                patternUnits: "userSpaceOnUse", patternTransform: "rotate(45)" });
    make(hatch, "rect", { class: "hatch", width: 1.5, height: 6 });
    this.#group = make(svg, "g", {});
  }

  draw(points, scope) {
    const width = this.#svg.clientWidth, height = this.#svg.clientHeight;
    if (!width || !height) return;
    const last = points[points.length - 1];
    const key = JSON.stringify([width, height, scope, last && Math.floor(last.t / 1000), last, points.length]);
    if (key === this.#drawn) return;
    this.#drawn = key;
    const drawn = presenceLayout(points, width, height, scope);
    this.#svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
    this.#put(drawn);
    if (last && scope === this.#scope && Math.abs(last.t - this.#spokenAt) < SPOKEN_MS) return;
    this.#scope = scope;
    this.#spokenAt = last ? last.t : -Infinity;
    this.#svg.setAttribute("aria-label", drawn.summary);
  }

  #put({ plot, lower, middle, ticks, times, areas, edge, bars, hatched }) {
    const group = this.#group;
    group.replaceChildren();
    for (const { y, text } of ticks) {
      make(group, "line", { class: "grid", x1: plot.left, x2: plot.right, y1: y, y2: y });
      make(group, "text", { x: plot.left - 6, y: y + 4, "text-anchor": "end" }, text);
    }
    if (areas.known) {
      make(group, "path", { class: "known", d: areas.known });
      make(group, "path", { class: "randomized", d: areas.randomized });
      make(group, "path", { class: "edge", d: edge });
    }
    for (const { x, width } of hatched)
      make(group, "rect", { fill: "url(#presence-hatch)", x, y: plot.top, width, height: lower.bottom - plot.top });
    for (const { x, width, up, down } of bars) {
      if (up.height) make(group, "rect", { class: "arrivals", x, width, ...up });
      if (down.height) make(group, "rect", { class: "departures", x, width, ...down });
    }
    make(group, "line", { class: "axis", x1: plot.left, x2: plot.right, y1: middle, y2: middle });
    for (const { x, text, anchor } of times)
      make(group, "text", { x, y: lower.bottom + 15, "text-anchor": anchor }, text);
  }
}
