import sys, time, z3
import machine, bits
import knowledge, terms
from machine import *

def prove(program, length):
    frame = [terms.symbol(f'byte_{i}') for i in range(length)]
    m = Machine(program, frame)
    m.call("ours", FRAME, length, FINDINGS)
    pending = m.others
    paths = 0; accepted = 0; ours=0
    while True:
        m.run()
        if m.stage == 0:
            m.stage = 1
            ours += 1
            m.call("theirs", FRAME, length, FINDINGS + 64)
            continue
        a = [m.memory[FINDINGS + i] for i in range(56)]
        b = [m.memory[FINDINGS + 64 + i] for i in range(56)]
        for x, y in zip(a, b):
            if x is y or (type(x) is int and x == y): continue
            if not m.decide(bits.equal_bytes(x,y)):
                print("DIFFER", bytes(m.example.get(f"byte_{i}", 0) for i in range(length)).hex())
                return
        paths += 1
        if type(a[52]) is int and a[52] == 1: accepted += 1
        elif type(a[54]) is not int: print(a[54])
        if not pending: break
        m = pending.pop()
    return ours, paths, accepted

p = Program(sys.argv[1])
for n in eval(sys.argv[2]):
    t = time.time()
    print(n, prove(p, n), f"{time.time()-t:.2f}", len(knowledge._answers), len(terms._made), flush=True)
