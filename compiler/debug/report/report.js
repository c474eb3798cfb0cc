"use strict";
// The report's script. Text from the model is put in by textContent or drawn: it is data.

const data = JSON.parse(document.getElementById("data").textContent);
const $ = (id) => document.getElementById(id);
const records = data.records, layouts = data.layouts;

// ---- the stages ----

// A stage that a pass left as it was has the ops of the one before.
const stages = [];
for (const [place, told] of data.stages.entries()) {
  if (told.same !== undefined) {
    const { ops, byTrack, real, layout, memory } = stages[told.same];
    stages.push({ ...told, place, ops, byTrack, real, layout, memory, why: new Map() });
    continue;
  }
  const ops = told.ops.map(([track, record, sources]) => ({ track, sources, record: records[record] }));
  const byTrack = new Map(ops.map((op) => [op.track, op]));
  for (const op of ops) op.users = [];
  for (const op of ops)
    for (const track of new Set(op.sources.map((source) => source[0]))) byTrack.get(track).users.push(op.track);
  stages.push({ ...told, place, ops, byTrack, real: ops.filter((op) => op.record.kind === "op"), why: new Map(told.changed) });
}
const lastStage = stages.length - 1;
const state = { stage: lastStage, side: "after", selected: null, group: null, colour: "op", tab: "passes", open: new Set(), x: 0, y: 0, k: 1, hover: {} };
const shown = () => stages[state.side === "before" && state.stage > 0 ? state.stage - 1 : state.stage];

function classOf(track) {
  const now = stages[state.stage];
  if (state.stage === 0) return "";
  if (now.classes === undefined) {
    now.classes = { before: new Map(), after: new Map() };
    for (const t of now.rewired) { now.classes.before.set(t, "rewired"); now.classes.after.set(t, "rewired"); }
    for (const [t] of now.changed) { now.classes.before.set(t, "changed"); now.classes.after.set(t, "changed"); }
    for (const t of now.removed) now.classes.before.set(t, "removed");
    for (const t of now.added) now.classes.after.set(t, "added");
  }
  return now.classes[state.side].get(track) || "";
}

// ---- numbers and names ----

function scaled(number, unit = "") {
  if (number === null || number === undefined) return "?";
  let prefix = "", size = number;
  for (const larger of "kMGTPE") {
    if (Math.abs(size) < 999.5) break;
    size /= 1000; prefix = larger;
  }
  const text = Number.isInteger(size) && !prefix ? String(size) : size.toPrecision(3);
  return (text + " " + prefix + unit).trim();
}
function time(seconds) {
  if (seconds === null || seconds === undefined) return "";
  if (seconds < 1e-3) return (1e6 * seconds).toPrecision(3) + " µs";
  return seconds < 1 ? (1e3 * seconds).toPrecision(3) + " ms" : seconds.toPrecision(3) + " s";
}
const percent = (part) => (part < 0.1 ? (100 * part).toPrecision(2) : Math.round(100 * part)) + " %";
const amount = (op, name) => (op.record.cost ? op.record.cost[name][0] : null);
function moved(op) {
  const read = amount(op, "bytes_read"), written = amount(op, "bytes_written");
  return read === null || written === null ? null : read + written;
}
function secondsOf(op) {
  const found = data.profile && shown().ops === stages[lastStage].ops ? data.profile.ops[op.track] : undefined;
  return found ? found[0] : null;
}
const isEstimate = (op) => Boolean(data.profile && data.profile.ops[op.track] && data.profile.ops[op.track][1]);
const fullName = (op) => op.record.nodes.join(", ") || op.record.tensors.join(", ") || op.record.op;
function leaf(op) {
  const names = op.record.nodes.length ? op.record.nodes : op.record.tensors;
  const parts = names.map((name) => name.split("/").filter(Boolean).pop() || name);
  return parts.length > 1 ? parts[0] + " +" + (parts.length - 1) : parts[0] || "";
}
const total = (ops, of) => ops.reduce((sum, op) => sum + (of(op) || 0), 0);

// ---- elements ----

function el(tag, given = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(given)) {
    if (name === "click") made.addEventListener("click", value);
    else if (name === "class") made.className = value;
    else made.setAttribute(name, value);
  }
  for (const child of children) made.append(child);
  return made;
}
const cell = (text, number = false) => el("td", number ? { class: "number" } : {}, String(text));

// ---- where everything stands ----

const WIDE = 152, HIGH = 40, COLUMN = 174, GAP = 22, RISE = 34, PAD = 16, HEAD = 26;
let scene = null;

// Centers as near to the wanted ones as the widths allow: isotonic regression by pooling.
function spread(cells) {
  cells.sort((a, b) => a.wanted - b.wanted);
  const pools = [];
  let along = 0;
  cells.forEach((cell, n) => {
    if (n) along += (cells[n - 1].w + cell.w) / 2 + GAP;
    cell.along = along;
    let pool = { sum: (cell.wanted - along) * cell.weight, weight: cell.weight, cells: [cell] };
    while (pools.length && pools[pools.length - 1].sum / pools[pools.length - 1].weight > pool.sum / pool.weight) {
      const before = pools.pop();
      pool = { sum: before.sum + pool.sum, weight: before.weight + pool.weight, cells: before.cells.concat(pool.cells) };
    }
    pools.push(pool);
  });
  for (const pool of pools) for (const cell of pool.cells) cell.center = pool.sum / pool.weight + cell.along;
}

function arrange(place) {
  const layout = layouts[place], layers = [];
  const children = layout.children.map((child, n) => {
    const isOpen = "g" in child && state.open.has(layouts[child.g].id);
    const inner = isOpen ? arrange(child.g) : null;
    const item = { ...child, inner, w: inner ? inner.w : WIDE, h: inner ? inner.h : HIGH, weight: 1, wanted: layout.x[n] * COLUMN };
    (layers[layout.layer[n]] ||= []).push(item);
    return item;
  });
  const routes = new Map();
  for (const [a, b, bends] of layout.edges) {
    const points = bends.map(([layer, x]) => ({ w: 8, h: 0, weight: 0.2, wanted: x * COLUMN, layer }));
    for (const point of points) (layers[point.layer] ||= []).push(point);
    routes.set(a + "," + b, points);
  }
  let y = HEAD + 6, left = Infinity, right = -Infinity;
  for (const cells of layers) {
    if (!cells) continue;
    spread(cells);
    const high = Math.max(...cells.map((cell) => cell.h));
    for (const cell of cells) {
      cell.y = y; cell.low = y + high;
      left = Math.min(left, cell.center - cell.w / 2);
      right = Math.max(right, cell.center + cell.w / 2);
    }
    y += high + RISE;
  }
  if (!children.length) { left = 0; right = WIDE; y += HIGH; }
  const w = Math.max(right - left + 2 * PAD, WIDE + 2 * PAD);
  for (const cells of layers) for (const cell of cells || []) cell.x = cell.center - cell.w / 2 - left + PAD;
  return { place, layout, children, routes, w, h: y - RISE + PAD };
}

