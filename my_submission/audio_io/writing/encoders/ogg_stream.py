"""Ogg files (RFC 3533) whose serial number and comments are ours.

libsndfile gives every stream a random serial number and knows neither covers nor tempo. Its pages are written again
with a serial number that follows from the stem's name, our comment header and new page numbers; packets with audio are
unchanged.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator, Sequence

from my_submission.audio_io.decoding.ogg_pages import CONTINUED, FIRST_PAGE, PAGE_HEADER, page_checksum
from my_submission.audio_io.writing.encoders.encoder import EncodingError, OutputFile

_NO_PACKET_ENDS = -1
"""Granule position of a page on which no packet ends."""

_MAX_SEGMENTS, _SEGMENT_BYTES = 255, 255

_COMMENT_HEADS = {b"\x01vorbis": (b"\x03vorbis", 3), b"OpusHead": (b"OpusTags", 2)}
"""Start of the first packet to the start of the comment packet, and the number of header packets."""


class OggStream:
    """A file object for libsndfile that writes its pages to another file, with our serial number and comments.

    Args:
        output: the file.
        serial: serial number of the stream, 0 … 2³² − 1.
        comments: content of the comment header after the vendor's name, see :mod:`..tags.vorbis_comments`; default:
            no comments.

    Attributes:
        output: the file.
    """

    def __init__(self, output: OutputFile, *, serial: int, comments: bytes = bytes(4)) -> None:
        self.output = output
        self._serial, self._comments = serial, comments
        self._received = self._position = 0
        self._waiting = bytearray()
        self._packets: list[bytes] = []
        self._segments = bytearray()
        self._n_headers: int | None = None
        self._next_number: int | None = None

    def write(self, data: bytes) -> int:
        """Take the next bytes; return their number, or 0 after an error."""
        if self._position != self._received:
            self.output.failure = self.output.failure or OSError("libsndfile changed an Ogg page that it had written")
        if self.output.failure is not None:
            return 0
        self._received += len(data)
        self._position = self._received
        self._waiting += data
        for flags, granule, table, content in self._whole_pages():
            if self._next_number is None:
                self._take_header(flags, table, content)
            else:
                self._put(flags, granule, table, content)
        return 0 if self.output.failure is not None else len(data)

    def read(self, n_bytes: int = -1) -> bytes:
        """Return nothing: the file is only written."""
        return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move to an offset among the bytes received, and return it."""
        base = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._received}[whence]
        self._position = base + offset
        return self._position

    def tell(self) -> int:
        """Return the offset among the bytes received."""
        return self._position

    def finish(self) -> None:
        """Check that every byte received belongs to a page that was written.

        Raises:
            EncodingError: one does not.
        """
        if self._waiting or self._next_number is None:
            raise EncodingError("the encoder's last Ogg page is incomplete")

    def _whole_pages(self) -> Iterator[tuple[int, int, bytes, bytes]]:
        """Yield flags, granule position, segment table and content of each complete page received."""
        start = 0
        while len(self._waiting) >= start + PAGE_HEADER.size:
            _, _, flags, granule, _, _, _, n_segments = PAGE_HEADER.unpack_from(self._waiting, start)
            begin = start + PAGE_HEADER.size + n_segments
            table = bytes(self._waiting[start + PAGE_HEADER.size : begin])
            stop = begin + sum(table)
            if len(table) < n_segments or stop > len(self._waiting):
                break
            yield flags, granule, table, bytes(self._waiting[begin:stop])
            start = stop
        del self._waiting[:start]

    def _take_header(self, flags: int, table: bytes, content: bytes) -> None:
        """Collect header packets, and write all of them once they are complete."""
        position = 0
        for n_bytes in table:
            self._segments += content[position : position + n_bytes]
            position += n_bytes
            if n_bytes < _SEGMENT_BYTES:
                self._packets.append(bytes(self._segments))
                self._segments.clear()
        first = self._packets[0]
        head, n_headers = next(known for start, known in _COMMENT_HEADS.items() if first.startswith(start))
        if len(self._packets) == n_headers:
            self._next_number = 0
            self._packets[1] = _with_comments(self._packets[1], head, self._comments)
            for pages in ([first], self._packets[1:]):
                self._put_packets(pages)

    def _put_packets(self, packets: Sequence[bytes]) -> None:
        """Write header packets to pages of their own."""
        tables, content = bytearray(), b"".join(packets)
        ends = []
        for packet in packets:
            tables += bytes([_SEGMENT_BYTES] * (len(packet) // _SEGMENT_BYTES)) + bytes([len(packet) % _SEGMENT_BYTES])
            ends.append(len(tables))
        position = 0
        for start in range(0, len(tables), _MAX_SEGMENTS):
            table = bytes(tables[start : start + _MAX_SEGMENTS])
            flags = FIRST_PAGE if self._next_number == 0 else 0
            flags |= CONTINUED if start and start not in ends else 0
            granule = 0 if any(start < end <= start + len(table) for end in ends) else _NO_PACKET_ENDS
            self._put(flags, granule, table, content[position : position + sum(table)])
            position += sum(table)

    def _put(self, flags: int, granule: int, table: bytes, content: bytes) -> None:
        number = self._next_number or 0
        head = PAGE_HEADER.pack(b"OggS", 0, flags, granule, self._serial, number, 0, len(table))
        checksum = page_checksum(head + table + content)
        self.output.write(head[:22] + struct.pack("<I", checksum) + head[26:] + table + content)
        self._next_number = number + 1


def _with_comments(packet: bytes, head: bytes, comments: bytes) -> bytes:
    """Return a comment packet with the vendor's name of another one, and other comments."""
    (n_vendor,) = struct.unpack_from("<I", packet, len(head))
    vendor = packet[len(head) : len(head) + 4 + n_vendor]
    end = b"\x01" if head == b"\x03vorbis" else b""  # the framing bit, which Opus does not have
    return head + vendor + comments + end
