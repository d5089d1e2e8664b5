// The map: an SVG with one group for each thing, and lines that are drawn anew at each moment.

const UNIT = 40; // a unit of the map in units of the SVG: browsers do not draw very small text
const TRAIL_STEPS = 6;
const FAINTEST_ATTENTION = 0.04;
const BOW = 0.14; // of a line's length

function element(name, attributes = {}, children = []) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function polygon(corners, radius) {
  const points = [];
  for (let i = 0; i < corners; i++) {
    const angle = (2 * Math.PI * i) / corners - Math.PI / 2;
    points.push(`${(radius * Math.cos(angle)).toFixed(2)},${(radius * Math.sin(angle)).toFixed(2)}`);
  }
  return points.join(" ");
}

function healthColour(share) {
  return share > 0.6 ? "var(--good)" : share > 0.3 ? "var(--fair)" : "var(--poor)";
}

class MapView {
  constructor(svg, onSelect) {
    this.svg = svg;
    this.onSelect = onSelect;
  }

  show(episode) {
    const [west, south, width, height] = episode.area;
    this.episode = episode;
    this.svg.style.setProperty("--ratio", String(Math.max(0.9, Math.min(width / height, 1.25))));
    this.origin = [episode.bounds[0], episode.bounds[1] + episode.bounds[3]];
    this.whole = [west, south, west + width, south + height];
    this.layers = {};
    const names = ["ground", "below", "units", "above"];
    this.svg.replaceChildren(...names.map((name) => (this.layers[name] = element("g"))));
    this.ground();
    this.units = episode.things.map((thing, i) => this.unit(thing, i));
    this.layers.units.append(...this.units.map((unit) => unit.group));
  }

  point([x, y]) {
    return [(x - this.origin[0]) * UNIT, (this.origin[1] - y) * UNIT];
  }

  ground() {
    const { grid, bounds } = this.episode;
    const [width, height] = [bounds[2] * UNIT, bounds[3] * UNIT];
    const lines = [];
    for (let at = grid; grid > 0 && at < bounds[2] - 1e-6; at += grid) lines.push(`M${at * UNIT} 0V${height}`);
    for (let at = grid; grid > 0 && at < bounds[3] - 1e-6; at += grid) lines.push(`M0 ${at * UNIT}H${width}`);
    this.layers.ground.append(
      element("rect", { class: "area", width, height }),
      element("path", { class: "grid", d: lines.join("") }),
      element("rect", { class: "edge", width, height }),
    );
  }

  // Shows the whole area, or what is around the units at this moment.
  aim({ step, next, share }, follows) {
    const { width, height } = this.svg.getBoundingClientRect();
    if (!width || !height) return;
    const { cameras, isPlane } = this.episode;
    const box = follows && isPlane
      ? cameras[step].map((edge, i) => blend(edge, cameras[next][i], share))
      : this.whole;
    const [west, south, east, north] = fitted(box, width / height);
    const [x, y] = this.point([west, north]);
    const view = [x, y, (east - west) * UNIT, (north - south) * UNIT];
    this.svg.setAttribute("viewBox", view.map((value) => value.toFixed(1)).join(" "));
  }

  unit(thing, index) {
    const radius = thing.radius * UNIT;
    const group = element("g", { class: `unit ${thing.side}`, role: "img", "data-thing": index });
    group.append(element("title"), element("circle", { class: "mark", r: radius + 0.34 * UNIT }));
    if ("health" in thing.full) group.append(element("circle", { class: "halo", r: radius + 0.1 * UNIT }));
    const unit = { group, rings: {}, radius };
    let reach = radius + 0.07 * UNIT;
    for (const name of ["health", "shield"]) {
      if (!(name in thing.full)) continue;
      const width = name === "health" ? 0.11 * UNIT : 0.08 * UNIT;
      const ring = element("circle", {
        class: `bar-${name}`, r: reach, pathLength: 100, transform: "rotate(-90)", "stroke-width": width,
      });
      group.append(element("circle", { class: "track", r: reach, "stroke-width": width }), ring);
      unit.rings[name] = ring;
      reach += 0.11 * UNIT;
    }
    const inner = radius - 0.05 * UNIT;
    group.append(
      thing.corners
        ? element("polygon", { class: "body", points: polygon(thing.corners, inner) })
        : element("circle", { class: "body", r: inner }),
    );
    if ("cooldown" in this.episode.bars) {
      unit.cooldown = element("circle", {
        class: "cooldown", r: inner / 2, "stroke-width": inner, pathLength: 100, transform: "rotate(-90)",
      });
      group.append(unit.cooldown);
    }
    const size = Math.min(0.52 * UNIT, radius * 1.15);
    const text = element("text", { "font-size": size.toFixed(1) });
    text.textContent = thing.label;
    group.append(text);
    group.addEventListener("click", () => this.onSelect(index));
    return unit;
  }