function rebuild() {
  const stage = shown(), root = arrange(stage.layout);
  const items = [], scopes = [], holder = new Map(), chains = new Map();
  const flatten = (node, x, y, depth, chain) => {
    node.x = x; node.y = y;
    node.children.forEach((child, n) => {
      const item = { x: x + child.x, y: y + child.y, w: child.w, h: child.h, depth, group: "g" in child ? layouts[child.g] : null, track: child.t };
      const here = chain.concat([[node, n]]);
      if (child.inner) {
        scopes.push(item);
        flatten(child.inner, item.x, item.y, depth + 1, here);
        return;
      }
      items.push(item);
      const within = item.group ? tracksOf(child.g) : [child.t];
      item.tracks = within;
      for (const track of within) { holder.set(track, item); chains.set(track, here); }
    });
  };
  flatten(root, 0, 0, 0, []);
  scene = { stage, root, items, scopes, holder, edges: edgesOf(stage, holder, chains) };
  scene.max = { flops: 0, bytes: 0, seconds: 0 };
  for (const item of items) {
    const ops = item.tracks.map((track) => stage.byTrack.get(track));
    item.ops = ops;
    item.sums = { flops: total(ops, (op) => amount(op, "flops")), bytes: total(ops, moved), seconds: total(ops, secondsOf) };
    for (const name in scene.max) scene.max[name] = Math.max(scene.max[name], item.sums[name]);
  }
  drawMap();
}

const tracksMemo = new Map();
function tracksOf(place) {
  if (!tracksMemo.has(place))
    tracksMemo.set(place, layouts[place].children.flatMap((child) => ("g" in child ? tracksOf(child.g) : [child.t])));
  return tracksMemo.get(place);
}

function edgesOf(stage, holder, chains) {
  const seen = new Map(), edges = [];
  for (const op of stage.ops) {
    for (const [source] of op.sources) {
      const from = holder.get(source), to = holder.get(op.track);
      if (from === to) continue;
      if (!seen.has(from)) seen.set(from, new Set());
      if (seen.get(from).has(to)) continue;
      seen.get(from).add(to);
      edges.push(edgeOf(from, to, chains.get(source), chains.get(op.track)));
    }
  }
  return edges;
}

function edgeOf(from, to, chain, other) {
  let n = 0;
  while (chain[n][0] === other[n][0] && chain[n][1] === other[n][1]) n++;
  const node = chain[n][0], bends = node.routes.get(chain[n][1] + "," + other[n][1]) || [];
  const points = [[from.x + from.w / 2, from.y + from.h]];
  for (const bend of bends) {
    const x = node.x + bend.x + bend.w / 2;
    points.push([x, node.y + bend.y], [x, node.y + bend.low]);
  }
  points.push([to.x + to.w / 2, to.y]);
  const xs = points.map((point) => point[0]), ys = points.map((point) => point[1]);
  return { from, to, points, left: Math.min(...xs), right: Math.max(...xs), top: Math.min(...ys), low: Math.max(...ys) };
}

// What is open at first: scopes from the top on, while there is room to read.
const ROOM = 70;
function openSome() {
  const root = stages[lastStage].layout;
  let count = layouts[root].children.length;
  for (let waiting = [root]; waiting.length; ) {
    const next = [];
    for (const place of waiting)
      for (const child of layouts[place].children) {
        if (!("g" in child)) continue;
        const inside = layouts[child.g].children.length;
        if (count + inside - 1 > ROOM) continue;
        count += inside - 1;
        state.open.add(layouts[child.g].id);
        next.push(child.g);
      }
    waiting = next;
  }
}

// ---- drawing the graph ----

const canvas = $("canvas"), map = $("map");
let colours = {};
function readColours() {
  const style = getComputedStyle(document.documentElement);
  for (const name of ["page", "panel", "line", "text", "dim", "edge", "accent", "added", "removed", "changed", "rewired", "scope", "scope2", "hue-s", "hue-l"])
    colours[name] = style.getPropertyValue("--" + name).trim();
}
function hue(name) {
  let sum = 7;
  for (const character of name) sum = (sum * 31 + character.codePointAt(0)) % 3600;
  return `hsl(${sum % 360} ${colours["hue-s"]} ${colours["hue-l"]})`;
}
function sharp(target) {
  const ratio = window.devicePixelRatio || 1, box = target.getBoundingClientRect();
  const w = Math.round(box.width * ratio), h = Math.round(box.height * ratio);
  if (target.width !== w || target.height !== h) { target.width = w; target.height = h; }
  const pen = target.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.clearRect(0, 0, box.width, box.height);
  return [pen, box.width, box.height, ratio];
}
const widths = new Map();
function fitted(pen, text, room, fromEnd = true) {
  const line = text.replace(/[\u0000-\u001f\u007f]/g, "\u00b7");
  const key = pen.font + line;
  if (!widths.has(key)) widths.set(key, pen.measureText(line.slice(0, 200)).width);
  if (widths.get(key) <= room && line.length <= 200) return line;
  const keep = Math.max(1, Math.floor((line.length * room) / Math.max(widths.get(key), 1)) - 1);
  return fromEnd ? "\u2026" + line.slice(-Math.min(keep, 199)) : line.slice(0, Math.min(keep, 199)) + "\u2026";
}

let waiting = false;
function draw() {
  if (waiting) return;
  waiting = true;
  requestAnimationFrame(() => { waiting = false; paint(); });
}

