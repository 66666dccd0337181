
"use strict";
const board = JSON.parse(document.getElementById("board").textContent);
const PUBLISHED = "published";
const SVG = "http://www.w3.org/2000/svg";
// What is shown of a run is listed once, in scoring/columns.py; names, meanings and order come with the data.
const METRICS = Object.fromEntries(board.metrics.map((one) => [one.id, one]));
const COSTS = Object.fromEntries(board.costs.map((one) => [one.id, one]));
const RANKING = METRICS[board.ranking], UNCHANGED = board.unchanged;
const HEADLINES = [RANKING, ...board.metrics.filter((one) => one.group === "headline" && one !== RANKING)];
const SCORES = board.metrics.filter((one) => one.group !== "headline" && one.table);
const costsOf = (group, where) => board.costs.filter((one) => one.group === group && one[where]);
const TRACKS = {
  "standard": "Standard budget",
  "open-budget": "Open budget (more training than the protocol allows; ranked apart)",
};
const STATUS = {
  "rerun": "Run again here: the answers agree.",
  "rescored": "Its scores were computed again from its stored predictions.",
  "self-reported": "Its scores are those that its authors reported; they could not be computed here.",
};
const RANKS = "The ranks that the data leave open: simultaneous 95 % intervals of the differences to all other "
  + "entries, by a bootstrap over test samples and seeds. Equal ranges are ties.";

// ---- helpers: all text goes through text nodes, nothing is ever parsed as markup

function el(tag, attributes = {}, ...children) {
  const node = document.createElement(tag);
  return fill(node, attributes, children);
}
function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}
function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : String(value));
  }
  node.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== ""));
  return node;
}
const minus = (text) => text.replace("-", "−");
const shown = (value, digits = 1) =>
  value === null || value === undefined ? "–" : minus((Number(value.toFixed(digits)) + 0).toFixed(digits));
const signed = (value) => (value > 0 && shown(value) !== "0.0" ? "+" : "") + shown(value);
function short(value, unit = "") {
  if (value === null || value === undefined) return "–";
  for (const [size, letter] of [[1e9, "G"], [1e6, "M"], [1e3, "k"]]) {
    if (Math.abs(value) >= size) return `${(value / size).toPrecision(3)} ${letter}${unit}`;
  }
  return (value >= 100 || Number.isInteger(value) ? value.toFixed(0) : value.toFixed(1)) + (unit && ` ${unit}`);
}
const costShown = (entry, id) => short(entry.cost[id], COSTS[id].unit === "B" ? "B" : "");
const name = (entry) => entry.title + (entry.label ? ` (${entry.label})` : "");
const key = (entry) => `${entry.entry}.${entry.track}.${entry.status}`;
const mean = (entry, metric, part = "metrics") => (entry[part][metric] ? entry[part][metric][0] : null);
const badge = (status) =>
  el("span", { class: `badge ${["rescored", "rerun"].includes(status) ? status : "doubt"}`, title: STATUS[status] }, status);

// ---- state

const state = { view: "", open: "", sort: "rank", down: false, words: "", unranked: true, status: "", groups: null,
  x: board.costs[0].id, y: RANKING.id };

function readHash() {
  const [view, open] = location.hash.slice(1).split("/").map(decodeURIComponent);
  const known = [...board.protocols.map((one) => one.name), PUBLISHED];
  state.view = known.includes(view) ? view : known.find((name) => name.includes("mtil")) ?? known[0];
  state.open = open || "";
}

// ---- the table of a protocol

