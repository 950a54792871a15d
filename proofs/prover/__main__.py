"""Proves that the header parser agrees with etherparse: called by `cargo xtask prove`.

The only argument is the program of `proofs`. It is followed on as many frames at a time as there are
processors. Ends with 1 and a frame if there is one that breaks the proof.
"""

import multiprocessing
import sys
import time

import compare
import machine

IPV6 = bytes.fromhex("86dd")
ETHER_TYPE = 12

# Every frame up to the shortest with IPv6 and UDP, and those with IPv6 and one more header.
ALL_UP_TO = 62
IPV6_UP_TO = 70
FRAMES = [
    *((length,) for length in range(ALL_UP_TO + 1)),
    *((length, ETHER_TYPE, IPV6) for length in range(ALL_UP_TO + 1, IPV6_UP_TO + 1)),
]


def _prove(frames):
    """For one of `FRAMES`: the counts, or the text of the counterexample."""
    try:
        return compare.prove(_program, compare.Frames(*frames))
    except compare.Counterexample as counterexample:
        return str(counterexample)


def _open(path):
    global _program
    _program = machine.Program(path)


def main(path):
    begun = time.monotonic()
    paths = found = 0
    longest_first = FRAMES[::-1]
    with multiprocessing.Pool(initializer=_open, initargs=(path,)) as pool:
        for result in pool.imap_unordered(_prove, longest_first):
            if isinstance(result, str):
                print(f"the proof fails for {result}")
                return 1
            paths, found = paths + result[0], found + result[1]
    if not found:
        print("the proof means nothing: no packet was found on any path")
        return 1
    print(
        f"{paths} paths, {found} of them with a packet: every frame of up to {ALL_UP_TO} bytes, and "
        f"untagged IPv6 of up to {IPV6_UP_TO}, in {time.monotonic() - begun:.0f} s"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