function paint() {
  const [pen, w, h, ratio] = sharp(canvas), k = state.k;
  pen.setTransform(ratio * k, 0, 0, ratio * k, -state.x * k * ratio, -state.y * k * ratio);
  const left = state.x, top = state.y, right = left + w / k, low = top + h / k;
  const visible = (box) => box.x < right && box.x + box.w > left && box.y < low && box.y + box.h > top;
  for (const scope of scene.scopes) if (visible(scope)) paintScope(pen, scope, k);
  paintEdges(pen, { left, top, right, low }, k);
  let count = 0;
  for (const item of scene.items) if (visible(item)) { paintItem(pen, item, k); count++; }
  scene.painted = count;
  drawMapFrame(w / k, h / k);
}

function paintScope(pen, scope, k) {
  pen.fillStyle = scope.depth % 2 ? colours.scope2 : colours.scope;
  pen.strokeStyle = colours.line;
  pen.lineWidth = 1;
  box(pen, scope, 8);
  pen.fill(); pen.stroke();
  if (k < 0.2) return;
  pen.fillStyle = colours.dim;
  pen.font = "600 12px system-ui, sans-serif";
  pen.fillText("\u2212 " + fitted(pen, scope.group.title, scope.w - 90), scope.x + 9, scope.y + 18);
  pen.textAlign = "right";
  pen.fillText(scope.group.ops + " ops", scope.x + scope.w - 9, scope.y + 18);
  pen.textAlign = "left";
}

function paintEdges(pen, view, k) {
  const chosen = state.selected === null ? null : scene.holder.get(state.selected);
  for (const strong of [false, true]) {
    pen.beginPath();
    for (const edge of scene.edges) {
      const isStrong = chosen !== null && chosen !== undefined && (edge.from === chosen || edge.to === chosen);
      if (isStrong !== strong || edge.left > view.right || edge.right < view.left || edge.top > view.low || edge.low < view.top) continue;
      const points = edge.points;
      pen.moveTo(...points[0]);
      for (let n = 1; n < points.length; n++) {
        const [x0, y0] = points[n - 1], [x1, y1] = points[n], bend = Math.max(12, Math.abs(y1 - y0) / 2);
        if (Math.abs(x0 - x1) < 0.5) pen.lineTo(x1, y1);
        else pen.bezierCurveTo(x0, y0 + Math.min(bend, 60), x1, y1 - Math.min(bend, 60), x1, y1);
      }
      if (k > 0.4) {
        const [x, y] = points[points.length - 1];
        pen.moveTo(x - 3.5, y - 6); pen.lineTo(x, y); pen.lineTo(x + 3.5, y - 6);
      }
    }
    pen.strokeStyle = strong ? colours.accent : colours.edge;
    pen.lineWidth = strong ? 2 : 1.2;
    pen.stroke();
  }
}

function box(pen, item, radius) {
  pen.beginPath();
  pen.roundRect(item.x, item.y, item.w, item.h, radius);
}

function tallied(item) {
  const found = {};
  for (const track of item.tracks) {
    const kind = classOf(track);
    if (kind) found[kind] = (found[kind] || 0) + 1;
  }
  return found;
}

function paintItem(pen, item, k) {
  const op = item.group ? null : item.ops[0], counts = tallied(item);
  const kind = ["added", "removed", "changed", "rewired"].find((name) => counts[name]) || "";
  const isChosen = op ? state.selected === op.track : state.group === item.group.id;
  pen.fillStyle = item.group ? colours.scope2 : colours.panel;
  box(pen, item, item.group ? 9 : op.record.kind === "op" ? 5 : 18);
  pen.fill();
  if (state.colour !== "op" && scene.max[state.colour]) {
    pen.globalAlpha = 0.75 * Math.sqrt(item.sums[state.colour] / scene.max[state.colour]);
    pen.fillStyle = colours.accent; pen.fill(); pen.globalAlpha = 1;
  }
  if (kind) { pen.globalAlpha = 0.16; pen.fillStyle = colours[kind]; pen.fill(); pen.globalAlpha = 1; }
  pen.strokeStyle = isChosen ? colours.accent : kind ? colours[kind] : colours.line;
  pen.lineWidth = isChosen ? 3 : kind ? 2.2 : 1;
  pen.stroke();
  if (op && op.record.kind === "op" && state.colour === "op") {
    pen.fillStyle = hue(op.record.op);
    pen.fillRect(item.x + 1.5, item.y + 4, 4, item.h - 8);
  }
  if (k < 0.3) return;
  paintLabel(pen, item, op, counts);
}

function paintLabel(pen, item, op, counts) {
  const x = item.x + 13, room = item.w - 22;
  pen.fillStyle = colours.text;
  pen.font = "600 12.5px system-ui, sans-serif";
  if (item.group) {
    pen.fillText("+ " + fitted(pen, item.group.title, room - 12), x, item.y + 17);
  } else if (op.record.kind === "op") {
    pen.fillText(fitted(pen, op.record.op, room, false), x, item.y + 17);
  } else {
    pen.fillText(fitted(pen, op.record.tensors[0] || op.record.kind, room), x, item.y + 17);
  }
  pen.fillStyle = colours.dim;
  pen.font = "11px system-ui, sans-serif";
  if (!item.group) {
    const type = (op.record.out && op.record.out[0] ? op.record.out[0][1] : (op.record.in || [["", "", ""]])[0][2]) || "";
    const size = type.slice(type.indexOf("[") + 1, -1).split(", ").join("\u00d7");
    if (op.record.kind !== "op") { pen.fillText(fitted(pen, type, room), x, item.y + 32); return; }
    const said = fitted(pen, size, 92), left = room - pen.measureText(said).width - 4;
    if (left > 24) pen.fillText(fitted(pen, leaf(op), left), x, item.y + 32);
    pen.textAlign = "right";
    pen.fillText(said, item.x + item.w - 7, item.y + 32);
    pen.textAlign = "left";
    return;
  }
  let at = x;
  const parts = [[item.tracks.length + " ops", colours.dim]];
  for (const [name, sign] of [["added", "+"], ["removed", "\u2212"], ["changed", "~"], ["rewired", "\u21b7"]])
    if (counts[name]) parts.push([sign + counts[name], colours[name]]);
  for (const [text, colour] of parts) {
    pen.fillStyle = colour;
    pen.fillText(text, at, item.y + 32);
    at += pen.measureText(text).width + 8;
  }
}

