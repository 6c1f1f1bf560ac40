"""What fuzz.py does, led by coverage: ``python tests/soak/guided.py --kind model --count 100000``.

atheris keeps the inputs that reach something new in fastsgd's Python. Two in five inputs are those varied in fuzz.py's
ways, one in five those varied in libFuzzer's, the others fuzz.py's own. libFuzzer's lines go to standard error: cov and
ft say how much has been reached.
"""
import multiprocessing
import os
import random
import sys
import tempfile
import time
from pathlib import Path

try:
    import atheris
except ModuleNotFoundError:
    sys.exit("guided.py needs atheris: pip install atheris")
with atheris.instrument_imports(include=["fastsgd"]):
    import fuzz

LONGEST = 2**16


def split(data, seeds):
    """An input's first byte says which seed its file comes from, and whether train() resumes from it."""
    return data[0] // 2 % len(seeds), data[1:], bool(data[0] % 2)


def join(which, content, resume):
    return bytes([2 * which + resume]) + content


def vary(rng, kind, data, seeds, longest):
    which, content, resume = split(data, seeds)
    if kind == "checkpoint":
        resume = rng.randrange(fuzz.RESUMED) == 0
    way = rng.random()
    if way < 0.4:                           # most of what is kept reaches a new refusal, and leads no further
        which, content = fuzz.generate(rng, kind, seeds)
    elif way < 0.8:
        try:
            content = fuzz.vary(rng, kind, content, seeds)
        except Exception:                   # it is not whole
            content = fuzz.mutate(rng, content, seeds)
    else:
        content = atheris.Mutate(content, longest - 1)
    return join(which, content, resume)[:longest]


def guide(kind, count, seed, kept, folder, results):
    """Reads so many inputs, sends the result, and ends the process, as libFuzzer would."""
    Path(kept).mkdir(parents=True, exist_ok=True)       # libFuzzer puts there what a process died of
    corpus = Path(folder) / "corpus"
    corpus.mkdir()
    with fuzz.judging(kind, kept, inside=folder) as judge:
        for which, content in enumerate(judge.seeds):
            for resume in (False, True)[:1 + (kind == "checkpoint")]:
                (corpus / f"{which}-{resume}").write_bytes(join(which, content, resume))

        def one(data):
            if data:                                    # libFuzzer begins with an empty input
                judge(*split(data, judge.seeds))
            if judge.counts.total() == count:
                results.send(judge.result)
                os._exit(0)

        def mutator(data, longest, number):
            return vary(random.Random(number), kind, data, judge.seeds, longest)

        # Of 0 libFuzzer would make a random seed; several changes on top of each other leave little that is read.
        flags = [f"-seed={seed + 1}", f"-max_len={LONGEST}", "-mutate_depth=1", "-reload=0"]
        atheris.Setup(["guided", str(corpus), *flags, f"-artifact_prefix={kept}/"], one, custom_mutator=mutator)
        atheris.Fuzz()


def main():
    options = fuzz.parser_of(__doc__).parse_args()
    spawn, failed = multiprocessing.get_context("spawn"), 0
    for kind in fuzz.SEEDS if options.kind == "all" else [options.kind]:
        begin = time.monotonic()
        receiver, sender = spawn.Pipe(duplex=False)
        with tempfile.TemporaryDirectory(dir=fuzz.SHARED) as folder:
            child = spawn.Process(target=guide, args=(kind, options.count, options.seed, options.kept, folder, sender))
            child.start()
            sender.close()
            try:
                failed += fuzz.report(kind, [receiver.recv()], time.monotonic() - begin)
            except EOFError:
                child.join()
                print(f"{kind} failed: the process ended with {child.exitcode}", flush=True)
                failed += 1
            child.join()
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