function columns(protocol) {
  const cost = (group) => costsOf(group, "table").map(({ id, short: label, meaning }) => ({
    id, label, title: meaning, value: (e) => e.cost[id], cell: (e) => costShown(e, id),
  }));
  const score = ({ id, label, meaning, better }, part) => ({
    id: part === "metrics" ? id : `agnostic_${id}`, label, title: meaning, up: better === "less",
    value: (e) => mean(e, id, part), cell: (e) => scoreCell(e, id, part),
  });
  const all = [
    { group: "", always: true, columns: [
      { id: "rank", label: "Ranks", title: RANKS, up: true, value: (e) => e.rank ?? 1e6 + e.place, cell: rankCell },
      { id: "name", label: "Entry", up: true, words: true, value: name, cell: nameCell },
      { id: "n", label: "n", title: "Number of seeds.", value: (e) => e.n, cell: (e) => String(e.n) },
    ] },
    { group: board.groups.headline, always: true, columns: [
      ...HEADLINES.map((one) => score(one, "metrics")),
      { id: "whisk", label: `${RANKING.label}, 95 %`, value: (e) => mean(e, RANKING.id), cell: (e, range) => whisker(e, range), kind: "whisk" },
    ] },
    { group: "Task-agnostic", columns: HEADLINES.map((one) => score(one, "agnostic")) },
    { group: board.groups.score, columns: [
      ...SCORES.map((one) => score(one, "metrics")),
      { id: "delta", label: `Δ ${RANKING.label} to l2`, value: (e) => e.delta[RANKING.id],
        cell: (e) => (e.delta[RANKING.id] === null ? "–" : signed(e.delta[RANKING.id])) },
      { id: UNCHANGED.id, label: UNCHANGED.label, title: UNCHANGED.meaning, value: (e) => (e.unchanged ? e.unchanged[0] : null),
        cell: (e) => (e.unchanged ? `${e.unchanged[0]} of ${e.unchanged[1]}` : "–") },
    ] },
    ...["captions", "classes"].map((group) => ({ group: board.groups[group],
      columns: protocol.figures.filter((one) => one.group === group).map(({ id, label, meaning }) => (
        { id: `figure ${id}`, label, title: meaning, value: (e) => e.figures[id] ?? null, cell: (e) => shown(e.figures[id]) })) })),
    { group: board.groups.cost, columns: cost("cost") },
    { group: board.groups.samples, columns: cost("samples") },
    { group: "Origin", columns: [
      { id: "status", label: "Status", words: true, up: true, value: (e) => e.status, cell: (e) => badge(e.status) },
      { id: "track", label: "Track", words: true, up: true, value: (e) => e.track, cell: (e) => e.track },
      { id: "backbone", label: "Backbone", words: true, up: true, value: (e) => e.backbone, cell: (e) => e.backbone },
    ] },
  ];
  const agnostic = protocol.entries.some((e) => e.agnostic[RANKING.id]);
  return all.filter((one) => one.columns.length && (one.group !== "Task-agnostic" || agnostic));
}

function rankCell(entry) {
  if (entry.rank === null) return el("span", { title: entry.unranked }, "–", el("small", {}, "unranked"));
  const wide = entry.range && entry.range[0] !== entry.range[1];
  return [el("b", {}, entry.ranks), wide ? el("small", {}, `by mean ${entry.rank}`) : ""];
}
function nameCell(entry) {
  return [
    el("button", { type: "button", class: "open", "data-entry": key(entry), onclick: () => openEntry(entry) }, entry.title),
    badge(entry.status),
    entry.label ? el("small", {}, entry.label) : "",
    entry.earlier ? el("small", {}, "of an earlier source") : "",
    entry.rank === null ? el("small", {}, entry.unranked) : "",
  ];
}
function scoreCell(entry, id, part) {
  const found = entry[part][id];
  if (!found) return "–";
  const bounds = part === "metrics" ? entry.intervals[id] : null;
  const extra = bounds ? `${shown(bounds[0])} to ${shown(bounds[1])}` : found[1] === null ? "" : `± ${shown(found[1])}`;
  const why = bounds ? "95 % interval" + (entry.n === 1 && !entry.deterministic ? " over test samples only: one seed" : "")
    : "standard deviation over seeds";
  return [shown(found[0]), extra ? el("small", { title: why }, extra) : ""];
}
function whisker(entry, [low, high]) {
  const at = (x) => 4 + (112 * (x - low)) / (high - low || 1);
  const value = mean(entry, RANKING.id), bounds = entry.intervals[RANKING.id];
  if (value === null) return "–";
  return svg("svg", { width: 120, height: 16, viewBox: "0 0 120 16", role: "img",
    "aria-label": bounds ? `${shown(value)}, 95 % interval ${shown(bounds[0])} to ${shown(bounds[1])}` : shown(value) },
    svg("line", { class: "axis", x1: 4, x2: 116, y1: 8, y2: 8 }),
    bounds ? svg("path", { class: "whisker", fill: "none",
      d: `M${at(bounds[0])} 4V12M${at(bounds[0])} 8H${at(bounds[1])}M${at(bounds[1])} 4V12` }) : "",
    svg("circle", { class: entry.rank === null ? "hollow" : "dot", cx: at(value), cy: 8, r: 3.5 }));
}