// The small map: all of it, and the part that is seen.
const mapImage = document.createElement("canvas");
let mapScale = 1;
function drawMap() {
  const [pen, w, h, ratio] = sharp(map), { root } = scene;
  mapScale = Math.min((w - 8) / root.w, (h - 8) / root.h);
  pen.setTransform(ratio * mapScale, 0, 0, ratio * mapScale, 4 * ratio, 4 * ratio);
  pen.fillStyle = colours.scope2;
  for (const scope of scene.scopes) pen.fillRect(scope.x, scope.y, scope.w, scope.h);
  const least = 1.2 / mapScale;
  for (const item of scene.items) {
    const kind = ["added", "removed", "changed", "rewired"].find((name) => tallied(item)[name]);
    pen.fillStyle = kind ? colours[kind] : colours.edge;
    pen.fillRect(item.x, item.y, Math.max(item.w, least), Math.max(item.h, least));
  }
  mapImage.width = map.width;
  mapImage.height = map.height;
  mapImage.getContext("2d").drawImage(map, 0, 0);
}
function drawMapFrame(w, h) {
  const pen = map.getContext("2d"), ratio = window.devicePixelRatio || 1;
  pen.setTransform(1, 0, 0, 1, 0, 0);
  pen.clearRect(0, 0, map.width, map.height);
  pen.drawImage(mapImage, 0, 0);
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  pen.strokeStyle = colours.accent;
  pen.lineWidth = 1.5;
  pen.strokeRect(4 + state.x * mapScale, 4 + state.y * mapScale, w * mapScale, h * mapScale);
}
map.addEventListener("pointerdown", (event) => {
  const view = canvas.getBoundingClientRect();
  state.x = (event.offsetX - 4) / mapScale - view.width / state.k / 2;
  state.y = (event.offsetY - 4) / mapScale - view.height / state.k / 2;
  draw();
});

// ---- moving about ----

function fit() {
  const view = canvas.getBoundingClientRect(), { root } = scene;
  const whole = Math.min(view.width / root.w, (view.height - 44) / root.h, 1.1);
  state.k = Math.max(whole, Math.min(0.62, (view.width - 150) / Math.min(root.w, 1400)));
  state.x = root.w / 2 - view.width / state.k / 2;
  state.y = whole === state.k ? root.h / 2 - view.height / state.k / 2 - 20 : -44 / state.k;
  draw();
}
function zoom(factor, x, y) {
  const k = Math.min(3, Math.max(0.02, state.k * factor));
  state.x += x / state.k - x / k;
  state.y += y / state.k - y / k;
  state.k = k;
  draw();
}
function center(item) {
  const view = canvas.getBoundingClientRect();
  if (state.k < 0.5) state.k = 0.8;
  state.x = item.x + item.w / 2 - view.width / state.k / 2;
  state.y = item.y + item.h / 2 - view.height / state.k / 2;
  draw();
}
function itemAt(clientX, clientY) {
  const view = canvas.getBoundingClientRect();
  const x = (clientX - view.left) / state.k + state.x, y = (clientY - view.top) / state.k + state.y;
  const within = (box, high = box.h) => x >= box.x && x <= box.x + box.w && y >= box.y && y <= box.y + high;
  return scene.items.find((item) => within(item)) || [...scene.scopes].reverse().find((scope) => within(scope, HEAD)) || null;
}

let drag = null;
canvas.addEventListener("pointerdown", (event) => {
  drag = { x: event.clientX, y: event.clientY, moved: false };
  canvas.setPointerCapture(event.pointerId);
});
canvas.addEventListener("pointermove", (event) => {
  if (!drag) return;
  const dx = event.clientX - drag.x, dy = event.clientY - drag.y;
  if (!drag.moved && Math.hypot(dx, dy) < 4) return;
  drag = { x: event.clientX, y: event.clientY, moved: true };
  state.x -= dx / state.k;
  state.y -= dy / state.k;
  draw();
});
canvas.addEventListener("pointerup", (event) => {
  const wasDrag = drag && drag.moved;
  drag = null;
  if (wasDrag) return;
  const item = itemAt(event.clientX, event.clientY);
  if (item === null) select(null);
  else if (item.group) toggle(item);
  else select(item.track);
});
canvas.addEventListener("wheel", (event) => {
  event.preventDefault();
  const view = canvas.getBoundingClientRect();
  zoom(Math.exp(-event.deltaY * 0.0015), event.clientX - view.left, event.clientY - view.top);
}, { passive: false });

function toggle(item) {
  const id = item.group.id, held = [item.x * state.k - state.x * state.k, item.y * state.k - state.y * state.k];
  if (!state.open.delete(id)) state.open.add(id);
  rebuild();
  // What was clicked stays under the pointer.
  const now = [...scene.items, ...scene.scopes].find((one) => one.group && one.group.id === id);
  state.x = now.x - held[0] / state.k;
  state.y = now.y - held[1] / state.k;
  state.group = id;
  showGroup(now);
  draw();
}

function reveal(track) {
  if (!scene.stage.byTrack.has(track)) return false;
  for (let item = scene.holder.get(track); item.group; item = scene.holder.get(track)) {
    state.open.add(item.group.id);
    rebuild();
  }
  center(scene.holder.get(track));
  return true;
}

function select(track, andCenter = false) {
  state.selected = track;
  state.group = null;
  if (track !== null && andCenter) reveal(track);
  showDetails();
  drawDock();
  draw();
}

// ---- the passes ----

function setStage(place, side = "after") {
  state.stage = Math.max(0, Math.min(lastStage, place));
  state.side = state.stage === 0 ? "after" : side;
  const now = stages[state.stage];
  $("slider").value = String(state.stage);
  $("pass").textContent = state.stage === 0 ? "as imported" : `${state.stage} of ${lastStage}: ${now.spec}`;
  for (const name of ["before", "after"]) {
    $(name).setAttribute("aria-pressed", String(state.side === name));
    $(name).disabled = state.stage === 0;
  }
  const counts = [["added", "+", now.added], ["removed", "\u2212", now.removed], ["changed", "~", now.changed.map((pair) => pair[0])], ["rewired", "\u21b7", now.rewired]];
  $("changes").replaceChildren(
    ...(state.stage === 0 ? [] : counts).map(([name, sign, tracks]) =>
      el("button", { type: "button", class: name, title: "Go to the next of them", click: () => goThrough(name, tracks) }, `${sign}${tracks.length} ${name}`)
    )
  );
  rebuild();
  showDetails();
  drawDock();
  draw();
}
let turn = 0;
function goThrough(name, tracks) {
  if (!tracks.length) return;
  if (name === "removed" && state.side !== "before") setStage(state.stage, "before");
  if (name === "added" && state.side !== "after") setStage(state.stage, "after");
  select(tracks[turn++ % tracks.length], true);
}

