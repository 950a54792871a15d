"""Instructions of RV64IM with Zicond, without the compressed and the privileged ones.

[`decode`] gives a function that executes one instruction on a machine; it returns the address of the
next one. The machine decides conditions and knows memory; see `machine.py`.
"""

import bits


class Unknown(Exception):
    """No instruction that a compiler would have meant, for example a trap."""


def _field(code, low, width):
    return code >> low & (1 << width) - 1


def _immediate(code, *parts):
    """A signed number from pieces of the instruction: (place in it, width, place in the number)."""
    number, top = 0, 0
    for low, width, to in parts:
        number |= _field(code, low, width) << to
        top = max(top, to + width)
    return bits.signed(number, top)


def _set(machine, register, value):
    if register:
        machine.registers[register] = value


def _upper(code, rd, at):
    value = _immediate(code, (12, 20, 12)) & bits.MASK
    if code & 0x7F == 0x17:  # auipc
        value = value + at & bits.MASK

    def execute(machine):
        _set(machine, rd, value)
        return at + 4

    return execute


def _jal(code, rd, at):
    target = at + _immediate(code, (21, 10, 1), (20, 1, 11), (12, 8, 12), (31, 1, 20))

    def execute(machine):
        _set(machine, rd, at + 4)
        return target

    return execute


def _jalr(code, rd, at):
    base, offset = _field(code, 15, 5), _immediate(code, (20, 12, 0)) & bits.MASK

    def execute(machine):
        target = machine.number(bits.add(machine.registers[base], offset)) & ~1
        _set(machine, rd, at + 4)
        return target

    return execute


def _branch(code, _rd, at):
    target = at + _immediate(code, (8, 4, 1), (25, 6, 5), (7, 1, 11), (31, 1, 12))
    left, right, kind = _field(code, 15, 5), _field(code, 20, 5), _field(code, 12, 3)
    relation = {0: bits.equal, 4: bits.less, 6: bits.less_unsigned}[kind & 6]
    negated = kind & 1

    def execute(machine):
        holds = machine.decide(relation(machine.registers[left], machine.registers[right]))
        return at + 4 if holds == negated else target

    return execute


def _load(code, rd, at):
    base, offset = _field(code, 15, 5), _immediate(code, (20, 12, 0)) & bits.MASK
    kind = _field(code, 12, 3)
    size, is_signed = 1 << (kind & 3), kind < 4

    def execute(machine):
        address = machine.number(bits.add(machine.registers[base], offset))
        _set(machine, rd, bits.extend(machine.load(address, size), size * 8, is_signed))
        return at + 4

    return execute


def _store(code, _rd, at):
    base, source = _field(code, 15, 5), _field(code, 20, 5)
    offset = _immediate(code, (7, 5, 0), (25, 7, 5)) & bits.MASK
    size = 1 << _field(code, 12, 3)

    def execute(machine):
        address = machine.number(bits.add(machine.registers[base], offset))
        machine.store(address, size, machine.registers[source])
        return at + 4

    return execute


# By the function fields; where the second is part of an immediate, its low bits are masked out.
_IMMEDIATE = {0: bits.add, 2: bits.slt, 3: bits.sltu, 4: bits.xor, 6: bits.or_, 7: bits.and_}
_SHIFT = {(1, 0): bits.sll, (5, 0): bits.srl, (5, 0x20): bits.sra}
_SHIFT_WORD = {(1, 0): bits.sllw, (5, 0): bits.srlw, (5, 0x20): bits.sraw}
_REGISTER = {
    **{(0, 0): bits.add, (0, 0x20): bits.sub, (2, 0): bits.slt, (3, 0): bits.sltu},
    **{(4, 0): bits.xor, (6, 0): bits.or_, (7, 0): bits.and_},
    **_SHIFT,
    **{(0, 1): bits.mul, (1, 1): bits.mulh, (2, 1): bits.mulhsu, (3, 1): bits.mulhu},
    **{(4, 1): bits.div, (5, 1): bits.divu, (6, 1): bits.rem, (7, 1): bits.remu},
    **{(5, 7): bits.zero_if_zero, (7, 7): bits.zero_unless_zero},
}
_REGISTER_WORD = {
    **{(0, 0): bits.addw, (0, 0x20): bits.subw, (0, 1): bits.mulw},
    **_SHIFT_WORD,
    **{(4, 1): bits.divw, (5, 1): bits.divuw, (6, 1): bits.remw, (7, 1): bits.remuw},
}


def _with_immediate(code, rd, at):
    source, kind = _field(code, 15, 5), _field(code, 12, 3)
    is_word = code & 0x7F == 0x1B
    immediate = _immediate(code, (20, 12, 0)) & bits.MASK
    if kind in (1, 5):
        shifts = _SHIFT_WORD if is_word else _SHIFT
        operation, immediate = shifts[kind, _field(code, 25, 7) & ~1], _field(code, 20, 6)
    else:
        operation = bits.addw if is_word else _IMMEDIATE[kind]

    def execute(machine):
        _set(machine, rd, operation(machine.registers[source], immediate))
        return at + 4

    return execute


def _with_register(code, rd, at):
    table = _REGISTER_WORD if code & 0x7F == 0x3B else _REGISTER
    operation = table[_field(code, 12, 3), _field(code, 25, 7)]
    left, right = _field(code, 15, 5), _field(code, 20, 5)

    def execute(machine):
        _set(machine, rd, operation(machine.registers[left], machine.registers[right]))
        return at + 4

    return execute


_KINDS = {
    **{0x37: _upper, 0x17: _upper, 0x6F: _jal, 0x67: _jalr, 0x63: _branch, 0x03: _load, 0x23: _store},
    **{0x13: _with_immediate, 0x1B: _with_immediate, 0x33: _with_register, 0x3B: _with_register},
}


def decode(code, at):
    """The function that executes an instruction at an address."""
    try:
        return _KINDS[code & 0x7F](code, _field(code, 7, 5), at)
    except KeyError:
        raise Unknown(f"{code:#010x} at {at:#x}") from None
