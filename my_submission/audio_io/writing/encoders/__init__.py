"""Encoders of stems: one file each, written block by block."""

from my_submission.audio_io.writing.audio_format import AudioFormat
from my_submission.audio_io.writing.encoders.codec_limits import FileShape, file_shape
from my_submission.audio_io.writing.encoders.encoder import Encoder, EncodingError, StemFile
from my_submission.audio_io.writing.encoders.m4a_encoder import M4aEncoder, require_aac
from my_submission.audio_io.writing.encoders.sound_file_encoder import SoundFileEncoder, require_codec

__all__ = ["Encoder", "EncodingError", "FileShape", "StemFile", "file_shape", "open_encoder", "require_encoder"]


def open_encoder(file: StemFile) -> Encoder:
    """Open the encoder of a stem's file.

    Raises:
        EncodingError: the codec refuses the format, or the file cannot be written.
    """
    return M4aEncoder(file) if file.audio_format.file_format == "m4a" else SoundFileEncoder(file)


def require_encoder(audio_format: AudioFormat) -> None:
    """Refuse a format whose encoder is not installed, before any work.

    Raises:
        OutputError: the encoder is not installed.
    """
    if audio_format.file_format == "m4a":
        require_aac()
    else:
        require_codec(audio_format)