function visible(protocol) {
  const words = state.words.toLowerCase().split(/\s+/).filter(Boolean);
  return protocol.entries.filter((entry) => {
    const text = [name(entry), entry.method, entry.backbone, entry.track, entry.status].join(" ").toLowerCase();
    return words.every((word) => text.includes(word)) && (state.unranked || entry.rank !== null)
      && (!state.status || entry.status === state.status);
  });
}

function sorted(entries, column) {
  const sign = state.down ? -1 : 1;
  return [...entries].sort((one, two) => {
    const [a, b] = [column.value(one), column.value(two)];
    if (a === null || b === null) return (a === null) - (b === null) || one.place - two.place; // unknown: always last
    return sign * (typeof a === "string" ? a.localeCompare(b, "en") : a - b) || one.place - two.place;
  });
}

function protocolView(protocol) {
  const groups = columns(protocol);
  if (!state.groups) {
    const width = document.documentElement.clientWidth;
    state.groups = new Set(width < 900 ? [] : width < 1500 ? ["Task-agnostic"] : ["Task-agnostic", board.groups.cost]);
  }
  const tables = el("div", { id: "tables" }), chart = el("div", {});
  const redraw = () => {
    tables.replaceChildren(...boardTables(protocol, columns(protocol), redraw));
    chart.replaceChildren(scatter(protocol, visible(protocol)));
  };
  const statuses = [...new Set(protocol.entries.map((e) => e.status))];
  const toggles = groups.filter((one) => !one.always).map((one) => el("button", { type: "button",
    "aria-pressed": String(state.groups.has(one.group)), onclick: (event) => {
      if (!state.groups.delete(one.group)) state.groups.add(one.group);
      event.currentTarget.setAttribute("aria-pressed", String(state.groups.has(one.group)));
      redraw();
    } }, one.group));
  const controls = el("div", { class: "controls" },
    el("label", {}, "Filter", el("input", { type: "search", id: "filter", value: state.words, autocomplete: "off",
      placeholder: "name, setting, status", oninput: (event) => { state.words = event.target.value; redraw(); } })),
    el("label", {}, el("input", { type: "checkbox", id: "unranked", checked: state.unranked,
      onchange: (event) => { state.unranked = event.target.checked; redraw(); } }), "unranked, too"),
    statuses.length > 1 ? el("label", {}, "Status", choice("status", { "": "all", ...same(statuses) }, state.status,
      (value) => { state.status = value; redraw(); })) : "",
    el("div", { role: "group", "aria-label": "Columns" }, "Columns", toggles));
  redraw();
  return [
    el("h2", {}, protocol.title),
    el("p", { class: "quiet" }, `${protocol.tasks.length} tasks, ${protocol.samples.reduce((a, b) => a + b, 0)} test `
      + "samples. Percent; mean over seeds with its 95 % interval (bootstrap over test samples and seeds). "
      + "Ranked by Avg from three seeds on, one for deterministic entries. Equal ranges of ranks are ties. "
      + "Open an entry for its matrix and curves."),
    controls, tables, el("h3", {}, "Accuracy against cost"), chart,
    el("p", { class: "quiet" }, UNCHANGED.meaning),
  ];
}
const same = (values) => Object.fromEntries(values.map((value) => [value, value]));

function choice(id, options, value, change) {
  return el("select", { id, onchange: (event) => change(event.target.value) },
    Object.entries(options).map(([key, label]) => el("option", { value: key, selected: key === value }, label)));
}

