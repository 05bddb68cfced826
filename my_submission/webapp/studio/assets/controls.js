// Actions of keys, buttons and gestures: playback, playhead, loop, mix and view.

const PLAYING = "mdx-playing"; // one playback at a time on a page

/**
 * @typedef {import("./keyboard.js").Actions & import("./transport.js").TransportActions} Actions
 * @typedef {object} Controlled
 * @property {import("./player.js").Player} player
 * @property {import("./mix.js").Mix} mix
 * @property {import("./viewport.js").Viewport} view
 * @property {import("./loop.js").Loop} loop
 * @property {() => number | null} rate sample rate of what can be played, or null
 * @property {(region: import("./schedule.js").Region | null) => void} showRegion while it is being chosen
 * @property {() => void} showHelp
 * @property {(text: string) => void} announce for screen readers
 */

/** The controls of a song; dispatches "change" when playback is requested or stopped, "moved" for the playhead. */
export class Controls extends EventTarget {
  #parts;
  #isArmed = false;
  #listeners = new AbortController();

  /** @param {Controlled} parts */
  constructor(parts) {
    super();
    this.#parts = parts;
    const { player, loop } = parts;
    const { signal } = this.#listeners;
    loop.addEventListener("change", () => this.#onLoop());
    document.addEventListener(PLAYING, (event) => {
      if (/** @type {CustomEvent} */ (event).detail !== this) player.pause();
    }, { signal });
    document.addEventListener("visibilitychange", () => {
      if (document.visibilityState === "visible" && player.isWanted) player.play();
    }, { signal });
  }

  /** Release the listeners. */
  close() {
    this.#listeners.abort();
  }

  /** @returns {boolean} whether playback waits for the first result */
  get isArmed() {
    return this.#isArmed;
  }

  /** @returns {number} where the playhead is, or the middle if it is not visible */
  get playheadShare() {
    const { player, view } = this.#parts;
    const share = view.shareOf(player.position);
    return share >= 0 && share <= 1 ? share : 0.5;
  }

  /** Play now, or as soon as there is a result. */
  play() {
    this.#isArmed = this.#parts.rate() === null;
    if (!this.#isArmed) {
      document.dispatchEvent(new CustomEvent(PLAYING, { detail: this }));
      this.#parts.player.play();
    }
    this.dispatchEvent(new Event("change"));
  }

  /** @param {number} sample */
  seek(sample) {
    this.#parts.player.seek(sample);
    this.#parts.view.follow(sample);
    this.dispatchEvent(new Event("moved"));
  }

  /** @returns {import("./gestures.js").Meaning} what gestures on the lanes do */
  get meaning() {
    const { view, loop, showRegion } = this.#parts;
    return {
      tap: (share) => this.seek(view.sampleAt(share)),
      select: (from, to, isOver) => {
        const region = loop.between(view.sampleAt(from), view.sampleAt(to));
        if (isOver) loop.set(region, true);
        else showRegion(region);
      },
      zoom: (factor, share) => view.zoomBy(factor, share),
      scroll: (share) => view.scrollBy(share),
      canScroll: () => !view.isWhole,
    };
  }

  /** @returns {Actions} what keys and buttons do */
  get actions() {
    const { player, mix, view, loop, showHelp, announce } = this.#parts;
    return {
      togglePlay: () => this.#togglePlay(),
      stop: () => this.#stop(),
      seek: (sample) => this.seek(sample),
      jump: (seconds) => this.#jump(seconds),
      toBeginning: () => this.seek(0),
      toggleLoop: () => {
        loop.toggle();
        announce(loop.isOn ? "Loop on" : "Loop off");
      },
      setLoopEdge: (edge) => loop.setEdge(edge, player.position),
      clearLoop: () => loop.set(null, false),
      mute: (number) => this.#toggle(number, "isMuted", ["muted", "not muted"]),
      solo: (number) => this.#toggle(number, "isSolo", ["solo", "not solo"]),
      toggleOriginal: () => {
        mix.setOriginal(!mix.isOriginal);
        announce(mix.isOriginal ? "Original song" : "Your mix");
      },
      zoom: (factor) => view.zoomBy(factor, this.playheadShare),
      showAll: () => view.showAll(),
      showHelp,
      announce,
    };
  }

  /**
   * Switch a setting of a stem.
   * @param {number} number of the stem, from 1
   * @param {"isMuted" | "isSolo"} setting
   * @param {[string, string]} words for on and off
   */
  #toggle(number, setting, words) {
    const { mix, announce } = this.#parts;
    const name = mix.stems[number - 1];
    if (!name) return;
    const isOn = !mix.strip(name)[setting];
    mix.set(name, { [setting]: isOn });
    announce(`${name} ${isOn ? words[0] : words[1]}`);
  }

  #togglePlay() {
    const { player } = this.#parts;
    if (player.isWanted && player.status !== "blocked") {
      player.pause();
      this.dispatchEvent(new Event("moved"));
    } else if (this.#isArmed) {
      this.#isArmed = false;
      this.dispatchEvent(new Event("change"));
    } else {
      this.play();
    }
  }

  #stop() {
    this.#isArmed = false;
    this.#parts.player.pause();
    this.seek(0);
  }

  /** @param {number} seconds */
  #jump(seconds) {
    const rate = this.#parts.rate();
    if (rate !== null) this.seek(this.#parts.player.position + seconds * rate);
  }

  /** Repeat the chosen region, from its start where the playhead is outside. */
  #onLoop() {
    const { player, loop } = this.#parts;
    const { region, isOn, repeated } = loop;
    player.setLoop(repeated);
    const { position } = player;
    if (isOn && region && (position < region.start || position >= region.end)) this.seek(region.start);
  }
}