  draw(time, { selected, pointed, head, layers }) {
    const { episode } = this;
    const moment = momentOf(episode, time);
    this.aim(moment, layers.follow);
    const places = episode.things.map((_, i) => placeAt(episode, i, moment));
    const acts = isAgent(episode, selected) && moment.step < episode.steps && episode.alive[moment.step][selected];
    const agent = acts ? selected : null;
    const seen = agent === null ? null : episode.visible[moment.step][agent];
    if (selected !== null && selected !== this.inFront) this.layers.units.append(this.units[selected].group);
    this.inFront = selected;
    this.units.forEach((unit, i) => {
      const isHere = episode.alive[moment.step][i];
      unit.group.style.display = isHere ? "" : "none";
      if (!isHere) return;
      const [x, y] = this.point(places[i]);
      unit.group.setAttribute("transform", `translate(${x.toFixed(1)} ${y.toFixed(1)})`);
      unit.group.classList.toggle("selected", i === selected);
      unit.group.classList.toggle("pointed", i === pointed);
      unit.group.classList.toggle("unseen", Boolean(layers.sight && seen && !seen[i]));
      this.gauges(unit, i, moment);
    });
    this.layers.below.replaceChildren(...this.below(moment, places, agent, head, layers));
    this.layers.above.replaceChildren(...this.above(moment, places, selected, layers));
  }

  gauges(unit, thing, moment) {
    const { episode } = this;
    for (const [name, ring] of Object.entries(unit.rings)) {
      const share = barAt(episode, name, thing, moment);
      ring.setAttribute("stroke-dasharray", `${(100 * share).toFixed(1)} 200`);
      if (name === "health") ring.setAttribute("stroke", healthColour(share));
      ring.style.display = share > 0 ? "" : "none";
    }
    if (unit.cooldown) {
      const share = barAt(episode, "cooldown", thing, moment);
      unit.cooldown.setAttribute("stroke-dasharray", `${(100 * share).toFixed(1)} 200`);
      unit.cooldown.style.display = share > 0.01 ? "" : "none";
    }
    const spoken = this.spoken(thing, moment.step);
    unit.group.setAttribute("aria-label", spoken);
    unit.group.firstChild.textContent = spoken;
  }

  spoken(thing, step) {
    const { name, kind, full } = this.episode.things[thing];
    const points = Object.keys(full).map((bar) => {
      const share = this.episode.bars[bar][step][thing] / HUNDRED;
      return `${bar} ${Math.round(share * full[bar])} of ${Math.round(full[bar])}`;
    });
    return [name, kind, ...points].filter(Boolean).join(", ");
  }

  below(moment, places, agent, head, layers) {
    const { episode } = this;
    const drawn = [];
    if (agent !== null && layers.sight) {
      drawn.push(...this.ranges(places[agent], agent));
    }
    episode.things.forEach((thing, i) => {
      if (!episode.alive[moment.step][i] && episode.bars.health) drawn.push(this.cross(i, moment));
      else if (layers.trails && moment.step > 0) drawn.push(this.trail(i, moment, places[i]));
    });
    if (agent !== null && layers.attention) {
      drawn.push(...this.attention(moment.step, agent, places, head));
    }
    return drawn.filter(Boolean);
  }

  ranges(place, agent) {
    const [cx, cy] = this.point(place);
    const { ranges } = this.episode.things[agent];
    const classes = { sight: "sight", attack: "reach" };
    const square = !this.episode.isPlane; // on a grid of cells
    return Object.entries(ranges).map(([name, radius]) => {
      const r = radius * UNIT;
      if (!square) return element("circle", { class: classes[name] || "reach", cx, cy, r });
      return element("rect", { class: classes[name] || "reach", x: cx - r, y: cy - r, width: 2 * r, height: 2 * r, rx: 6 });
    });
  }

  cross(thing, moment) {
    const [x, y] = this.point(placeAt(this.episode, thing, { ...moment, share: 0 }));
    const a = 0.24 * UNIT;
    return element("path", {
      class: `dead ${this.episode.things[thing].side}`, "stroke-width": 0.1 * UNIT,
      d: `M${x - a} ${y - a}L${x + a} ${y + a}M${x - a} ${y + a}L${x + a} ${y - a}`,
    });
  }

  trail(thing, moment, place) {
    const past = [];
    for (let step = Math.max(0, moment.step - TRAIL_STEPS); step <= moment.step; step++) {
      past.push(placeAt(this.episode, thing, { step, next: step, share: 0 }));
    }
    const points = [...past, place].map((p) => this.point(p).map((v) => v.toFixed(1)).join(","));
    const { side, radius } = this.episode.things[thing];
    return element("polyline", { class: `trail ${side}`, points: points.join(" "), "stroke-width": radius * 0.3 * UNIT });
  }

