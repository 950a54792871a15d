"""A RISC-V machine whose frame consists of symbols, and the paths that it can take.

One path is followed to its end. Where a condition depends on the frame and both sides are possible, a
copy of the machine is kept for the other side. An address that depends on the frame is followed for
each of its possible values. Nothing is approximated: the paths together are all frames of a length.
"""

import bits
import elf
import knowledge
import riscv
import terms

FRAME = 0x4000_0000_0000
STACK, STACK_SIZE = 0x5000_0000_0000, 1 << 16
FINDINGS, FINDINGS_SIZE = 0x6000_0000_0000, 1 << 12
# Where a function returns to that nothing else has called.
RETURNED = 0x7000_0000_0000

# More steps than any path takes; one that takes more may never end.
MOST_STEPS = 100_000
# How far from the frame an access counts as an attempt to read the frame.
NEAR = 1 << 20


class Violation(Exception):
    """A path does what no path may do."""


class Machine:
    """Registers, memory and what is known of the frame, at one place of one path."""

    def __init__(self, program, frame):
        self.program = program
        self.frame = frame
        self.registers = [0] * 32
        self.memory = {}
        # Conditions that were decided on this path, and numbers that were settled.
        self.decided = {}
        self.at = RETURNED
        # Which function is called.
        self.stage = None
        # A frame that takes this path: bytes by name, 0 where there is none.
        self.example = {}
        # What restricts the frame to this path.
        self.conditions = []
        # The other sides of this path.
        self.others = []

    def copy(self):
        other = object.__new__(Machine)
        other.__dict__ = dict(self.__dict__)
        other.registers = list(self.registers)
        other.memory = dict(self.memory)
        other.decided = dict(self.decided)
        other.example = dict(self.example)
        other.conditions = list(self.conditions)
        return other

    def call(self, function, *arguments):
        """Prepares to call a function."""
        self.registers = [0] * 32
        self.registers[1] = RETURNED
        self.registers[2] = STACK + STACK_SIZE
        self.registers[10 : 10 + len(arguments)] = arguments
        self.memory = {a: v for a, v in self.memory.items() if a >= FINDINGS}
        self.at = self.program.symbols[function]
        self.stage = function

    def run(self):
        """Follows one path until the function returns."""
        panicked = self.program.symbols["panicked"]
        for _ in range(MOST_STEPS):
            if self.at == RETURNED:
                return
            if self.at == panicked:
                raise Violation(f"panics at {self.place_of_panic()}")
            self.at = self.program.instruction(self.at)(self)
        raise Violation(f"takes more than {MOST_STEPS} steps")

    def place_of_panic(self):
        start, length, line = (self.number(register) for register in self.registers[10:13])
        file = bytes(self.load(start + i, 1) for i in range(length)).decode()
        return f"{file}:{line}"

    # Conditions and numbers.

    def decide(self, condition):
        """Whether a condition holds on this path; the other side, if there is one, is left for later."""
        if type(condition) is bool:
            return condition
        if condition in self.decided:
            return self.decided[condition]
        holds = terms.evaluate(condition, self.example)
        contrary = bits.not_(condition)
        this, that = (condition, contrary) if holds else (contrary, condition)
        solution = knowledge.solution(self.conditions, that)
        if solution is not None:
            other = self.copy()
            other.example.update(solution)
            other.conditions.append(that)
            other.decided[condition] = not holds
            self.others.append(other)
            self.conditions.append(this)
        self.decided[condition] = holds
        return holds

    def number(self, value):
        """A value that must be known, such as an address: one of its possible values."""
        if type(value) is int:
            return value
        if value not in self.decided:
            number = terms.evaluate(value, self.example)
            self.decide(bits.equal(value, number))
            self.decided[value] = number
        return self.decided[value]

    # Memory.

    def load(self, address, size):
        """The bytes at an address, as a number of at least that size."""
        return bits.join([self.load_byte(a, address, size) for a in range(address, address + size)])

    def load_byte(self, address, start, size):
        if address in self.memory:
            return self.memory[address]
        offset = address - FRAME
        if 0 <= offset < len(self.frame):
            return self.frame[offset]
        if -NEAR <= offset < NEAR:
            of = f"a frame of {len(self.frame)} bytes"
            raise Violation(f"reads {size} bytes at offset {start - FRAME} of {of}")
        if STACK <= address < STACK + STACK_SIZE:
            # Padding that the compiler copies along.
            self.memory[address] = terms.symbol(f"unwritten_{self.stage}_{address}")
            return self.memory[address]
        constant = self.program.byte(address)
        if constant is None:
            raise Violation(f"reads {size} bytes at {start:#x}, where nothing is")
        return constant

    def store(self, address, size, value):
        stack = STACK <= address and address + size <= STACK + STACK_SIZE
        findings = FINDINGS <= address and address + size <= FINDINGS + FINDINGS_SIZE
        if not stack and not findings:
            raise Violation(f"writes {size} bytes at {address:#x}, outside the stack")
        for place in range(size):
            self.memory[address + place] = bits.byte(value, place)


class Program(elf.Program):
    """A program with its instructions decoded, each when it is first met."""

    def __init__(self, path):
        super().__init__(path)
        self.decoded = {}

    def byte(self, address):
        for start, content, _ in self.segments:
            if start <= address < start + len(content):
                return content[address - start]
        return None

    def instruction(self, at):
        if at not in self.decoded:
            self.decoded[at] = self._decode(at)
        return self.decoded[at]

    def _decode(self, at):
        for start, content, flags in self.segments:
            if flags & elf.EXECUTABLE and start <= at <= start + len(content) - 4:
                code = int.from_bytes(content[at - start :][:4], "little")
                try:
                    return riscv.decode(code, at)
                except riscv.Unknown as unknown:
                    raise Violation(f"meets an instruction it does not know: {unknown}") from None
        raise Violation(f"jumps to {at:#x}, where no instruction is")
