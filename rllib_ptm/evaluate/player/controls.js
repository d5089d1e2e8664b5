// The state of the page, and what changes it: buttons, keys, the address, and time.

const SPEEDS = [0.25, 0.5, 1, 2, 4, 8];
const LAYERS = { attention: "a", sight: "s", trails: "t", shots: "x", follow: "f" };
const PLAY = '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M4 2.5v11L13 8z"/></svg>';
const PAUSE = '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M3.5 3h3v10h-3zM9.5 3h3v10h-3z"/></svg>';
const SUN = '<svg viewBox="0 0 16 16" aria-hidden="true"><circle cx="8" cy="8" r="3"/><path d="M8 0v3M8 13v3M0 8h3M13 8h3M2.3 2.3l2.1 2.1M11.6 11.6l2.1 2.1M2.3 13.7l2.1-2.1M11.6 4.4l2.1-2.1" stroke="currentColor" stroke-width="1.5"/></svg>';
const MOON = '<svg viewBox="0 0 16 16" aria-hidden="true"><path d="M13.5 10A6 6 0 0 1 6 2.5 6 6 0 1 0 13.5 10z"/></svg>';

const $ = (id) => document.getElementById(id);

class Player {
  constructor(episodes) {
    this.episodes = episodes;
    this.state = { number: 0, time: 0, selected: 0, pointed: null, head: "mean", speed: 1, layers: {} };
    this.playing = false;
    this.still = matchMedia("(prefers-reduced-motion: reduce)").matches;
    this.map = new MapView($("map"), (thing) => this.select(thing));
    this.fillSelects();
    this.listen();
    this.setTheme(matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
    this.readAddress();
  }

  get episode() {
    return this.episodes[this.state.number];
  }

  get step() {
    return momentOf(this.episode, this.state.time).step;
  }

  fillSelects() {
    const groups = new Map();
    const policies = new Set(this.episodes.map((episode) => episode.policy));
    this.episodes.forEach((episode, number) => {
      const group = policies.size > 1 ? `${episode.task} · ${episode.policy}` : episode.task;
      if (!groups.has(group)) groups.set(group, html("optgroup", { label: group }));
      const place = groups.get(group).children.length + 1;
      const words = `${episode.title} · ${place} · ${resultOf(episode)} in ${episode.steps} steps`;
      const policy = policies.size > 1 ? `${episode.policy}: ` : "";
      groups.get(group).append(html("option", { value: number }, policy + words));
    });
    $("episode").replaceChildren(...groups.values());
    $("speed").replaceChildren(...SPEEDS.map((speed) => html("option", { value: speed }, `${speed}×`)));
    $("speed").value = this.state.speed;
  }

  listen() {
    const press = (id, act) => $(id).addEventListener("click", act);
    press("play", () => this.toggle());
    press("back", () => this.moveTo(this.step - 1));
    press("forth", () => this.moveTo(this.step + 1));
    press("first", () => this.moveTo(0));
    press("last", () => this.moveTo(this.episode.steps));
    press("previous", () => this.show(this.state.number - 1));
    press("next", () => this.show(this.state.number + 1));
    press("theme", () => this.setTheme(this.theme === "dark" ? "light" : "dark"));
    press("help-open", () => $("help").showModal());
    $("scrub").addEventListener("input", () => this.moveTo(Number($("scrub").value)));
    $("episode").addEventListener("change", () => this.show(Number($("episode").value)));
    $("speed").addEventListener("change", () => (this.state.speed = Number($("speed").value)));
    for (const layer of Object.keys(LAYERS)) {
      const box = $(`show-${layer}`);
      this.state.layers[layer] = box.checked;
      box.addEventListener("change", () => {
        this.state.layers[layer] = box.checked;
        this.draw();
      });
    }
    document.addEventListener("keydown", (event) => this.key(event));
    addEventListener("hashchange", () => this.readAddress());
    addEventListener("resize", () => this.draw());
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || $("help").open) return;
    const inSelect = event.target.tagName === "SELECT";
    const onButton = event.target.tagName === "BUTTON" || event.target.type === "checkbox";
    const layer = Object.keys(LAYERS).find((name) => LAYERS[name] === event.key.toLowerCase());
    const far = event.shiftKey ? 10 : 1;
    const actions = {
      ArrowLeft: () => this.moveTo(this.step - far), ArrowRight: () => this.moveTo(this.step + far),
      ArrowUp: () => this.selectNext(-1), ArrowDown: () => this.selectNext(1),
      Home: () => this.moveTo(0), End: () => this.moveTo(this.episode.steps),
      "+": () => this.faster(1), "=": () => this.faster(1), "-": () => this.faster(-1),
      "[": () => this.show(this.state.number - 1), "]": () => this.show(this.state.number + 1),
      d: () => $("theme").click(), D: () => $("theme").click(), "?": () => $("help").showModal(),
      Escape: () => this.select(null), " ": onButton ? null : () => this.toggle(),
    };
    const act = layer ? () => $(`show-${layer}`).click() : actions[event.key];
    if (!act || inSelect) return;
    event.preventDefault();
    act();
  }

