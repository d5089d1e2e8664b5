// The data of an episode, and what follows from it. No function here touches the page.

const STEPS_PER_SECOND = 4;
const HUNDRED = 100; // positions are hundredths of a unit, shares are percent

async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return (await new Response(stream).json()).map(prepared);
}

function prepared(episode) {
  episode.steps = episode.chosen.length;
  episode.heads = episode.steps ? episode.attention[0][0].length : 0;
  let sum = 0;
  episode.isPlane = episode.bounds.join() !== episode.area.join();
  episode.cameras = camerasOf(episode);
  episode.returns = [0, ...episode.rewards.map((reward) => (sum += reward))];
  return episode;
}

function blend(before, after, share) {
  return before + (after - before) * share;
}

// A moment is a step and the share of the way to the next one: 3.25 is a quarter after step 3.
function momentOf(episode, time) {
  const step = Math.min(Math.floor(time), episode.steps);
  const share = step < episode.steps ? time - step : 0;
  return { step, next: Math.min(step + 1, episode.steps), share };
}

function placeAt(episode, thing, { step, next, share }) {
  const [before, after] = [episode.position[step][thing], episode.position[next][thing]];
  return [blend(before[0], after[0], share) / HUNDRED, blend(before[1], after[1], share) / HUNDRED];
}

function barAt(episode, name, thing, { step, next, share }) {
  return blend(episode.bars[name][step][thing], episode.bars[name][next][thing], share) / HUNDRED;
}

// The bars that a thing has: those with a largest value, and those that are plain shares.
function barsOf(episode, thing) {
  const full = episode.things[thing].full;
  const anyFull = Object.keys(full).length > 0;
  return Object.keys(episode.bars).filter((name) => {
    if (name in full) return true;
    return anyFull && !episode.things.some((other) => name in other.full);
  });
}

function isAgent(episode, thing) {
  return thing !== null && thing < episode.agents;
}

function actionName(episode, agent, action) {
  const target = episode.targets[agent][action];
  const name = episode.actions[agent][action];
  return target < 0 ? name : `${name} (${episode.things[target].kind})`;
}

function attentionOf(episode, step, agent, head) {
  const heads = episode.attention[step][agent];
  if (head !== "mean") return heads[head];
  return heads[0].map((_, thing) => heads.reduce((sum, row) => sum + row[thing], 0) / heads.length);
}

function countAlive(episode, side, step) {
  const ours = episode.things.map((thing, i) => [thing, i]).filter(([thing]) => thing.side === side);
  return [ours.filter(([, i]) => episode.alive[step][i]).length, ours.length];
}

function resultOf(episode) {
  const end = episode.truncated ? ", time limit" : "";
  if (episode.success === 1) return `${episode.results[0]}${end}`;
  if (episode.success === 0) return `${episode.results[1]}${end}`;
  return `${Math.round(HUNDRED * episode.success)} % success${end}`;
}

function deathsOf(episode) {
  const deaths = [];
  for (let step = 1; step <= episode.steps; step++) {
    episode.things.forEach((thing, i) => {
      if (episode.alive[step - 1][i] && !episode.alive[step][i]) deaths.push([step, thing.side]);
    });
  }
  return deaths;
}

// What a thing has lost (below 0) or gained within a step, in points of its bars.
function changeOf(episode, thing, step) {
  const full = episode.things[thing].full;
  const next = Math.min(step + 1, episode.steps);
  return Object.keys(full).reduce((sum, name) => {
    const bar = episode.bars[name];
    return sum + ((bar[next][thing] - bar[step][thing]) / HUNDRED) * full[name];
  }, 0);
}

// The part of the map around what is there, at each step: [west, south, east, north].
const MARGIN = 2.2; // units of the map
const SMALLEST_VIEW = 13;
const CALM_STEPS = 5; // the camera averages over so many steps before and after

function camerasOf(episode) {
  const boxes = episode.position.map((places, step) => {
    const here = places.filter((_, i) => episode.alive[step][i]);
    const ends = [0, 1].map((axis) => here.map((place) => place[axis] / HUNDRED));
    return [
      Math.min(...ends[0]) - MARGIN, Math.min(...ends[1]) - MARGIN,
      Math.max(...ends[0]) + MARGIN, Math.max(...ends[1]) + MARGIN,
    ];
  });
  return boxes.map((_, step) => {
    const near = boxes.slice(Math.max(0, step - CALM_STEPS), step + CALM_STEPS + 1).filter((box) => box.every(Number.isFinite));
    return [0, 1, 2, 3].map((i) => near.reduce((sum, box) => sum + box[i], 0) / near.length);
  });
}

// A box of this ratio of width to height around another one.
function fitted([west, south, east, north], ratio) {
  const middle = [(west + east) / 2, (south + north) / 2];
  const height = Math.max(SMALLEST_VIEW / Math.max(ratio, 1), north - south, (east - west) / ratio);
  const width = height * ratio;
  return [middle[0] - width / 2, middle[1] - height / 2, middle[0] + width / 2, middle[1] + height / 2];
}