// ---- details ----

function link(track) {
  const op = scene.stage.byTrack.get(track);
  const said = op.record.kind === "op" ? `${op.record.op} ${leaf(op)}` : `${op.record.kind} ${op.record.tensors[0]}`;
  return el("p", {}, el("span", { class: "link", click: () => select(track, true) }, said));
}
function section(title, ...children) {
  return children.length ? [el("h3", {}, title), ...children] : [];
}
function costRows(op) {
  const cost = op.record.cost, rows = [];
  for (const [name, title, unit] of [["flops", "FLOPs", ""], ["transcendentals", "exp, sqrt \u2026", ""], ["bytes_read", "read", "B"], ["bytes_written", "written", "B"], ["parameters", "parameters", ""]]) {
    const [number, text] = cost[name];
    rows.push(el("tr", {}, cell(title), cell(scaled(number, unit), true), cell(text && text.length < 120 ? text : "")));
  }
  const seconds = secondsOf(op);
  if (seconds !== null) {
    rows.push(el("tr", {}, cell("time"), cell((isEstimate(op) ? "~" : "") + time(seconds), true), cell(data.profile.backend)));
    rows.push(el("tr", {}, cell("reached"), cell(scaled(amount(op, "flops") / seconds, "FLOP/s"), true), cell(scaled(moved(op) / seconds, "B/s"))));
  }
  return rows;
}
function showDetails() {
  const panel = $("details");
  if (state.selected === null) { showModel(panel); return; }
  const op = scene.stage.byTrack.get(state.selected);
  if (op === undefined) {
    panel.replaceChildren(el("h2", {}, "not here"), el("p", { class: "dim" }, "This op is not in the module at this stage; move the slider."));
    return;
  }
  const record = op.record, kind = classOf(op.track), parts = [el("h2", {}, record.kind === "op" ? record.op : record.kind), el("p", { class: "dim" }, fullName(op))];
  if (kind) parts.push(el("p", { class: kind }, `${kind} by ${stages[state.stage].pass}`));
  const why = stages[state.stage].why.get(op.track);
  if (kind === "changed" && why) parts.push(el("p", {}, why));
  parts.push(...section("ONNX nodes", ...record.nodes.map((name) => el("p", {}, name))));
  parts.push(...section("Results", ...(record.out || []).map(([name, type]) => el("p", {}, `${name}: ${type}`))));
  parts.push(...section("Operands", ...(record.in || []).map(([label, name, type]) => el("p", {}, el("span", { class: "dim" }, label + " "), `${name}: ${type}`))));
  parts.push(...section("From", ...[...new Set(op.sources.map((source) => source[0]))].map(link)));
  parts.push(...section("To", ...op.users.slice(0, 40).map(link)));
  if (record.cost) parts.push(...section("Cost", el("table", {}, ...costRows(op))));
  if (record.text) parts.push(...section("IR", el("pre", { id: "ir" }, record.text)));
  const lines = scene.stage.ops === stages[lastStage].ops ? data.program.lines[op.track] : null;
  if (lines && lines.length) parts.push(...section(`${data.program.backend} program`, el("pre", { id: "line" }, lines.map(([n, text]) => `${n}: ${text}`).join("\n"))));
  panel.replaceChildren(...parts);
}
function showModel(panel) {
  const stage = scene.stage, counts = new Map();
  for (const op of stage.real) {
    const row = counts.get(op.record.op) || { count: 0, flops: 0, bytes: 0 };
    row.count++; row.flops += amount(op, "flops") || 0; row.bytes += moved(op) || 0;
    counts.set(op.record.op, row);
  }
  const rows = [...counts].sort((a, b) => b[1].flops - a[1].flops || b[1].count - a[1].count);
  panel.replaceChildren(
    el("h2", {}, data.model.name || data.model.file),
    el("p", { class: "dim" }, `${data.model.file} after ${data.model.pipeline || "no pass"}`),
    el("p", {}, "Click an op for its IR, shapes, nodes, line and cost; a scope to open or close it. Wheel zooms, dragging moves."),
    ...(data.program.failure ? [el("p", { class: "removed" }, `no program: ${data.program.failure}`)] : []),
    ...section("Operators", el("table", {}, el("tr", {}, ...["operator", "count", "FLOPs", "moved"].map((t) => el("td", { class: "dim" }, t))),
      ...rows.map(([name, row]) => el("tr", {}, cell(name), cell(row.count, true), cell(scaled(row.flops), true), cell(scaled(row.bytes, "B"), true)))))
  );
}
function showGroup(item) {
  const place = layouts.indexOf(item.group), ops = tracksOf(place).map((track) => scene.stage.byTrack.get(track)).filter(Boolean);
  const seconds = total(ops, secondsOf);
  $("details").replaceChildren(
    el("h2", {}, item.group.title), el("p", { class: "dim" }, "/" + item.group.id),
    el("table", {}, el("tr", {}, cell("ops"), cell(ops.length, true)), el("tr", {}, cell("FLOPs"), cell(scaled(total(ops, (op) => amount(op, "flops"))), true)),
      el("tr", {}, cell("moved"), cell(scaled(total(ops, moved), "B"), true)), ...(seconds ? [el("tr", {}, cell("time"), cell(time(seconds), true))] : []))
  );
}

// ---- search ----

function matches(text) {
  const wanted = text.trim().toLowerCase();
  if (!wanted) return [];
  return scene.stage.ops.filter((op) => [op.record.op, ...op.record.nodes, ...op.record.tensors].some((name) => name.toLowerCase().includes(wanted)));
}
function showFound() {
  const found = matches($("search").value), list = $("found");
  list.replaceChildren(...found.slice(0, 40).map((op, n) => el("li", { class: n ? "" : "first", click: () => goTo(op.track) }, `${op.record.op}  ${fullName(op)}`)));
  if (found.length > 40) list.append(el("li", { class: "dim" }, `${found.length - 40} more`));
  list.hidden = !found.length;
}
function goTo(track) {
  $("found").hidden = true;
  select(track, true);
}