function boardTables(protocol, groups, redraw) {
  const used = groups.filter((one) => one.always || state.groups.has(one.group));
  const cols = used.flatMap((one) => one.columns.map((column, i) => ({ ...column, starts: i === 0 && one.group })));
  const column = cols.find((one) => one.id === state.sort) || cols[0];
  const rows = visible(protocol);
  const bounds = rows.flatMap((e) => e.intervals[RANKING.id] || (mean(e, RANKING.id) === null ? [] : [mean(e, RANKING.id)]));
  const range = [Math.min(...bounds), Math.max(...bounds)];
  const found = Object.keys(TRACKS).map((track) => [track, rows.filter((e) => e.track === track)]).filter(([, r]) => r.length);
  if (!found.length) return [el("p", { role: "status" }, protocol.entries.length ? "No entry fits the filter." : "No entries yet.")];
  return found.map(([track, entries]) => el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": TRACKS[track] },
    el("table", { class: "board" }, el("caption", {}, `${TRACKS[track]}: ${entries.length} ${entries.length === 1 ? "entry" : "entries"}`),
      el("thead", {},
        el("tr", { class: "groups" }, used.map((one) => el("th", { colspan: one.columns.length, scope: "colgroup",
          class: one.group ? "starts" : null }, one.group))),
        el("tr", {}, cols.map((one) => headCell(one, column, redraw)))),
      el("tbody", {}, sorted(entries, column).map((entry) => el("tr", {}, cols.map((one) => el(one.id === "name" ? "th" : "td",
        { class: [one.words ? "words" : "", one.starts ? "starts" : "", one.kind || ""].join(" ").trim() || null,
          scope: one.id === "name" ? "row" : null }, one.cell(entry, range)))))))));
}

function headCell(one, sortedBy, redraw) {
  const active = one.id === sortedBy.id;
  return el("th", { scope: "col", class: [one.words ? "words" : "", one.starts ? "starts" : "", one.kind || ""].join(" ").trim() || null,
    "aria-sort": active ? (state.down ? "descending" : "ascending") : null },
  el("button", { type: "button", "data-sort": one.id, title: one.title || null, onclick: () => {
    state.down = active ? !state.down : !one.up;
    state.sort = one.id;
    redraw();
    document.querySelector(`[data-sort="${CSS.escape(one.id)}"]`).focus();
  } }, one.label));
}

// ---- accuracy against cost