  show(number, time = 0, selected = this.state.selected) {
    if (number < 0 || number >= this.episodes.length) return;
    this.pause();
    this.state.number = number;
    this.state.time = Math.max(0, Math.min(time, this.episode.steps));
    const isThere = selected !== null && selected >= 0 && selected < this.episode.things.length;
    this.state.selected = isThere ? selected : null;
    this.state.pointed = null;
    if (this.state.head !== "mean" && this.state.head >= this.episode.heads) this.state.head = "mean";
    $("episode").value = number;
    $("scrub").max = this.episode.steps;
    $("previous").disabled = number === 0;
    $("next").disabled = number === this.episodes.length - 1;
    document.title = `${this.episode.title} · rllib-ptm player`;
    $("show-follow").parentElement.hidden = !this.episode.isPlane;
    this.map.show(this.episode);
    drawCurves($("curves"), this.episode);
    $("legend").replaceChildren(...legendOf(this.episode));
    this.settle();
  }

  moveTo(step) {
    this.pause();
    this.state.time = Math.max(0, Math.min(step, this.episode.steps));
    this.settle();
  }

  select(thing) {
    this.state.selected = thing === this.state.selected ? null : thing;
    this.settle();
  }

  selectNext(by) {
    const count = this.episode.things.length;
    const from = this.state.selected ?? (by > 0 ? -1 : 0);
    this.state.selected = (from + by + count) % count;
    this.settle();
  }

  faster(by) {
    const place = SPEEDS.indexOf(this.state.speed) + by;
    this.state.speed = SPEEDS[Math.max(0, Math.min(place, SPEEDS.length - 1))];
    $("speed").value = this.state.speed;
  }

  toggle() {
    if (this.playing) {
      this.pause();
      this.settle();
      return;
    }
    if (this.state.time >= this.episode.steps) this.state.time = 0;
    this.playing = true;
    this.playButton();
    let last = null;
    const frame = (now) => {
      if (!this.playing) return;
      const seconds = last === null ? 0 : (now - last) / 1000;
      last = now;
      this.state.time = Math.min(this.state.time + seconds * STEPS_PER_SECOND * this.state.speed, this.episode.steps);
      if (this.state.time >= this.episode.steps) {
        this.pause();
        this.settle();
        return;
      }
      this.draw();
      requestAnimationFrame(frame);
    };
    requestAnimationFrame(frame);
  }

  // Playing stops at the step that has begun, where all that is shown belongs together.
  pause() {
    this.playing = false;
    this.state.time = this.step;
    this.playButton();
  }

  playButton() {
    $("play").innerHTML = this.playing ? PAUSE : PLAY;
    $("play").setAttribute("aria-label", this.playing ? "Pause" : "Play");
  }

  settle() {
    this.draw();
    this.writeAddress();
    const { selected } = this.state;
    const unit = selected === null ? "" : `, ${this.map.spoken(selected, this.step)}`;
    $("live").textContent = `step ${this.step} of ${this.episode.steps}${unit}`;
  }

  draw() {
    const { episode, state } = this;
    const { selected, pointed, head, layers } = state;
    const moment = momentOf(episode, state.time);
    const time = this.still ? moment.step : state.time;
    this.map.draw(time, { selected, pointed, head, layers });
    drawScore($("score"), episode, moment);
    $("scrub").value = state.time;
    $("scrub").setAttribute("aria-valuetext", `step ${moment.step} of ${episode.steps}`);
    const shown = [state.number, moment.step, selected, head].join();
    if (shown === this.shown) return;
    this.shown = shown;
    this.drawStep(moment.step);
  }

  // What changes with the step, not with every picture.
  drawStep(step) {
    const { episode } = this;
    const { selected, head } = this.state;
    const point = (thing) => {
      this.state.pointed = thing;
      if (!this.playing) this.draw();
    };
    const reward = step > 0 ? ` · reward ${episode.rewards[step - 1].toFixed(2)}` : "";
    $("clock").replaceChildren(
      html("span", { class: "word" }, "step "), html("b", {}, String(step)), ` / ${episode.steps}`,
      html("span", { class: "word" }, reward),
    );
    drawTeams($("teams"), episode, step, selected, (thing) => this.select(thing));
    drawCard($("card"), episode, step, selected);
    drawUtilities($("utilities"), episode, step, selected, point);
    drawAttention($("attention"), episode, step, selected, head, (chosen) => {
      this.state.head = chosen;
      this.draw();
      $("head").focus();
    }, point);
  }

  setTheme(theme) {
    this.theme = theme;
    document.documentElement.dataset.theme = theme;
    $("theme").innerHTML = theme === "dark" ? SUN : MOON;
  }

  // The address holds the moment: #episode=2&step=14&unit=3
  writeAddress() {
    const { number, selected } = this.state;
    const unit = selected === null ? "" : `&unit=${selected}`;
    history.replaceState(null, "", `#episode=${number + 1}&step=${this.step}${unit}`);
  }

  readAddress() {
    const given = new URLSearchParams(location.hash.slice(1));
    const read = (name, otherwise) => {
      const value = Number.parseInt(given.get(name), 10);
      return Number.isNaN(value) ? otherwise : value;
    };
    const number = Math.min(Math.max(read("episode", 1), 1), this.episodes.length) - 1;
    const unit = given.has("episode") && !given.has("unit") ? null : read("unit", 0);
    this.show(number, read("step", 0), unit);
  }
}

unpack($("data").textContent).then(
  (episodes) => (window.player = new Player(episodes)),
  (error) => document.body.append(html("p", { class: "notice" }, `The episodes cannot be read: ${error}`)),
);