// ---- the dock ----

const drawn = { passes: drawPasses, memory: drawMemory, roofline: drawRoofline, time: drawTime, schedule: () => data.schedule, traffic: drawTraffic };
function drawDock() {
  for (const tab of document.querySelectorAll("#tabs button")) tab.setAttribute("aria-selected", String(tab.dataset.tab === state.tab));
  for (const name in drawn) $(name).classList.toggle("shown", name === state.tab);
  $("said").textContent = drawn[state.tab]() || "";
}
function drawPasses() {
  const head = ["#", "pass", "ms", "verify ms", "ops", "added", "removed", "changed", "rewired", "matched", "rewritten", "declined"];
  const rows = stages.map((stage, n) => {
    const declined = Object.entries(stage.declined || {}).sort((a, b) => b[1] - a[1]).map(([why, count]) => `${count} \u00d7 ${why}`).join("; ");
    const ops = n ? (stage.ops_before === stage.ops_after ? String(stage.ops_after) : `${stage.ops_before} \u2192 ${stage.ops_after}`) : String(stage.real.length);
    const kept = (value) => cell(value === null || value === undefined ? "-" : value, true);
    const ms = (value) => cell(n ? (1e3 * value).toFixed(2) : "", true);
    return el("tr", { class: n === state.stage ? "now" : "", click: () => setStage(n) }, cell(n, true), cell(n ? stage.spec : "import"), ms(stage.seconds), ms(stage.verify_seconds), cell(ops, true),
      ...["added", "removed", "changed", "rewired"].map((name) => cell(n ? stage[name].length : "", true)), kept(n ? stage.matched : ""), kept(n ? stage.rewritten : ""), cell(declined));
  });
  $("passes").replaceChildren(...consideredTable(), ...refusedTable(), el("table", {}, el("thead", {}, el("tr", {}, ...head.map((t) => el("th", {}, t)))), el("tbody", {}, ...rows)));
  return "what each pass did; '-': the pass keeps no journal";
}
function drawTraffic() {
  const head = ["kind", "devices", "count", "bytes each", "bytes", "sent by each device"];
  const number = (value) => cell(Math.round(value).toLocaleString("en"), true);
  const rows = data.traffic.map((one) => el("tr", {}, cell(one.kind), ...[one.devices, one.count, one.bytes, one.count * one.bytes, one.sent].map(number)));
  const sent = data.traffic.reduce((sum, one) => sum + one.sent, 0);
  $("traffic").replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, ...head.map((t) => el("th", {}, t)))), el("tbody", {}, ...rows)));
  return `collectives of a call; each device sends ${Math.round(sent).toLocaleString("en")} bytes, on rings`;
}
function consideredTable() {
  if (!data.considered) return [];
  const { choices, taken } = data.considered, head = ["-O3 chose among", "predicted", "of -O2", "by the roofline alone, for"];
  const order = choices.map((one, n) => n).sort((a, b) => choices[a].predicted_ms - choices[b].predicted_ms);
  const rows = order.map((n) => el("tr", { class: n === taken ? "now" : "" }, cell(choices[n].choice), cell(time(choices[n].predicted_ms / 1e3), true),
    cell((choices[n].predicted_ms / choices[0].predicted_ms).toFixed(2), true), cell(choices[n].reason)));
  return [el("table", { id: "considered" }, el("thead", {}, el("tr", {}, ...head.map((t) => el("th", {}, t)))), el("tbody", {}, ...rows))];
}
function refusedTable() {
  if (!data.refused) return [];
  const head = ["measured", "rewrites", "with", "without", "ratio", "low - high", "verdict"];
  const rows = data.refused.passes.map((one) => {
    const ms = (value) => cell(value === null ? "" : time(value / 1e3), true), [median, low, high] = one.ratios || [];
    return el("tr", { class: one.outcome === "undone" ? "now" : "" }, cell(one.shape ? "\u00a0\u00a0" + one.shape : one.pass), cell(one.rewrites, true), ms(one.with_ms), ms(one.without_ms),
      cell(one.ratios ? median.toFixed(2) : "", true), cell(one.ratios ? `${low.toFixed(2)} - ${high.toFixed(2)}` : "", true), cell(one.outcome + (one.reason ? ": " + one.reason : "")));
  });
  return [el("table", { id: "refused" }, el("thead", {}, el("tr", {}, ...head.map((t) => el("th", {}, t)))), el("tbody", {}, ...rows))];
}
function chart(name) {
  const target = $(name).querySelector("canvas");
  return [target, ...sharp(target)];
}
function sizesText(sizes) {
  const said = Object.entries(sizes).map(([name, size]) => `${name}=${size}`).join(", ");
  return said ? ` at ${said}` : "";
}
function drawMemory() {
  const [target, pen, w, h] = chart("memory"), { bytes, unknown } = scene.stage.memory, ops = scene.stage.real;
  const left = 70, low = h - 20, peak = Math.max(1, ...bytes.filter((b) => b !== null));
  const x = (n) => left + (n * (w - left - 10)) / Math.max(1, bytes.length), y = (b) => low - (b / peak) * (low - 14);
  pen.font = "11px system-ui, sans-serif";
  for (const part of [0, 0.25, 0.5, 0.75, 1]) {
    pen.strokeStyle = colours.line; pen.beginPath(); pen.moveTo(left, y(part * peak)); pen.lineTo(w - 10, y(part * peak)); pen.stroke();
    pen.fillStyle = colours.dim; pen.textAlign = "right"; pen.fillText(scaled(part * peak, "B"), left - 6, y(part * peak) + 4);
  }
  pen.textAlign = "left";
  pen.beginPath(); pen.moveTo(left, low);
  bytes.forEach((b, n) => { pen.lineTo(x(n), y(b || 0)); pen.lineTo(x(n + 1), y(b || 0)); });
  pen.lineTo(x(bytes.length), low);
  pen.fillStyle = colours.accent; pen.globalAlpha = 0.3; pen.fill(); pen.globalAlpha = 1; pen.strokeStyle = colours.accent; pen.stroke();
  pen.fillStyle = colours.dim; pen.fillText("the schedule, op by op \u2192", left, h - 5);
  const at = bytes.indexOf(peak), hover = state.hover.memory, chosen = ops.findIndex((op) => op.track === state.selected);
  for (const [n, colour] of [[chosen, colours.accent], [hover, colours.text]]) {
    if (n === undefined || n < 0 || !ops[n]) continue;
    pen.globalAlpha = 0.45; pen.fillStyle = colour;
    pen.fillRect(x(n), 8, Math.max(1.5, x(1) - x(0)), low - 8);
    pen.globalAlpha = 1;
  }
  target.pick = (px) => Math.max(0, Math.min(bytes.length - 1, Math.floor(((px - left) * bytes.length) / (w - left - 10))));
  target.trackAt = (n) => (ops[n] ? ops[n].track : null);
  const said = (n) => `${scaled(bytes[n], "B")} while ${ops[n].record.op} ${fullName(ops[n])} runs`;
  if (hover !== undefined && ops[hover]) return said(hover);
  const out = unknown ? `; ${unknown} values of unknown size are left out` : "";
  return at < 0 ? "" : `activations held: peak ${said(at)}${sizesText(data.model.sizes)}${out}`;
}
function attainable(intensity) { return Math.min(data.peaks.flops, intensity * data.peaks.bytes); }
function rooflinePoints() {
  const points = [];
  for (const op of scene.stage.real) {
    const flops = amount(op, "flops"), bytes = moved(op), seconds = secondsOf(op);
    if (flops === null || bytes === null || (!flops && !bytes)) continue;
    points.push({ op, flops, bytes, seconds, intensity: flops && bytes ? flops / bytes : null });
  }
  return points;
}
function drawRoofline() {
  const [target, pen, w, h] = chart("roofline"), points = rooflinePoints();
  const known = points.filter((p) => p.intensity !== null).map((p) => p.intensity), ridge = data.peaks.flops / data.peaks.bytes;
  const x0 = Math.floor(Math.log10(Math.min(0.1, ...known))) - 1, x1 = Math.ceil(Math.log10(Math.max(100, ridge * 4, ...known)));
  const strip = 10 ** (x0 + 0.4);
  for (const p of points) {
    p.at = p.intensity === null ? strip : p.intensity;
    p.rate = p.seconds ? (p.intensity === null ? (p.bytes / p.seconds) * strip : p.flops / p.seconds) : attainable(p.at);
  }
  const y1 = Math.ceil(Math.log10(Math.max(data.peaks.flops, ...points.map((p) => p.rate)))), y0 = Math.floor(Math.log10(Math.max(1e3, Math.min(attainable(strip), ...points.map((p) => p.rate).filter((r) => r > 0)))));
  const left = 76, low = h - 20, x = (v) => left + ((Math.log10(v) - x0) / (x1 - x0)) * (w - left - 12), y = (v) => low - ((Math.log10(Math.max(v, 10 ** y0)) - y0) / (y1 - y0)) * (low - 8);
  pen.font = "11px system-ui, sans-serif"; pen.strokeStyle = colours.line;
  for (let e = y0; e <= y1; e++) { pen.beginPath(); pen.moveTo(left, y(10 ** e)); pen.lineTo(w, y(10 ** e)); pen.stroke(); pen.fillStyle = colours.dim; pen.fillText(scaled(10 ** e, "FLOP/s"), 2, y(10 ** e) + 4); }
  for (let e = x0 + 1; e <= x1; e++) { pen.beginPath(); pen.moveTo(x(10 ** e), 8); pen.lineTo(x(10 ** e), low); pen.stroke(); pen.fillText(String(+(10 ** e).toPrecision(1)), x(10 ** e) + 3, h - 6); }
  pen.fillText("no FLOPs", left + 3, h - 6);
  pen.textAlign = "right"; pen.fillText("FLOP per byte", w - 4, low - 5); pen.textAlign = "left";
  pen.strokeStyle = colours.text; pen.lineWidth = 1.6; pen.beginPath(); pen.moveTo(x(10 ** x0), y(attainable(10 ** x0))); pen.lineTo(x(ridge), y(data.peaks.flops)); pen.lineTo(w - 4, y(data.peaks.flops)); pen.stroke(); pen.lineWidth = 1;
  const weight = (p) => p.seconds || Math.max(p.flops / data.peaks.flops, p.bytes / data.peaks.bytes), most = Math.max(1e-12, ...points.map(weight));
  for (const p of points) {
    p.x = x(p.at); p.y = y(p.rate); p.r = 2.5 + 9 * Math.sqrt(weight(p) / most);
    pen.beginPath(); pen.arc(p.x, p.y, p.r, 0, 7);
    pen.fillStyle = hue(p.op.record.op); pen.globalAlpha = 0.6; pen.fill(); pen.globalAlpha = 1;
    if (p.op.track === state.selected || p.op.track === state.hover.roofline) { pen.strokeStyle = colours.text; pen.lineWidth = 2; pen.stroke(); pen.lineWidth = 1; }
  }
  target.points = points;
  target.pick = (px, py) => { const near = points.map((p) => [Math.hypot(p.x - px, p.y - py) - p.r, p]).sort((a, b) => a[0] - b[0])[0]; return near && near[0] < 6 ? near[1].op.track : undefined; };
  target.trackAt = (track) => track;
  const p = points.find((one) => one.op.track === state.hover.roofline);
  if (p) return `${p.op.record.op} ${fullName(p.op)}: ${scaled(p.flops)} FLOP, ${scaled(p.bytes, "B")}${p.seconds ? ", " + time(p.seconds) : ""}; at most ${scaled(p.intensity === null ? data.peaks.bytes : attainable(p.intensity), p.intensity === null ? "B/s" : "FLOP/s")}`;
  const how = points.some((one) => one.seconds) ? `measured (${data.profile.backend})` : `at their bounds (${data.profile ? "times are of the last stage" : "no profile"})`;
  return `${points.length} of ${scene.stage.real.length} ops, ${how}${sizesText(data.model.sizes)}; peaks ${scaled(data.peaks.flops, "FLOP/s")}, ${scaled(data.peaks.bytes, "B/s")}: ${data.peaks.source}; the others' cost is unknown or nothing`;
}
let allTimes = false;
function drawTime() {
  if (!data.profile) {
    $("time").replaceChildren(el("p", {}, "No profile. Make one and hand it in:"), el("pre", {}, "sardonyx profile MODEL --backend numpy --json profile.json\nsardonyx view MODEL --profile profile.json -o report.html"));
    return "";
  }
  const rows = stages[lastStage].real.map((op) => ({ op, entry: data.profile.ops[op.track] })).filter((row) => row.entry).sort((a, b) => b.entry[0] - a.entry[0]);
  const head = ["operator", "node", "time", "share", "FLOP/s", "B/s", "of its bound"], whole = data.profile.ops_seconds;
  const body = (allTimes ? rows : rows.slice(0, 100)).map(({ op, entry: [seconds, estimate] }) => {
    const flops = amount(op, "flops"), bytes = moved(op), bound = flops === null || bytes === null ? null : Math.max(flops / data.peaks.flops, bytes / data.peaks.bytes);
    return el("tr", { class: op.track === state.selected ? "now" : "", click: () => { if (shown().ops !== stages[lastStage].ops) setStage(lastStage); select(op.track, true); } }, cell(op.record.op), cell(fullName(op)), cell((estimate ? "~" : "") + time(seconds), true), cell(whole ? ((100 * seconds) / whole).toFixed(1) + " %" : "", true),
      cell(flops && seconds ? scaled(flops / seconds) : "", true), cell(bytes && seconds ? scaled(bytes / seconds) : "", true), cell(bound && seconds ? percent(bound / seconds) : "", true));
  });
  const more = body.length < rows.length ? [el("button", { type: "button", click: () => { allTimes = true; drawDock(); } }, `all ${rows.length}`)] : [];
  $("time").replaceChildren(el("table", {}, el("thead", {}, el("tr", {}, ...head.map((t) => el("th", {}, t)))), el("tbody", {}, ...body)), ...more);
  return `${data.profile.method}${sizesText(data.profile.sizes)}; the ops ${time(whole)}, the whole program ${time(data.profile.whole_seconds)}; elsewhere ${time(data.profile.unmatched_seconds) || "nothing"}`;
}
for (const name of ["memory", "roofline"]) {
  const target = $(name).querySelector("canvas");
  target.addEventListener("pointermove", (event) => { state.hover[name] = target.pick ? target.pick(event.offsetX, event.offsetY) : undefined; drawDock(); });
  target.addEventListener("pointerleave", () => { state.hover[name] = undefined; drawDock(); });
  target.addEventListener("click", (event) => { const found = target.pick(event.offsetX, event.offsetY); if (found !== undefined) select(target.trackAt(found), true); });
}