function scatter(protocol, entries) {
  const ys = Object.fromEntries([...HEADLINES.map(({ id, label }) => [id, label]), ["agnostic", `${RANKING.label}, task-agnostic`]]);
  const xs = Object.fromEntries([...costsOf("cost", "table"), ...costsOf("samples", "table")].map((one) => [one.id, one.short]));
  const y = (e) => (state.y === "agnostic" ? mean(e, RANKING.id, "agnostic") : mean(e, state.y));
  const points = entries.filter((e) => y(e) !== null && e.cost[state.x] !== null);
  const holder = el("div", { class: "chart" });
  const again = () => holder.replaceWith(scatter(protocol, entries));
  holder.append(el("div", { class: "controls" },
    el("label", {}, "Accuracy", choice("scatter-y", ys, state.y, (value) => { state.y = value; again(); })),
    el("label", {}, "Cost", choice("scatter-x", xs, state.x, (value) => { state.x = value; again(); }))));
  if (!points.length) {
    holder.append(el("p", {}, "Nothing to draw."));
    return holder;
  }
  const narrow = document.documentElement.clientWidth < 640;
  const W = Math.max(300, Math.min(document.documentElement.clientWidth - 70, 1150)), H = narrow ? 340 : 430, L = 42, R = narrow ? 14 : 60, T = 12, B = 40;
  // Cost on a logarithmic scale; what costs nothing stands in a lane of its own at the left.
  const costs = points.map((e) => e.cost[state.x]), positive = costs.filter((c) => c > 0);
  const zero = positive.length < costs.length ? 46 : 0;
  const from = positive.length ? Math.log10(Math.min(...positive)) - 0.08 : 0;
  const to = positive.length ? Math.max(Math.log10(Math.max(...positive)) + 0.08, from + 0.2) : 1;
  const X = (c) => (c > 0 ? L + zero + ((W - L - R - zero) * (Math.log10(c) - from)) / (to - from) : L + 22);
  const values = points.flatMap((e) => [y(e), ...(e.intervals[state.y] || [])]);
  const low = Math.floor(Math.min(...values) / 5) * 5, high = Math.max(Math.ceil(Math.max(...values) / 5) * 5, low + 5);
  const Y = (v) => H - B - ((H - T - B) * (v - low)) / (high - low);
  const step = high - low > 30 ? 10 : high - low > 6 ? 5 : 1;
  const axes = [];
  for (let v = low; v <= high; v += step) {
    axes.push(svg("line", { class: "axis", x1: L, x2: W - R, y1: Y(v), y2: Y(v) }),
      svg("text", { class: "quiet", x: L - 6, y: Y(v) + 4, "text-anchor": "end" }, String(v)));
  }
  const tick = (x, text) => axes.push(svg("line", { class: "axis", x1: x, x2: x, y1: T, y2: H - B }),
    svg("text", { class: "quiet", x, y: H - B + 16, "text-anchor": "middle" }, text));
  if (zero) tick(X(0), "0");
  let last = -99;
  for (const power of positive.length ? [...Array(12).keys()] : []) {
    for (const digit of to - from < 0.8 ? [1, 2, 3, 4, 5, 6, 8] : to - from < 1.6 ? [1, 2, 5] : [1]) {
      const c = digit * 10 ** power, place = Math.log10(c);
      if (place >= from && place <= to && X(c) - last > 34) { last = X(c); tick(X(c), short(c)); }
    }
  }
  axes.push(svg("text", { class: "quiet", x: (L + W - R) / 2, y: H - 6, "text-anchor": "middle" },
    `${xs[state.x]}${positive.length ? " (logarithmic)" : ""}`));
  const placed = [], marks = [], numbered = narrow || points.length > 14;
  for (const entry of [...points].sort((a, b) => y(b) - y(a))) {
    const x = X(entry.cost[state.x]), at = Y(y(entry)), bounds = entry.intervals[state.y];
    const text = numbered ? String(entry.rank ?? "–") : name(entry);
    const width = text.length * (narrow ? 6.6 : 7.6) + 4, left = x + 9 + width > W;
    let ty = at + 4;
    const box = () => [left ? x - 9 - width : x + 9, ty - 11, left ? x - 9 : x + 9 + width, ty + 2];
    const hits = () => placed.some((p) => p[0] < box()[2] && p[2] > box()[0] && p[1] < box()[3] && p[3] > box()[1]);
    for (let tries = 1; hits() && tries < 24; tries += 1) ty = at + 4 + (tries % 2 ? 1 : -1) * Math.ceil(tries / 2) * 7;
    placed.push(box(), [x - 5, at - 5, x + 5, at + 5]);
    marks.push(svg("a", { href: `#${encodeURIComponent(protocol.name)}/${encodeURIComponent(key(entry))}`,
      "aria-label": `${name(entry)}: ${shown(y(entry))} at ${costShown(entry, state.x)}` },
      svg("title", {}, `${name(entry)}: ${shown(y(entry))} % at ${costShown(entry, state.x)}`),
      bounds ? svg("line", { class: "whisker", x1: x, x2: x, y1: Y(bounds[0]), y2: Y(bounds[1]) }) : "",
      Math.abs(ty - at - 4) > 6 ? svg("line", { class: "axis", x1: x, y1: at, x2: left ? x - 8 : x + 8, y2: ty - 4 }) : "",
      entry.rank === null ? svg("rect", { class: "hollow", x: x - 4, y: at - 4, width: 8, height: 8 })
        : svg("circle", { class: "dot", cx: x, cy: at, r: 5 }),
      svg("text", { x: left ? x - 9 : x + 9, y: ty, "text-anchor": left ? "end" : "start" }, text)));
  }
  holder.append(svg("svg", { viewBox: `0 0 ${W} ${H}`, width: W, class: narrow ? null : "large", role: "group", "aria-label": "Accuracy against cost" }, axes, marks),
    el("p", { class: "quiet" }, `Up and left is better. Discs are ranked, squares are not; bars are 95 % intervals.`
      + (numbered ? " The numbers are ranks by mean Avg; point at one for its name." : "")));
  return holder;
}

// ---- an entry

function openEntry(entry) {
  location.hash = `${encodeURIComponent(state.view)}/${encodeURIComponent(key(entry))}`;
}

