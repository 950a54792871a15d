"""Arithmetic of 64 bits on numbers that may be symbols.

A value is an `int` from 0 to 2^64 - 1 where it is known, and a term where it depends on the frame.
"""

import z3

import terms

MASK = (1 << 64) - 1
_ZERO = z3.BitVecVal(0, 64)


def signed(value, width=64):
    """A known number as two's complement."""
    return value - (1 << width) if value >> (width - 1) & 1 else value


def _binary(on_known, on_symbols, neutral=None):
    """An operation; `neutral` on the right leaves the left operand as it is."""

    def on_terms(a, b):
        return on_symbols(terms.formula(a), terms.formula(b))

    def operation(a, b):
        if type(a) is int and type(b) is int:
            return on_known(a, b) & MASK
        if type(b) is int and b == neutral:
            return a
        return terms.make(on_terms, a, b)

    return operation


def _divide(a, b):
    """RISC-V: towards zero; a division by zero gives all ones."""
    if b == 0:
        return MASK
    a, b = signed(a), signed(b)
    return abs(a) // abs(b) * (1 if (a < 0) == (b < 0) else -1)


def _remainder(a, b):
    if b == 0:
        return a
    a, b = signed(a), signed(b)
    return abs(a) % abs(b) * (1 if a >= 0 else -1)


def _high(extend_a, extend_b):
    def of_symbols(a, b):
        return z3.Extract(127, 64, extend_a(64, a) * extend_b(64, b))

    return of_symbols


def _bit(condition):
    return z3.If(condition, z3.BitVecVal(1, 64), z3.BitVecVal(0, 64))


add = _binary(lambda a, b: a + b, lambda a, b: a + b, 0)
sub = _binary(lambda a, b: a - b, lambda a, b: a - b, 0)
xor = _binary(lambda a, b: a ^ b, lambda a, b: a ^ b, 0)
or_ = _binary(lambda a, b: a | b, lambda a, b: a | b, 0)
and_ = _binary(lambda a, b: a & b, lambda a, b: a & b, MASK)
sll = _binary(lambda a, b: a << (b & 63), lambda a, b: a << (b & 63), 0)
srl = _binary(lambda a, b: a >> (b & 63), lambda a, b: z3.LShR(a, b & 63), 0)
sra = _binary(lambda a, b: signed(a) >> (b & 63), lambda a, b: a >> (b & 63), 0)
slt = _binary(lambda a, b: signed(a) < signed(b), lambda a, b: _bit(a < b))
sltu = _binary(lambda a, b: a < b, lambda a, b: _bit(z3.ULT(a, b)))
mul = _binary(lambda a, b: a * b, lambda a, b: a * b, 1)
mulh = _binary(lambda a, b: signed(a) * signed(b) >> 64, _high(z3.SignExt, z3.SignExt))
mulhsu = _binary(lambda a, b: signed(a) * b >> 64, _high(z3.SignExt, z3.ZeroExt))
mulhu = _binary(lambda a, b: a * b >> 64, _high(z3.ZeroExt, z3.ZeroExt))
div = _binary(_divide, lambda a, b: z3.If(b == 0, z3.BitVecVal(MASK, 64), a / b))
divu = _binary(lambda a, b: a // b if b else MASK, z3.UDiv)
rem = _binary(_remainder, lambda a, b: z3.If(b == 0, a, z3.SRem(a, b)))
remu = _binary(lambda a, b: a % b if b else a, z3.URem)
zero_if_zero = _binary(lambda a, b: a if b else 0, lambda a, b: z3.If(b == 0, _ZERO, a))
zero_unless_zero = _binary(lambda a, b: 0 if b else a, lambda a, b: z3.If(b == 0, a, _ZERO))


def extend(value, bits, is_signed):
    """The low bits of a value as a number of 64 bits."""
    if type(value) is int:
        value &= (1 << bits) - 1
        return signed(value, bits) & MASK if is_signed else value
    return terms.make(_extend, value, bits, is_signed)


def _extend(value, bits, is_signed):
    low = z3.Extract(bits - 1, 0, value.formula)
    return z3.SignExt(64 - bits, low) if is_signed else z3.ZeroExt(64 - bits, low)


def word(operation):
    """The 32-bit form of an operation: on the low words, with the result sign-extended."""

    def on_words(a, b, signed_operands=True):
        a, b = extend(a, 32, signed_operands), extend(b, 32, signed_operands)
        return extend(operation(a, b), 32, True)

    return on_words


addw, subw, mulw = word(add), word(sub), word(mul)
divw, remw = word(div), word(rem)


def divuw(a, b):
    return word(divu)(a, b, False)


def remuw(a, b):
    return word(remu)(a, b, False)


def sllw(a, b):
    return extend(sll(a, and_(b, 31)), 32, True)


def srlw(a, b):
    return extend(srl(extend(a, 32, False), and_(b, 31)), 32, True)


def sraw(a, b):
    return extend(sra(extend(a, 32, True), and_(b, 31)), 32, True)


def _relation(on_known, on_symbols):
    """A relation: a `bool` where it is known, else a condition."""

    def on_terms(a, b):
        return on_symbols(terms.formula(a), terms.formula(b))

    def relation(a, b):
        if type(a) is int and type(b) is int:
            return on_known(a, b)
        return terms.make(on_terms, a, b)

    return relation


equal = _relation(lambda a, b: a == b, lambda a, b: a == b)
less = _relation(lambda a, b: signed(a) < signed(b), lambda a, b: a < b)
less_unsigned = _relation(lambda a, b: a < b, z3.ULT)


def not_(condition):
    """The contrary of a condition that is not known."""
    return terms.make(_not, condition)


def _not(condition):
    return z3.Not(condition.formula)


# Bytes in memory: an `int` or a term of 8 bits.


def byte(value, place):
    """One byte of a value."""
    if type(value) is int:
        return value >> 8 * place & 0xFF
    return terms.make(_byte, value, place)


def _byte(value, place):
    return z3.Extract(8 * place + 7, 8 * place, value.formula)


def join(values):
    """The value that these bytes are, the lowest first."""
    if all(type(value) is int for value in values):
        return int.from_bytes(values, "little")
    return terms.make(_join, *values)


def _join(*values):
    parts = [terms.formula(value, 8) for value in reversed(values)]
    joined = z3.Concat(parts) if len(parts) > 1 else parts[0]
    return z3.ZeroExt(64 - joined.size(), joined) if joined.size() < 64 else joined


def equal_bytes(a, b):
    """Whether two bytes are equal: a `bool` where it is known, else a condition."""
    if a is b or type(a) is int and type(b) is int:
        return a == b
    return terms.make(_equal_bytes, a, b)


def _equal_bytes(a, b):
    return terms.formula(a, 8) == terms.formula(b, 8)
