"""Whether a condition is possible on a path, given the conditions that hold there already.

A condition depends on few bytes. Only the conditions that share bytes with it, directly or through
others, have a say in whether it is possible. That question is put to the solver once, and its answer
is kept for all paths on which it is the same.
"""

import z3

_solver = z3.SolverFor("QF_BV")
_answers = {}


class GaveUp(Exception):
    """The solver found no answer."""


def solution(conditions, wanted):
    """Values for the bytes in `wanted` and in what it shares bytes with; `None` if there are none."""
    places = set(wanted.places)
    relevant, rest = {wanted}, conditions
    while True:
        sharing = [c for c in rest if not places.isdisjoint(c.places)]
        if not sharing:
            break
        rest = [c for c in rest if places.isdisjoint(c.places)]
        relevant.update(sharing)
        for condition in sharing:
            places |= condition.places
    key = frozenset(relevant)
    if key not in _answers:
        _answers[key] = _solve(key, places)
    return _answers[key]


def _solve(conditions, places):
    _solver.push()
    try:
        _solver.add([condition.formula for condition in conditions])
        answer = _solver.check()
        if answer == z3.unsat:
            return None
        if answer == z3.unknown:
            raise GaveUp(_solver.reason_unknown())
        model = _solver.model()
        value = lambda name: model.eval(z3.BitVec(name, 8), model_completion=True).as_long()
        return {name: value(name) for name in places}
    finally:
        _solver.pop()
