"""A statically linked program: its memory and its functions, from the ELF file."""

import struct

EXECUTABLE, WRITABLE = 1, 2
LOADED, SYMBOLS = 1, 2
RISC_V = 243


class Program:
    """What a loader would put into memory."""

    def __init__(self, path):
        with open(path, "rb") as file:
            self.file = file.read()
        if self.file[:6] != b"\x7fELF\x02\x01" or self._at("<H", 18) != (RISC_V,):
            raise ValueError(f"{path} is not a RISC-V program of 64 bits")
        self.segments = list(self._segments())
        self.symbols = dict(self._symbols())

    def _at(self, layout, offset):
        return struct.unpack_from(layout, self.file, offset)

    def _segments(self):
        """Address, content and flags of each."""
        (start,) = self._at("<Q", 32)
        size, count = self._at("<HH", 54)
        for offset in range(start, start + size * count, size):
            kind, flags, at, address, _, in_file, in_memory = self._at("<IIQQQQQ", offset)
            if kind == LOADED:
                content = self.file[at : at + in_file].ljust(in_memory, b"\0")
                yield address, content, flags

    def _symbols(self):
        """Name and address of each."""
        (start,) = self._at("<Q", 40)
        size, count = self._at("<HH", 58)
        headers = [self._at("<IIQQQQIIQQ", start + size * i) for i in range(count)]
        for _, kind, _, _, at, length, link, _, _, entry in headers:
            if kind != SYMBOLS:
                continue
            names = headers[link][4]
            for offset in range(at, at + length, entry):
                name, _, _, _, address = self._at("<IBBHQ", offset)
                end = self.file.index(b"\0", names + name)
                yield self.file[names + name : end].decode(), address
