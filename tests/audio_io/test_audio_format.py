"""The format of stems: what it refuses, what it derives, and its plain values in records."""

from __future__ import annotations

import pytest

from my_submission.audio_io import WAV_16, WAV_FLOAT, AudioFormat
from my_submission.audio_io.writing.audio_format import FILE_FORMATS
from my_submission.errors import UnknownNameError


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"file_format": "wma"}, "no file format 'wma'. Choose one of wav, flac, aiff, mp3, ogg, opus, m4a"),
        (
            {"file_format": "flac", "bit_depth": "32f"},
            "flacfiles cannot store samples of 32f bits. Choose one of 16",
        ),
        ({"bit_depth": "8"}, "no bit depth '8'. Choose one of 16, 24, 32f"),
        ({"bitrate": 320}, "wav files have a bit depth, not a bit rate. Leave .* or choose one of mp3, ogg, opus, m4a"),
        ({"file_format": "mp3", "bit_depth": "16"}, "mp3 files have a bit rate, not a bit depth"),
        ({"file_format": "mp3", "bitrate": 300}, "MP3 has no bit rate of 300 kbit/s. Choose one of 64, 80, .*256, 320"),
        ({"file_format": "opus", "bitrate": 1000}, "opus files cannot have 1000 kbit/s. Choose 16 to 510 kbit/s"),
        ({"file_format": "m4a", "bitrate": 8}, "m4a files cannot have 8 kbit/s. Choose 32 to 512 kbit/s"),
        ({"bit_depth": "24", "dither": True}, "dither is for 16-bit files, not wav of 24 bits"),
        ({"file_format": "mp3", "dither": True}, "dither is for 16-bit files, not mp3 of 320k"),
        ({"clip": "wrap"}, "no clip mode 'wrap'. Choose one of none, rescale, limit"),
    ],
)
def test_nonsense_is_refused_with_what_is_possible(options: dict[str, object], message: str) -> None:
    with pytest.raises(UnknownNameError, match=message):
        AudioFormat(**options)  # type: ignore[arg-type]


def test_defaults_are_those_of_each_format() -> None:
    assert {name: (AudioFormat(name).bit_depth, AudioFormat(name).bitrate) for name in FILE_FORMATS} == {
        **dict.fromkeys(("wav", "flac", "aiff"), ("16", None)),
        **dict.fromkeys(("mp3", "ogg", "opus", "m4a"), (None, 320)),
    }
    assert AudioFormat("mp3") == AudioFormat("mp3", bitrate=320)
    assert [AudioFormat(name).suffix for name in ("aiff", "m4a")] == [".aiff", ".m4a"]
    assert [audio_format.can_clip for audio_format in (WAV_16, WAV_FLOAT, AudioFormat("opus"))] == [True, False, True]


def test_records_name_options_only_where_they_differ_from_those_of_older_versions() -> None:
    assert WAV_16.as_json() == {"file_format": "wav", "subtype": "PCM_16"}
    assert AudioFormat("flac", bit_depth="24").as_json() == {"file_format": "flac", "subtype": "PCM_24"}
    loud = AudioFormat("wav", dither=True, clip="limit")
    assert loud.as_json() == {"file_format": "wav", "subtype": "PCM_16", "dither": True, "clip": "limit"}
    assert AudioFormat("mp3", bitrate=192).as_json()["bitrate"] == 192
    for audio_format in (WAV_16, WAV_FLOAT, loud, *map(AudioFormat, FILE_FORMATS)):
        assert AudioFormat.from_json(audio_format.as_json()) == audio_format
    with pytest.raises(UnknownNameError, match="no bit depth 'PCM_8'"):
        AudioFormat.from_json({"file_format": "wav", "subtype": "PCM_8"})