function showEntry(protocol, entry) {
  const dialog = document.getElementById("entry");
  const tile = (label, value, extra = "", title = null) => el("div", { class: "tile", title },
    el("span", {}, label), el("b", {}, value), extra ? el("span", {}, extra) : "");
  const headline = ({ id, label, meaning }) => {
    const bounds = entry.intervals[id], found = entry.metrics[id];
    return tile(label, found ? shown(found[0]) : "–", bounds ? `95 %: ${shown(bounds[0])} to ${shown(bounds[1])}`
      : found && found[1] !== null ? `± ${shown(found[1])}` : "", meaning);
  };
  const parts = [
    el("div", { class: "top" },
      el("h2", { id: "entry-title" }, entry.title, badge(entry.status), el("small", {}, entry.label || "default settings")),
      el("button", { type: "button", id: "close", onclick: () => dialog.close() }, "Close")),
    el("p", { class: "quiet" }, `${protocol.title} (${protocol.name}); ${TRACKS[entry.track]}; ${entry.backbone}; `
      + `${entry.n} ${entry.n === 1 ? "seed" : "seeds"}${entry.deterministic ? ", deterministic" : ""}. `
      + (entry.rank === null ? `Unranked: ${entry.unranked}. ` : "")
      + (entry.earlier ? "Made by an earlier source of the method than the one that is here." : "")),
    el("div", { class: "tiles" },
      entry.rank === null ? "" : tile("Ranks", entry.ranks, `by mean ${entry.rank}`, RANKS),
      board.metrics.map(headline),
      entry.unchanged ? tile(UNCHANGED.short, `${entry.unchanged[0]} of ${entry.unchanged[1]}`, "cells before their task",
        UNCHANGED.meaning) : ""),
    ...matrixPart(protocol, entry),
    el("h3", {}, "Seed by seed"),
    table(["Seed", ...board.metrics.map((one) => one.label), "Seconds", "Record"], entry.runs.map((run) => [
      String(run.seed), ...board.metrics.map(({ id }) => shown(run.metrics[id])), short(run.seconds),
      el("span", { class: "path" }, run.source)]), [0, board.metrics.length + 2]),
    entry.agnostic[RANKING.id] ? el("h3", {}, "Task-aware and task-agnostic") : "",
    entry.agnostic[RANKING.id] ? table(["", ...board.metrics.map((one) => one.label)], ["metrics", "agnostic"].map((part) => [
      part === "metrics" ? "its own task's names" : "the names of all tasks",
      ...board.metrics.map(({ id }) => (entry[part][id] ? shown(entry[part][id][0])
        + (entry[part][id][1] === null ? "" : ` ± ${shown(entry[part][id][1])}`) : "–"))]), [0]) : "",
    Object.keys(entry.figures).length ? el("h3", {}, "Further figures") : "",
    el("div", { class: "tiles" }, protocol.figures.filter(({ id }) => id in entry.figures)
      .map(({ id, label, meaning }) => tile(label, shown(entry.figures[id]), "", meaning))),
    el("h3", {}, "Cost and samples"),
    el("div", { class: "tiles" }, [...costsOf("cost", "entry"), ...costsOf("samples", "entry")]
      .map(({ id, short: label, meaning }) => tile(label, costShown(entry, id), "", meaning))),
    el("h3", {}, "Settings"),
    table(["Setting", "Value"], Object.entries(entry.settings), [0, 1]),
    el("p", { class: "quiet" }, `Method ${entry.method}, entry `, el("code", {}, entry.entry)),
  ];
  dialog.replaceChildren(...parts.flat().filter((part) => part !== ""));
  if (!dialog.open) dialog.showModal();
  dialog.scrollTop = 0;
}

function table(head, rows, words, long = -1) {
  const kind = (i) => (i === long ? "words long" : words.includes(i) ? "words" : null);
  return el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": head.find(Boolean) },
    el("table", {}, el("thead", {}, el("tr", {}, head.map((text, i) => el("th", { scope: "col", class: kind(i) }, text)))),
      el("tbody", {}, rows.map((row) => el("tr", {}, row.map((cell, i) =>
        el(i ? "td" : "th", { class: kind(i), scope: i ? null : "row" }, cell)))))));
}

