// What stands around the map: the score, the units to choose from, and the selected one in numbers.

const ROWS_IN_ONE_COLUMN = 24;

function html(name, attributes = {}, children = []) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key === "onclick" || key === "onpointerenter" || key === "onpointerleave") made[key] = value;
    else made.setAttribute(key, value);
  }
  made.append(...[].concat(children));
  return made;
}

function barOf(share, colour = "") {
  const width = Math.max(0, Math.min(1, share)) * 100;
  const fill = html("i", { style: `width:${width.toFixed(1)}%` });
  return html("div", { class: "bar", style: colour ? `color:${colour}` : "" }, fill);
}

function drawScore(root, episode, moment) {
  const { step, next, share } = moment;
  const armies = episode.curves.map((curve, i) => {
    const [alive, all] = countAlive(episode, curve.side, step);
    const value = blend(curve.values[step], curve.values[next], share);
    const count = all ? `${alive} / ${all}` : "";
    const words = episode.bars.health ? count : `${Math.round(100 * value)} %`;
    return html("div", { class: `army ${curve.side} ${i ? "right" : ""}` }, [
      html("div", {}, `${curve.name}  ${words}`), barOf(value),
    ]);
  });
  const state = step < episode.steps ? `return ${episode.returns[step].toFixed(1)}` : resultOf(episode);
  const result = html("div", { class: "result" }, [html("strong", {}, episode.title), html("span", {}, state)]);
  root.replaceChildren(armies[0] || html("div"), result, ...(armies.length > 1 ? armies.slice(1) : [html("div")]));
}

function drawTeams(root, episode, step, selected, onSelect) {
  const sides = [...new Set(episode.things.map((thing) => thing.side))];
  const rows = sides.map((side) => {
    const chips = episode.things.map((thing, i) => {
      if (thing.side !== side) return null;
      const content = [html("b", {}, thing.label || thing.name)];
      if (episode.bars.health) {
        const health = episode.bars.health[step][i] / HUNDRED;
        content.push(barOf(health, healthColour(health)));
      }
      const isHere = episode.alive[step][i];
      return html("button", {
        type: "button", class: `chip ${side} ${isHere ? "" : "gone"}`, "data-chip": i,
        "aria-pressed": String(i === selected), "aria-label": `${thing.name}${isHere ? "" : ", gone"}`,
        title: `${thing.name} ${thing.kind}`, onclick: () => onSelect(i),
      }, content);
    });
    return html("div", { class: "chips", role: "group", "aria-label": `units: ${side}` }, chips.filter(Boolean));
  });
  const focused = root.contains(document.activeElement) && document.activeElement.dataset.chip;
  root.replaceChildren(...rows);
  if (focused) root.querySelector(`[data-chip="${focused}"]`)?.focus();
}

function drawCard(root, episode, step, selected) {
  if (selected === null) {
    root.replaceChildren(html("p", { class: "hint" }, "Select a unit: its utilities and its attention stand here."));
    return;
  }
  const thing = episode.things[selected];
  const parts = [
    html("div", { class: "name" }, [html("b", { class: thing.side }, thing.name), html("span", {}, thing.kind)]),
  ];
  const stats = barsOf(episode, selected).flatMap((name) => {
    const share = episode.bars[name][step][selected] / HUNDRED;
    const full = thing.full[name];
    const words = full ? `${Math.round(share * full)} / ${Math.round(full)}` : `${Math.round(100 * share)} %`;
    const colours = { health: healthColour(share), shield: "var(--shield)" };
    return [
      html("span", { class: "label" }, name), barOf(share, colours[name] || "var(--muted)"),
      html("span", {}, words),
    ];
  });
  if (stats.length) parts.push(html("div", { class: "stats" }, stats));
  const state = stateOf(episode, step, selected);
  if (state) parts.push(html("div", { class: "does" }, state));
  root.replaceChildren(...parts);
}

function stateOf(episode, step, thing) {
  if (!episode.alive[step][thing]) return episode.bars.health ? "dead" : "gone";
  if (step === episode.steps) return "the episode is over";
  if (!isAgent(episode, thing)) return "";
  return `chooses ${actionName(episode, thing, episode.chosen[step][thing])}`;
}

function rowOf({ what, share, value, colour, classes, target, onPoint }) {
  return html("div", {
    class: `row ${classes}`, title: what, onpointerenter: () => onPoint(target), onpointerleave: () => onPoint(null),
  }, [html("span", { class: "what" }, what), barOf(share, colour), html("span", { class: "value" }, value)]);
}