// ---- controls ----

function setTheme(theme) {
  document.documentElement.dataset.theme = theme;
  readColours();
  if (scene) { drawMap(); drawDock(); draw(); }
}
const prefersDark = window.matchMedia("(prefers-color-scheme: dark)");
prefersDark.addEventListener("change", () => setTheme(prefersDark.matches ? "dark" : "light"));
$("theme").addEventListener("click", () => setTheme(document.documentElement.dataset.theme === "dark" ? "light" : "dark"));
$("slider").max = String(lastStage);
$("slider").addEventListener("input", () => setStage(Number($("slider").value)));
// Most passes of a group that runs until nothing changes change nothing.
function step(by) {
  let place = state.stage + by;
  while (place > 0 && place <= lastStage && stages[place].same !== undefined) place += by;
  if (place >= 0 && place <= lastStage) setStage(place);
}
$("back").addEventListener("click", () => step(-1));
$("on").addEventListener("click", () => step(1));
for (const side of ["before", "after"]) $(side).addEventListener("click", () => setStage(state.stage, side));
$("search").addEventListener("input", showFound);
$("search").addEventListener("keydown", (event) => {
  if (event.key === "Enter") { const found = matches($("search").value); if (found.length) goTo(found[0].track); }
  if (event.key === "Escape") { $("found").hidden = true; canvas.focus(); }
});
$("colour").addEventListener("change", () => { state.colour = $("colour").value; draw(); });
$("fit").addEventListener("click", fit);
const middle = (factor) => { const view = canvas.getBoundingClientRect(); zoom(factor, view.width / 2, view.height / 2); };
$("in").addEventListener("click", () => middle(1.3));
$("out").addEventListener("click", () => middle(1 / 1.3));
$("open").addEventListener("click", () => { for (const layout of layouts) state.open.add(layout.id); rebuild(); fit(); });
$("close").addEventListener("click", () => { state.open.clear(); rebuild(); fit(); });
for (const tab of document.querySelectorAll("#tabs button")) tab.addEventListener("click", () => { state.tab = tab.dataset.tab; drawDock(); });
document.addEventListener("keydown", (event) => {
  if (event.target.tagName === "INPUT" || event.target.tagName === "SELECT" || event.ctrlKey || event.metaKey) return;
  const act = { "/": () => $("search").focus(), f: fit, "+": () => middle(1.3), "-": () => middle(1 / 1.3), Escape: () => select(null) }[event.key];
  if (act) { event.preventDefault(); act(); }
});
window.addEventListener("resize", () => { drawMap(); drawDock(); draw(); });

// ---- beginning ----

setTheme(prefersDark.matches ? "dark" : "light");
$("name").textContent = data.model.name || data.model.file || "model";
const final = stages[lastStage];
$("summary").textContent = [`${data.model.file}`, `${stages[0].real.length} \u2192 ${final.real.length} ops`, `${scaled(total(final.real, (op) => amount(op, "flops")))} FLOP${sizesText(data.model.sizes)}`, `after ${data.model.asked || "no pass"}`].filter(Boolean).join("  \u00b7  ");
openSome();
setStage(lastStage);
fit();

// For the console, and for tests that must know where to click.
window.sardonyx = {
  data, state, classOf, shown, select, setStage,
  scene: () => scene,
  screen(track) {
    const item = scene.holder.get(track), view = canvas.getBoundingClientRect();
    return { x: view.left + (item.x + item.w / 2 - state.x) * state.k, y: view.top + (item.y + item.h / 2 - state.y) * state.k, isGroup: Boolean(item.group) };
  },
};
requestAnimationFrame(() => { window.sardonyx.opened = performance.now(); });
