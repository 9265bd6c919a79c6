// Where a chart puts things: ticks, holes, the span, what is said to those who cannot see it.
import assert from "node:assert/strict";
import { test } from "node:test";
import { chartLimits, layout, linePath, niceTicks } from "../../src/page/chart.js";

test("ticks are round, few, and reach over the top", () => {
  assert.deepEqual(niceTicks(0), [0, 1]);
  assert.deepEqual(niceTicks(NaN), [0, 1]);
  assert.deepEqual(niceTicks(100), [0, 50, 100]);
  assert.deepEqual(niceTicks(0.0003), [0, 0.0001, 0.0002, 0.0003]);
  for (let top = 1e-7; top < 1e9; top *= 1.37) {
    const ticks = niceTicks(top);
    assert.ok(ticks.length >= 2 && ticks.length <= 5, `${top}: ${ticks}`);
    assert.ok(ticks[ticks.length - 1] >= top * 0.999999 && ticks[ticks.length - 2] < top, `${top}: ${ticks}`);
    for (const tick of ticks) assert.ok(String(tick).length < 12, `${tick}`);
  }
});

const same = (value) => value;

test("a hole in the values is a hole in the line", () => {
  const points = [1, 2, null, 4, 5].map((value, i) => ({ t: i, v: [value] }));
  assert.equal(linePath(points, 0, same, same), "M0.0 1.0L1.0 2.0M3.0 4.0L4.0 5.0");
});

test("a value between two holes is a dot", () => {
  const points = [null, 2, NaN, 4].map((value, i) => ({ t: i, v: [value] }));
  assert.equal(linePath(points, 0, same, same), "M1.0 2.0h0.01M3.0 4.0h0.01");
  assert.equal(linePath([], 0, same, same), "");
});

const NOW = 1.7e12;
const options = { label: "Events a second", series: [{ name: "events/s" }, { name: "other" }] };

test("the axis goes back as far as there is something", () => {
  const span = (agoMs, more = {}) => {
    const points = [{ t: NOW - agoMs, v: [5, 1] }, { t: NOW - 1000, v: [7, null] }];
    return layout(points, { ...options, ...more }, 800, 200, NOW).times[0].text;
  };
  assert.equal(span(30000), "−1 min");
  assert.equal(span(61000), "−2 min");
  assert.equal(span(9 * 60000), "−10 min");
  assert.equal(span(30 * 60000), "−10 min");
  assert.equal(span(30 * 60000, { spanMs: 3600000 }), "−30 min");
});

test("everything lies within the plot", () => {
  const points = [];
  for (let i = 0; i < 600; i++) points.push({ t: NOW - (600 - i) * 1000, v: [i % 97, i % 13] });
  for (const width of [250, 330, 800, 1600]) {
    const { plot, ticks, times, paths } = layout(points, options, width, 190, NOW);
    for (const { y } of ticks) assert.ok(y >= plot.top - 0.1 && y <= plot.bottom + 0.1);
    for (const { x } of times) assert.ok(x >= plot.left - 0.1 && x <= plot.right + 0.1);
    for (const path of paths)
      for (const [, x, y] of path.matchAll(/[ML]([-\d.]+) ([-\d.]+)/g))
        assert.ok(x >= plot.left - 0.1 && x <= plot.right + 0.1 && y >= plot.top - 0.1 && y <= plot.bottom + 0.1, `${x} ${y}`);
  }
});

test("it is said in words, with what is not known left out", () => {
  const points = [{ t: NOW - 2000, v: [5, null] }, { t: NOW - 1000, v: [1500, null] }];
  const { summary, legend } = layout(points, options, 800, 200, NOW);
  assert.equal(summary, "Events a second, the last 1 min. events/s: now 1.5k, least 5, most 1.5k. other: nothing yet.");
  assert.deepEqual(legend.map(({ name, text }) => [name, text]), [["events/s", "1.5k"], ["other", "–"]]);
});

test("whatever comes, it draws something and no more than its bounds", () => {
  const strange = [null, undefined, {}, { t: "7", v: [1, 2] }, { t: NOW - 1, v: null }, { t: NOW + 1e9, v: [1, 2] },
                   { t: NOW - 5, v: ["7", {}] }, { t: NOW - 4, v: [] }, { t: NOW - 3, v: [NaN, -Infinity] }];
  const drawn = layout(strange, options, 300, 100, NOW);
  assert.deepEqual(drawn.paths, ["", ""]);
  assert.ok(!JSON.stringify(drawn).includes("NaN"));
  const many = [];
  for (let i = 0; i < chartLimits.points + 500; i++) many.push({ t: NOW - 1000 - i / 1e3, v: [i, i] });
  const [path] = layout(many, options, 800, 200, NOW).paths;
  assert.equal(path.match(/[ML]/g).length, chartLimits.points);
  const series = Array.from({ length: chartLimits.series + 1 }, (_, i) => ({ name: `s${i}` }));
  assert.equal(layout([], { label: "x", series }, 800, 200, NOW).paths.length, chartLimits.series);
});