function matrixPart(protocol, entry) {
  const kinds = Object.keys(entry.matrices);
  if (!kinds.length) return [el("p", { class: "note" }, "There is no matrix to show: the seeds' scores are not complete.")];
  const heat = el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Matrix R" });
  const curves = el("div", { class: "multiples", id: "curves" });
  let kind = kinds[0], task = "";
  const redraw = () => {
    const R = entry.matrices[kind];
    heat.replaceChildren(heatMap(protocol.tasks, R));
    curves.classList.toggle("multiples", task === "");
    curves.replaceChildren(...(task === "" ? protocol.tasks.map((_, i) => curve(protocol.tasks, R, i, false))
      : [curve(protocol.tasks, R, Number(task), true)]));
  };
  redraw();
  return [
    el("h3", {}, "R: accuracy on each task after each stage"),
    el("div", { class: "controls" },
      kinds.length > 1 ? el("label", {}, "Shown", choice("kind", same(kinds), kind, (value) => { kind = value; redraw(); })) : "",
      el("span", { class: "quiet" }, "Mean over seeds, percent. Framed: the task was learned at this stage; below it what "
        + "was kept, above it what is left of the zero-shot ability.")),
    heat,
    el("h3", {}, "Forgetting curves"),
    el("div", { class: "controls" }, el("label", {}, "Task", choice("task", { "": "all tasks",
      ...Object.fromEntries(protocol.tasks.map((one, i) => [String(i), one])) }, "", (value) => { task = value; redraw(); })),
    el("span", { class: "quiet" }, "Accuracy stage by stage; the diamond on the dashed line is where the task was learned.")),
    curves,
  ];
}

function heatMap(tasks, R) {
  const high = Math.max(...R.flat(), 1);
  return el("table", { class: "heat" },
    el("thead", {}, el("tr", {}, el("th", { scope: "col", class: "words" }, "after"), tasks.map((one) => el("th", { scope: "col" }, one)))),
    el("tbody", {}, R.map((row, t) => el("tr", {}, el("th", { scope: "row" }, t === 0 ? "0 nothing" : `${t} ${tasks[t - 1]}`),
      row.map((value, i) => {
        const cell = el("td", { class: i === t - 1 ? "own" : null }, shown(value));
        cell.style.setProperty("--a", (0.62 * (value / high) ** 1.6).toFixed(3));
        return cell;
      })))));
}

function curve(tasks, R, i, large) {
  const T = tasks.length, W = large ? 760 : 220, H = large ? 320 : 120, L = 30, B = large ? 36 : 20, top = large ? 16 : 8;
  const x = (t) => L + ((W - L - 12) * t) / T, y = (v) => H - B - ((H - B - top) * v) / 100;
  const values = R.map((row) => row[i]);
  const text = `${tasks[i]}: ${values.map((v, t) => `stage ${t} ${shown(v)}`).join(", ")}`;
  const parts = [0, 50, 100].flatMap((v) => [svg("line", { class: "axis", x1: L, x2: W - 12, y1: y(v), y2: y(v) }),
    svg("text", { class: "quiet", x: L - 5, y: y(v) + 4, "text-anchor": "end" }, String(v))]);
  parts.push(svg("line", { class: "learned", x1: x(i + 1), x2: x(i + 1), y1: top, y2: H - B }),
    svg("polyline", { class: "line", points: values.map((v, t) => `${x(t)},${y(v)}`).join(" ") }));
  values.forEach((v, t) => parts.push(t === i + 1
    ? svg("path", { class: "diamond", d: `M${x(t)} ${y(v) - 6}l6 6l-6 6l-6 -6z` })
    : svg("circle", { class: t < i + 1 ? "hollow" : "dot", cx: x(t), cy: y(v), r: large ? 4 : 2.5 })));
  const ticks = large ? values.map((_, t) => t) : [0, i + 1, ...(i + 2 >= T ? [] : [T])];
  ticks.forEach((t) => parts.push(svg("text", { class: "quiet", x: x(t), y: H - B + 14, "text-anchor": "middle" }, String(t))));
  if (large) {
    values.forEach((v, t) => parts.push(svg("text", { x: x(t), y: y(v) - 9, "text-anchor": "middle" }, shown(v))));
    parts.push(svg("text", { class: "quiet", x: W / 2, y: H - 4, "text-anchor": "middle" }, "tasks learned (0: the zero-shot model)"));
  }
  return el("figure", { class: "chart" }, el("figcaption", {}, `${i + 1} ${tasks[i]}`,
    large ? "" : el("small", {}, `learned ${shown(values[i + 1])}, end ${shown(values[T])}`)),
  svg("svg", { viewBox: `0 0 ${W} ${H}`, width: large ? W : "100%", role: "img", "aria-label": text }, parts));
}