  attention(step, agent, places, head) {
    const weights = attentionOf(this.episode, step, agent, head);
    const [x1, y1] = this.point(places[agent]);
    return weights.map((weight, i) => {
      const share = weight / HUNDRED;
      if (i === agent || share < FAINTEST_ATTENTION) return null;
      const [x2, y2] = this.point(places[i]);
      const width = (0.04 + 0.5 * share) * UNIT;
      // A bow, so that it does not hide a shot at the same unit.
      const [cx, cy] = [(x1 + x2) / 2 - (y2 - y1) * BOW, (y1 + y2) / 2 + (x2 - x1) * BOW];
      const d = `M${x1} ${y1}Q${cx} ${cy} ${x2} ${y2}`;
      return element("path", { class: "attends", d, "stroke-width": width.toFixed(1) });
    });
  }

  above(moment, places, selected, layers) {
    const { episode } = this;
    if (moment.step >= episode.steps) return [];
    const drawn = [];
    if (layers.shots) {
      const hits = episode.shots[moment.step] || [];
      const fired = new Set(hits.map(([from]) => from));
      for (const [from, to] of hits) drawn.push(...this.shot(from, to, moment, places, true));
      for (let agent = 0; agent < episode.agents; agent++) {
        const target = episode.targets[agent][episode.chosen[moment.step][agent]];
        if (target >= 0 && !fired.has(agent)) drawn.push(...this.shot(agent, target, moment, places, false));
      }
    }
    for (let agent = 0; agent < episode.agents; agent++) {
      const direction = episode.directions[episode.chosen[moment.step][agent]];
      if (direction && episode.alive[moment.step][agent]) {
        drawn.push(this.arrow(places[agent], agent, direction, agent === selected));
      }
    }
    if (moment.share > 0) {
      episode.things.forEach((_, i) => drawn.push(this.change(i, moment, places[i])));
    }
    return drawn.filter(Boolean);
  }

  shot(from, to, moment, places, hits) {
    const { things } = this.episode;
    const [a, b] = [this.point(places[from]), this.point(places[to])];
    const length = Math.hypot(b[0] - a[0], b[1] - a[1]) || 1;
    const way = [(b[0] - a[0]) / length, (b[1] - a[1]) / length];
    const [leave, reach] = [from, to].map((i) => (things[i].radius + 0.16) * UNIT);
    if (length < leave + reach + 2) return [];
    const [x1, y1] = [a[0] + way[0] * leave, a[1] + way[1] * leave];
    const [x2, y2] = [b[0] - way[0] * reach, b[1] - way[1] * reach];
    const isFriend = things[from].side === things[to].side;
    const kind = isFriend ? "heal" : things[from].side === "enemy" ? "enemy" : "";
    const width = (hits ? 0.07 : 0.05) * UNIT;
    const drawn = [
      element("line", { class: `shot ${kind} ${hits ? "" : "aimed"}`, x1, y1, x2, y2, "stroke-width": width }),
    ];
    if (hits) {
      const share = moment.share > 0 ? Math.min(1, moment.share * 1.4) : 1;
      const [cx, cy] = [blend(x1, x2, share), blend(y1, y2, share)];
      drawn.push(element("circle", { class: `bullet ${kind}`, cx, cy, r: 0.13 * UNIT }));
    }
    return drawn;
  }

  arrow(place, agent, [dx, dy], isSelected) {
    const { radius, side } = this.episode.things[agent];
    const [x, y] = this.point(place);
    const turn = (Math.atan2(-dy, dx) * 180) / Math.PI;
    const [start, end, head] = [(radius + 0.24) * UNIT, (radius + 0.62) * UNIT, 0.14 * UNIT];
    return element("path", {
      class: `arrow ${side} ${isSelected ? "selected" : ""}`, "stroke-width": 0.09 * UNIT,
      transform: `translate(${x.toFixed(1)} ${y.toFixed(1)}) rotate(${turn.toFixed(0)})`,
      d: `M${start} 0H${end}M${end - head} ${-head}L${end} 0L${end - head} ${head}`,
    });
  }

  change(thing, moment, place) {
    const change = Math.round(changeOf(this.episode, thing, moment.step));
    if (!change || !this.episode.alive[moment.step][thing]) return null;
    const [x, y] = this.point(place);
    const rise = (this.episode.things[thing].radius + 0.45 + 0.5 * moment.share) * UNIT;
    const text = element("text", {
      class: `change ${change < 0 ? "loss" : "gain"}`, x, y: y - rise, "font-size": 0.5 * UNIT,
      opacity: (1.2 - moment.share).toFixed(2),
    });
    text.textContent = change < 0 ? `−${-change}` : `+${change}`;
    return text;
  }
}
