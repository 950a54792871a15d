"""Terms: numbers and conditions that depend on the bytes of a frame.

Each term exists once. The same operation on the same operands gives the same object, and so does another
operation that z3 simplifies to the same formula. Terms can therefore be compared and looked up by
identity, and z3 works only once for all paths. If a result does not depend on the frame, it is an `int`
or a `bool`.
"""

import z3


class Term:
    """A number or a condition; `places` names the bytes that it depends on."""

    __slots__ = ("formula", "places")

    def __init__(self, formula):
        self.formula = formula
        self.places = frozenset(_constants(formula))


# By operation and operands, and by the identity of z3's formula, which lives as long as the term.
_made = {}
_canonical = {}
_values = {}
_constants_of = {}


def _constants(formula):
    """The names of the symbols in a formula."""
    identity = formula.get_id()
    if identity not in _constants_of:
        names = set()
        if z3.is_const(formula) and formula.decl().kind() == z3.Z3_OP_UNINTERPRETED:
            names.add(formula.decl().name())
        for child in formula.children():
            names |= _constants(child)
        # The formula is kept: z3 gives the identity of a formula that is gone to another.
        _constants_of[identity] = names, formula
        return names
    return _constants_of[identity][0]


def _from(formula):
    """The term of a formula, or its value."""
    formula = z3.simplify(formula)
    if z3.is_bv_value(formula):
        return formula.as_long()
    if z3.is_true(formula) or z3.is_false(formula):
        return z3.is_true(formula)
    identity = formula.get_id()
    if identity not in _canonical:
        _canonical[identity] = Term(formula)
    return _canonical[identity]


def make(operation, *operands):
    """What a function of z3's formulas gives for these operands, at least one of which is a term."""
    key = operation, operands
    made = _made.get(key)
    if made is None:
        made = _made[key] = _from(operation(*operands))
    return made


def symbol(name):
    """A byte of which nothing is known."""
    return make(_symbol, name)


def _symbol(name):
    return z3.BitVec(name, 8)


def formula(value, width=64):
    """A number as z3 sees it."""
    return value.formula if type(value) is Term else z3.BitVecVal(value, width)


def evaluate(term, example):
    """The value of a term for one frame: for the bytes by name, 0 for those without one."""
    key = term, tuple(example.get(name, 0) for name in sorted(term.places))
    if key not in _values:
        values = zip(sorted(term.places), key[1])
        constants = [(z3.BitVec(name, 8), z3.BitVecVal(value, 8)) for name, value in values]
        _values[key] = _from(z3.substitute(term.formula, constants))
    return _values[key]
