"""A server of the studio's addresses without Streamlit: synthetic stems, and a job that a test moves on by hand.

The studio is mounted as Streamlit mounts it: in an open shadow root, below a header that stays, under the page's own
content security policy.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import uvicorn
from PIL import Image
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import FileResponse, HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from my_submission.pictures.palettes import PALETTES, Palette
from my_submission.stems import Stems

ASSETS = Path(__file__).parents[3] / "my_submission" / "webapp" / "studio" / "assets"
PEAK_SAMPLES = 256
FORMATS = [{"name": "wav-PCM_16", "label": "WAV, 16 bit"}, {"name": "flac-PCM_24", "label": "FLAC, 24 bit"}]
POLICY = "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self'; connect-src 'self'"


def _theme(palette: Palette) -> str:
    names = {
        "background-color": palette.paper,
        "secondary-background-color": palette.wash,
        "text-color": palette.ink,
        "primary-color": palette.accent,
        "border-color": palette.line,
        "base-radius": "10px",
        "font": "sans-serif",
    }
    return " ".join(f"--st-{name}: {value};" for name, value in names.items())


PAGE = f"""<!doctype html><html lang="en"><title>Studio</title><meta name="viewport" content="width=device-width">
<style>
:root {{ {_theme(PALETTES["light"])} --mdx-top: 48px; }}
@media (prefers-color-scheme: dark) {{ :root {{ {_theme(PALETTES["dark"])} }} }}
body {{ margin: 0; background: var(--st-background-color); color: var(--st-text-color); font-family: sans-serif; }}
nav {{ position: sticky; top: 0; height: 48px; z-index: 9; background: var(--st-background-color); }}
main {{ max-width: 70rem; margin: 0 auto; padding: 1rem; }}
input {{ font: inherit; }}
</style>
<nav><label>Field <input id="field"></label></nav>
<main><h1>Separate</h1><div id="place"></div><p id="end" style="margin-top: 60rem">End of the page</p></main>
<script type="module" src="/harness.js"></script></html>"""

HARNESS = """
import mount from "/studio/test/mount.js";
const changes = [];
window.changes = changes;
window.appear = async () => {
  const host = document.createElement("div");
  document.querySelector("#place").replaceChildren(host);
  const shadow = host.attachShadow({ mode: "open" });
  shadow.innerHTML = '<div><div class="studio"></div></div>';
  const data = { base: "/song/token", assets: "/studio/test" };
  const setTriggerValue = (name, value) => changes.push([name, value]);
  window.disappear = await mount({ data, parentElement: shadow, setTriggerValue });
};
await window.appear();
"""


RECORDER = """
registerProcessor("recorder", class extends AudioWorkletProcessor {
  process([[left = new Float32Array(128), right = left]]) {
    this.port.postMessage({ frame: currentFrame, left: left.slice(), right: right.slice() });
    return true;
  }
});
"""
"""Keeps the sound that reaches the loudspeakers, with the frame of the clock."""


@dataclass
class StandIn:
    """The song of the server; a test changes it while the page looks on.

    Attributes:
        stems: per version, tracks to waveforms; "mixture" is their sum.
        requests: paths that were asked for.
        failing: part of a path to the number of times its request is answered with status 503.
    """

    stems: dict[str, Stems]
    rate: int = 44_100
    stretch_samples: int = 220_500
    name: str = "A song"
    version: str = "1"
    systems: dict[str, str] = field(default_factory=lambda: {"1": "starter-plus", "2": "kuielab-a"})
    job: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] | None = field(default_factory=dict)
    ready_samples: int | None = None
    is_deleted: bool = False
    requests: list[str] = field(default_factory=list)
    failing: dict[str, int] = field(default_factory=dict)
    keep_seconds: int = 3600

    @property
    def samples(self) -> int:
        return next(iter(self.stems[self.version].values())).shape[1]

    @property
    def ready(self) -> int:
        return self.samples if self.ready_samples is None else self.ready_samples

    def track(self, name: str) -> np.ndarray:
        stems = self.stems[self.version]
        return sum(stems.values()) if name == "mixture" else stems[name]  # type: ignore[return-value]

    def state(self) -> dict[str, Any]:
        seconds = self.samples / self.rate
        job = {"state": "done", "ahead": 0, "system": "starter-plus", "text": "", "share": 1.0, "left_seconds": None}
        return {
            "tag": str((self.version, self.ready, self.result, sorted(self.job.items()))),
            "song": {"name": self.name, "seconds": seconds, "rate": self.rate, "samples": self.samples},
            "job": {**job, "message": "", "notes": [], **self.job},
            "result": None if self.result is None else {**self._result(), **self.result},
            "keep_seconds": self.keep_seconds,
            "formats": FORMATS,
        }

    def _result(self) -> dict[str, Any]:
        names = ["mixture", *self.stems[self.version]]
        light, dark = (PALETTES[theme] for theme in ("light", "dark"))
        return {
            "version": self.version,
            "system": self.systems[self.version],
            "is_preview": False,
            "is_complete": self.ready == self.samples,
            "is_over": self.ready == self.samples or self.job.get("state") in {"stopped", "failed"},
            "is_separated": True,
            "ready_samples": self.ready,
            "samples": self.samples,
            "rate": self.rate,
            "stretch_samples": self.stretch_samples,
            "peak_samples": PEAK_SAMPLES,
            "tracks": [
                {
                    "name": name,
                    "is_stem": name != "mixture",
                    "colour_light": light.colour_of(name),
                    "colour_dark": dark.colour_of(name),
                    "clipped": 0,
                }
                for name in names
            ],
        }

    def peaks(self, name: str, first: int) -> bytes:
        ready = self.samples if name == "mixture" else self.ready
        wave = self.track(name)[:, :ready]
        n_bins = ready // PEAK_SAMPLES + (ready == self.samples and ready % PEAK_SAMPLES > 0)
        edges = [(PEAK_SAMPLES * bin_, PEAK_SAMPLES * (bin_ + 1)) for bin_ in range(first, n_bins)]
        pairs = [(wave[:, start:end].min(), wave[:, start:end].max()) for start, end in edges]
        return np.clip(np.round(16384 * np.array(pairs)), -32768, 32767).astype("<i2").tobytes()

    def stretch(self, name: str, index: int) -> bytes:
        wave = self.track(name)[:, index * self.stretch_samples : (index + 1) * self.stretch_samples]
        content = io.BytesIO()
        soundfile.write(content, 0.5 * wave.T, self.rate, format="FLAC", subtype="PCM_16")
        return content.getvalue()


def _song_routes(song: StandIn) -> list[Route]:
    async def state(request: Request) -> Response:
        for _ in range(100):
            if song.is_deleted or song.state()["tag"] != request.query_params.get("seen"):
                break
            await asyncio.sleep(0.01)
        return JSONResponse(song.state()) if not song.is_deleted else Response("This song was deleted.", 404)

    def peaks(request: Request) -> Response:
        if request.path_params["version"] != song.version:
            return Response("no such version", 404)
        return Response(song.peaks(request.path_params["track"], int(request.query_params["from"])))

    def play(request: Request) -> Response:
        index, version = request.path_params["index"], request.path_params["version"]
        end = min((index + 1) * song.stretch_samples, song.samples)
        if version != song.version or index * song.stretch_samples >= song.samples:
            return Response("no such stretch", 404)
        stopped = song.job.get("state") in {"stopped", "failed"}
        if end > song.ready and not (stopped and index * song.stretch_samples < song.ready):
            return Response("not separated yet", 425)
        return Response(song.stretch(request.path_params["track"], index), media_type="audio/flac")

    def picture(request: Request) -> Response:
        content = io.BytesIO()
        Image.linear_gradient("L").resize((int(request.query_params["width"]), 200)).save(content, "PNG")
        return Response(content.getvalue(), media_type="image/png")

    def file(request: Request) -> Response:
        headers = {"Content-Disposition": f'attachment; filename="{request.url.path.split("/")[-1]}"'}
        return Response(b"file", headers=headers)

    def stop(_: Request) -> Response:
        song.job["state"] = "stopping"
        return Response(status_code=204)

    def delete(_: Request) -> Response:
        song.is_deleted = True
        return Response(status_code=204)

    base = "/song/token"
    return [
        Route(f"{base}/state.json", state),
        Route(f"{base}/stop", stop, methods=["POST"]),
        Route(f"{base}/delete", delete, methods=["POST"]),
        Route(f"{base}/{{version}}/peaks/{{track}}", peaks),
        Route(f"{base}/{{version}}/play/{{track}}/{{index:int}}.flac", play),
        Route(f"{base}/{{version}}/picture/{{axis}}/{{track}}.png", picture),
        Route(f"{base}/{{version}}/download/{{form}}/{{what}}", file),
        Route(f"{base}/{{version}}/mix/{{form}}", file),
    ]


def application(song: StandIn) -> Any:
    """Return the ASGI application of a song and the page with its studio."""
    routes = [
        Route("/", lambda _: HTMLResponse(PAGE, headers={"Content-Security-Policy": POLICY})),
        Route("/harness.js", lambda _: Response(HARNESS, media_type="text/javascript")),
        Route("/recorder.js", lambda _: Response(RECORDER, media_type="text/javascript")),
        Route("/studio/test/{file}", lambda request: FileResponse(ASSETS / request.path_params["file"])),
        Route("/favicon.ico", lambda _: Response(status_code=204)),
        *_song_routes(song),
    ]
    inner = Starlette(routes=routes)

    async def counted(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            path = scope["path"]
            song.requests.append(path)
            part = next((part for part, times in song.failing.items() if part in path and times > 0), None)
            if part is not None:
                song.failing[part] -= 1
                await Response("try later", 503)(scope, receive, send)
                return
        await inner(scope, receive, send)

    return counted


@contextlib.contextmanager
def served(song: StandIn) -> Iterator[str]:
    """Serve a song on a free port, and give the page's address."""
    server = uvicorn.Server(uvicorn.Config(application(song), port=0, log_level="error", lifespan="off"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    try:
        while not server.started:
            thread.join(0.01)
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.should_exit = True
        thread.join()
