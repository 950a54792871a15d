"""Every path of every frame of a length, through the parser and then through etherparse."""

import ipaddress
import struct

import bits
import machine
import terms

# `Findings` in proofs/src/main.rs.
LAYOUT = "<16s16sQQHHBBBB"
SIZE = struct.calcsize(LAYOUT)
OURS, THEIRS = machine.FINDINGS, machine.FINDINGS + SIZE


class Frames:
    """Frames of a length: `start` stands at the offset `at`, and all other bytes can be anything."""

    def __init__(self, length, at=0, start=b""):
        self.bytes = [terms.symbol(f"byte_{place}") for place in range(length)]
        self.bytes[at : at + len(start)] = start

    def one(self, example):
        """The frame of an example."""
        return bytes(_value(byte, example) for byte in self.bytes)


class Counterexample(Exception):
    """A frame, and what is wrong with it."""

    def __init__(self, frame, reason):
        super().__init__(f"a frame of {len(frame)} bytes\n    {frame.hex()}\n{reason}")


def prove(program, frames):
    """Follows all paths; how many there were, and on how many of them a packet was found."""
    paths = found = 0
    pending = [_call(program, frames.bytes)]
    while pending:
        path = pending.pop()
        path.others = pending
        try:
            _finish(path)
            if not _agrees(path):
                raise machine.Violation("what both find is not the same")
            if _findings(path, OURS, path.example)[-2]:
                found += 1
                _replay(program, frames.one(path.example), path)
        except machine.Violation as violation:
            raise _counterexample(path, frames, violation) from None
        paths += 1
    return paths, found


def _call(program, frame):
    path = machine.Machine(program, frame)
    path.call("ours", machine.FRAME, len(frame), OURS)
    return path


def _finish(path):
    """Runs what is left of both parsers."""
    path.run()
    if path.stage == "ours":
        path.call("theirs", machine.FRAME, len(path.frame), THEIRS)
        path.run()


def _agrees(path):
    """Whether both find the same; frames for which they may not are left for later."""
    return all(
        path.decide(bits.equal_bytes(path.memory[OURS + i], path.memory[THEIRS + i]))
        for i in range(SIZE)
    )


def _replay(program, frame, path):
    """What is computed with symbols is what is computed with numbers."""
    known = _call(program, list(frame))
    _finish(known)
    for place in OURS, THEIRS:
        if _findings(known, place, {}) != _findings(path, place, path.example):
            raise machine.Violation("the prover contradicts itself")


def _value(byte, example):
    return byte if type(byte) is int else terms.evaluate(byte, example)


def _findings(path, start, example):
    values = [_value(path.memory[start + i], example) for i in range(SIZE)]
    return struct.unpack(LAYOUT, bytes(values))


def _counterexample(path, frames, violation):
    lines = []
    for name, start in ("ours", OURS), ("theirs", THEIRS):
        if all(start + i in path.memory for i in range(SIZE)):
            lines.append(f"    {name}: {_text(_findings(path, start, path.example))}")
        else:
            lines.append(f"    {name}: {violation}")
            return Counterexample(frames.one(path.example), "\n".join(lines))
    return Counterexample(frames.one(path.example), "\n".join([str(violation), *lines]))


def _text(findings):
    """As a person reads it."""
    addresses, (at, length, *ports), versions = findings[:2], findings[2:6], findings[6:8]
    if not findings[-2]:
        return "no packet, or a faulty one"
    protocol, flags = findings[-2:]
    ends = []
    for address, version, port in zip(addresses, versions, ports):
        address = ipaddress.ip_address(address[:4] if version == 4 else address)
        ends.append(f"{address} port {port}")
    if protocol == 6:
        return f"TCP from {ends[0]} to {ends[1]}, flags {flags:#04x}"
    return f"UDP from {ends[0]} to {ends[1]}, {length} bytes at offset {at}"