function drawUtilities(root, episode, step, selected, onPoint) {
  const heading = html("div", { class: "heading" }, [
    html("h2", {}, "Utilities"), html("small", {}, "bars: least to greatest"),
  ]);
  if (!isAgent(episode, selected) || step === episode.steps || !episode.alive[step][selected]) {
    root.replaceChildren();
    return;
  }
  const values = episode.utilities[step][selected];
  const allowed = values.filter((value) => value !== null);
  const [least, most] = [Math.min(...allowed), Math.max(...allowed)];
  const rows = episode.actions[selected].map((name, action) => {
    // An action that this agent never may choose, such as "no-op" of one that lives, has no row.
    const ever = episode.utilities.some((at, t) => at[selected][action] !== null && episode.alive[t][selected]);
    if (!ever) return null;
    const value = values[action];
    const target = episode.targets[selected][action];
    const isChosen = episode.chosen[step][selected] === action;
    return rowOf({
      what: name,
      share: value === null ? 0 : most > least ? 0.03 + (0.97 * (value - least)) / (most - least) : 1,
      value: value === null ? "–" : value.toFixed(2),
      colour: target < 0 ? "var(--muted)" : `var(--${episode.things[target].side})`,
      classes: `${value === null ? "off" : ""} ${isChosen ? "chosen" : ""}`,
      target: target < 0 ? null : target, onPoint,
    });
  });
  root.replaceChildren(heading, rowsOf(rows));
}

function rowsOf(rows) {
  const shown = rows.filter(Boolean);
  return html("div", { class: `rows ${shown.length > ROWS_IN_ONE_COLUMN ? "many" : ""}` }, shown);
}

function drawAttention(root, episode, step, selected, head, onHead, onPoint) {
  if (selected === null || step === episode.steps || !episode.alive[step][selected]) {
    root.replaceChildren();
    return;
  }
  const own = isAgent(episode, selected);
  const heading = html("div", { class: "heading" }, [
    html("h2", {}, own ? "Attention" : "Attention of the agents to it"), headSelect(episode, head, onHead),
  ]);
  const others = own ? episode.things.map((_, i) => i) : Array.from({ length: episode.agents }, (_, i) => i);
  const rows = others.map((other) => {
    const [agent, thing] = own ? [selected, other] : [other, selected];
    const seen = episode.visible[step][agent][thing];
    const share = attentionOf(episode, step, agent, head)[thing] / HUNDRED;
    const { name, side } = episode.things[other];
    return rowOf({
      what: own && other === selected ? "itself" : name, share, colour: `var(--${side})`,
      value: seen ? `${Math.round(100 * share)} %` : episode.alive[step][other] ? "unseen" : "gone",
      classes: seen ? "" : "off", target: other, onPoint,
    });
  });
  root.replaceChildren(heading, rowsOf(rows));
}

function headSelect(episode, head, onHead) {
  const options = ["mean", ...Array.from({ length: episode.heads }, (_, i) => i)].map((value) => {
    const option = html("option", { value }, value === "mean" ? "mean of heads" : `head ${value + 1}`);
    option.selected = value === head;
    return option;
  });
  const select = html("select", { id: "head", "aria-label": "Attention head" }, options);
  select.addEventListener("change", () => onHead(select.value === "mean" ? "mean" : Number(select.value)));
  return select;
}

function drawCurves(svg, episode) {
  const [width, height] = [1000, 100];
  svg.setAttribute("viewBox", `0 0 ${width} ${height}`);
  const x = (step) => ((step / Math.max(1, episode.steps)) * width).toFixed(1);
  const y = (value) => (height * (0.94 - 0.88 * value)).toFixed(1);
  const drawn = episode.curves.flatMap(({ side, values }) => {
    const points = values.map((value, step) => `${x(step)},${y(value)}`).join(" ");
    return [
      element("polygon", { class: `under ${side}`, points: `0,${height} ${points} ${width},${height}` }),
      element("polyline", { class: `curve ${side}`, points }),
    ];
  });
  const deaths = deathsOf(episode).map(([step, side]) =>
    element("line", { class: `death ${side}`, x1: x(step), x2: x(step), y1: height, y2: height * 0.86 }),
  );
  svg.replaceChildren(...drawn, ...deaths);
}

function legendOf(episode) {
  const lines = ["Number: the unit's tag. Dimmed: the selected agent does not see it."];
  if (episode.bars.health) lines.push("Ring: health. Outer blue ring: shield. Dark wedge: the weapon's cooldown. Cross: dead.");
  if (episode.shots.some((pairs) => pairs.length)) {
    lines.push("Solid line: the weapon fires in this step. Dashed line: aims, but does not fire. Arrow: moves.");
  }
  if (episode.things.some((thing) => thing.side === "enemy")) {
    lines.push("No record says whom an enemy shoots at: the page takes the nearest ally in its range that loses health.");
  }
  lines.push("Violet lines: attention of the selected agent; wider means more. Violet area: its sight. Dashed circle: its weapon's range.");
  lines.push("At step t the page shows what the policy sees, its utilities, and the action it chooses from them.");
  return lines.map((line) => html("li", {}, line));
}