// ---- published numbers

function publishedView() {
  const parts = [el("h2", {}, "Published numbers: reported, not measured here, not ranked"),
    el("p", { class: "quiet" }, "Copied from the sources named in each row, which used their own splits, code and hardware; so "
      + "never compare them with measured ones. Δ is the difference to the l2 baseline of the same source, computed from its "
      + "printed values, not copied. BLEU-4 is a fraction, all else percent."),
    ...board.errata.map((one) => el("p", { class: "note" }, el("b", {}, "Erratum. "), `${one.source} prints ${minus(one.printed)} as `
      + `the difference of ${one.method} to the l2 baseline by ${board.labels[one.metric]} on ${one.stream}; its own values give `
      + `${minus(one.correct)}, which is what stands here.`))];
  for (const { stream, tables } of board.published) {
    parts.push(el("h3", {}, stream));
    for (const { metrics, deltas, rows } of tables) {
      parts.push(table(["Method", "Setting", ...metrics.map((id) => board.labels[id] || id), ...deltas.map((id) => `Δ ${board.labels[id]}`),
        "Status", "Source"], rows.map((row) => [row.method, row.setting || "–", ...metrics.map((id) => minus(row.printed[id] ?? "–")),
        ...deltas.map((id) => (id in row.delta ? signed(row.delta[id]) : "–")), badge(row.status),
        row.note ? `${row.source}; ${row.note}` : row.source]), [0, 1, 2 + metrics.length + deltas.length, 3 + metrics.length + deltas.length], 3 + metrics.length + deltas.length));
    }
    const derived = board.derived.streams[stream];
    if (derived) {
      parts.push(el("p", { class: "quiet" }, `Computed here from the released matrices (${board.derived.source}); FWT is relative to `
        + "the zero-shot row, which is known to one decimal."),
      table(["Method", ...board.metrics.map((one) => one.label)], Object.entries(derived).map(([method, values]) => [method,
        ...board.metrics.map(({ id }) => minus(values[id]))]), [0]));
    }
  }
  return parts;
}

// ---- the page

function render() {
  document.getElementById("views").replaceChildren(...[...board.protocols.map((one) => one.name), PUBLISHED].map((view) => el("a", {
    href: `#${encodeURIComponent(view)}`, "aria-current": view === state.view ? "page" : null }, view)));
  const protocol = board.protocols.find((one) => one.name === state.view);
  document.getElementById("main").replaceChildren(...(protocol ? protocolView(protocol) : publishedView()).filter((part) => part !== ""));
}

function follow() {
  const before = state.view;
  readHash();
  if (state.view !== before) {
    state.sort = "rank"; state.down = false; state.words = ""; state.status = "";
    render();
  }
  const protocol = board.protocols.find((one) => one.name === state.view);
  const entry = protocol && protocol.entries.find((one) => key(one) === state.open);
  const dialog = document.getElementById("entry");
  if (entry) showEntry(protocol, entry);
  else if (dialog.open) dialog.close();
}

const THEMES = { auto: "Theme: as the system", light: "Theme: light", dark: "Theme: dark" };
function theme(chosen) {
  if (chosen === "auto") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
  document.getElementById("theme").textContent = THEMES[chosen];
  try { localStorage.setItem("vlcl-theme", chosen); } catch { /* a browser may forbid it to files */ }
}
function storedTheme() {
  try { return localStorage.getItem("vlcl-theme"); } catch { return null; }
}

board.protocols.forEach((one) => one.entries.forEach((entry, place) => { entry.place = place; }));
let chosen = storedTheme() in THEMES ? storedTheme() : "auto";
theme(chosen);
document.getElementById("theme").addEventListener("click", () => {
  const names = Object.keys(THEMES);
  chosen = names[(names.indexOf(chosen) + 1) % names.length];
  theme(chosen);
});
document.getElementById("entry").addEventListener("close", () => {
  const opened = state.open;
  if (location.hash.includes("/")) history.replaceState(null, "", `#${encodeURIComponent(state.view)}`);
  state.open = "";
  const button = opened && document.querySelector(`[data-entry="${CSS.escape(opened)}"]`);
  if (button) button.focus();
});
window.addEventListener("hashchange", follow);
follow();
