"""Time from the drop of a song on the page to its first sound, in a real browser on the same processors.

Usage: python -m benchmarks.first_sound [--seconds 180] [--rounds 3] [--song FILE]
The page is open before the drop and the default system is loaded, as for a visitor who looks at the page first. Printed
per round: seconds to the first sound and to the whole song, and their ratio, which depends less on the machine. With
--steps also the seconds at which the server and the browser reached each step.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.output_hashes import song
from tests.accessibility import SCREENS, running_chromium, watched
from tests.audio_fixtures import write_media
from tests.page_server import running_page

PATIENCE_MS = 600_000
WATCH = """() => {
  window.steps = {};
  const note = (step) => { window.steps[step] ??= performance.timeOrigin + performance.now(); };
  const look = () => {
    const root = document.querySelector("[data-testid=stBidiComponentIsolated]")?.shadowRoot;
    const transport = root?.querySelector(".transport");
    const play = transport?.hidden === false ? transport.querySelector(".play") : null;
    if (location.search.includes("song=")) note("address");
    if (play && !window.steps["studio, play is pressed"]) { note("studio, play is pressed"); play.click(); }
    if (root?.querySelector(".lane[data-track=mixture]")) note("lanes");
    if (transport?.dataset.status === "playing") { note("first sound"); play.click(); }
    if (root?.querySelector(".downloads a[href]")) note("whole song");
    else setTimeout(look, 20);
  };
  look();
}"""
"""Presses play as soon as it appears, records when the page reaches each step, and pauses after the first sound."""


@dataclass(frozen=True)
class Drop:
    """One dropped song: step to its seconds after the drop."""

    steps: dict[str, float]

    @property
    def ratio(self) -> float:
        """Time to the first sound over the time to the whole song."""
        return self.steps["first sound"] / self.steps["whole song"]


def drop(page: Any, address: str, path: Path) -> Drop:
    """Drop a song on the page, and wait for all of it."""
    page.goto(address)
    page.get_by_role("button", name="Upload", exact=True).wait_for()
    page.wait_for_load_state("networkidle")
    page.evaluate(WATCH)
    began = time.time()
    page.locator("input[type=file]").set_input_files(path)
    page.wait_for_function("() => window.steps['whole song']")
    steps = {step: milliseconds / 1000 - began for step, milliseconds in page.evaluate("window.steps").items()}
    page.get_by_role("button", name="Delete now", exact=True).click()
    page.get_by_role("button", name="Upload", exact=True).wait_for()
    return Drop(steps)


def main() -> int:
    """Print a table of seconds and ratios."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=180.0, help="length of a synthetic song, an MP3")
    parser.add_argument("--song", type=Path, help="a song of your own instead")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", action="store_true", help="print all steps")
    parser.add_argument("--threads", type=int, default=2, help="processors of the server")
    options = parser.parse_args()
    drops = []
    print("| first sound | whole song | ratio |\n|---|---|---|")
    with tempfile.TemporaryDirectory() as folder:
        path = options.song or write_media(Path(folder) / "song.mp3", [song(options.seconds)], codec="mp3")
        with (
            running_page(Path(folder) / "page", "--threads", str(options.threads)) as server,
            running_chromium() as browser,
            watched(browser, SCREENS[0], server.address) as page,
        ):
            page.set_default_timeout(PATIENCE_MS)
            drop(page, server.address, path)  # until the server has loaded the default system
            for _ in range(options.rounds):
                found = drop(page, server.address, path)
                drops.append(found)
                first, whole = found.steps["first sound"], found.steps["whole song"]
                print(f"| {first:.2f} s | {whole:.1f} s | {found.ratio:.3f} |", flush=True)
                if options.steps:
                    print("; ".join(f"{step} {seconds:.2f}" for step, seconds in found.steps.items()))
    first = statistics.median(each.steps["first sound"] for each in drops)
    print(f"median: {first:.2f} s, ratio {statistics.median(each.ratio for each in drops):.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
