"""Do the tests notice faults that a hand has put into the engine, the runs and the estimators?

    python tests/soak/mutants.py                  # all of them
    python tests/soak/mutants.py --only runs/     # those whose file or description has this text

Each mutant is a text of one file and what it is replaced by, and the test files that must fail then. It is applied to a
copy of the sources, which is built again where C or Cython changed. A text that its file does not have exactly once
ends the script: the source has changed, and the table below must follow.
"""
import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
COMPILED = {".c", ".h", ".inc", ".pyx", ".pxi", ".pxd"}
MAX_SECONDS = 900            # of the tests of one mutant, which may hang


class Mutant(NamedTuple):
    """A fault, and the test files of which one at least must fail."""

    fault: str
    file: str                # under fastsgd/
    old: str
    new: str
    tests: tuple[str, ...]


MUTANTS = [
    Mutant("momentum has the wrong sign", "engine/csrc/rules.inc",
           "s[j] = FMA(k.momentum, s[j], own);\n            w[j]",
           "s[j] = FMA(-k.momentum, s[j], own);\n            w[j]", ("kernel",)),
    Mutant("AdamW does not decay its weights", "engine/csrc/rules.inc",
           "k.epsilon), w[j] * k.decay);", "k.epsilon), w[j]);", ("kernel",)),
    Mutant("no barrier between the parts of x^T x and their polynomial", "engine/csrc/orthogonal.c",
           "        fs_team_barrier(team);\n        ops->polynomial", "        ops->polynomial", ("muon",)),
    Mutant("of a symmetric matrix only the blocks from the diagonal on are there", "engine/csrc/orthogonal.inc",
           "        FN(mirror)(gram, ld, cols, i, n);\n", "", ("muon",)),
    Mutant("a step of one row takes alpha as it is for a batch of any weight", "engine/csrc/linear_path.c",
           "job->step.alpha * share + rule->weight_decay", "job->step.alpha + rule->weight_decay", ("linear",)),
    Mutant("no barrier between the rows' deltas and the gradient", "engine/_kernel.pyx",
           "rows_phase(job, team, &chunk, rank, size)\n            fs_team_barrier(team)\n",
           "rows_phase(job, team, &chunk, rank, size)\n", ("threads",)),
    Mutant("no barrier between the rows and a batch norm's figures of them", "engine/_kernel.pyx",
           "stage = fs_stage_of(job, number)\n        fs_team_barrier(team)\n",
           "stage = fs_stage_of(job, number)\n", ("batch_norm",)),
    Mutant("a batch norm's deltas do not depend on each other", "engine/csrc/batch_norm.inc",
           "bend[j], delta[j] - along[j])", "bend[j], delta[j])", ("batch_norm",)),
    Mutant("members have the order of the first", "engine/ensemble.py",
           "np.ascontiguousarray(rows[m])", "np.ascontiguousarray(rows[0])", ("members",)),
    Mutant("no barrier between the parts of the gradient's norm and their sum", "engine/_kernel.pyx",
           "fs_square_gradient(job, rank, size)\n        fs_team_barrier(team)\n",
           "fs_square_gradient(job, rank, size)\n", ("extras",)),
    Mutant("the last short batch is divided by batch_size", "engine/_kernel.pyx",
           "1.0 / (chunk.batch_weight * fs_members(job)) if", "1.0 / (job.step.batch * fs_members(job)) if",
           ("kernel",)),
    Mutant("in a batch of several chunks each draws the dropout of the first", "engine/_kernel.pyx",
           "(chunk.done + begin) * copies, begin * copies, n * copies)",
           "begin * copies, begin * copies, n * copies)", ("extras",)),
    Mutant("a run that is resumed within an epoch leaves out a row", "runs/feeds.py",
           "            yield segment.part(done, len(segment) - done)\n",
           "            done += done > 0\n            yield segment.part(done, len(segment) - done)\n",
           ("checkpoint",)),
    Mutant("a resumed run draws the order of the next epoch from the beginning of the last", "runs/run.py",
           "            self._state.rng_at_epoch = self._state.rng.bit_generator.state\n", "", ("checkpoint",)),
    Mutant("the rates of an epoch that was resumed are those of the run's first steps", "runs/run_state.py",
           "optimizer.learning_rates(self.steps_at_epoch, steps)", "optimizer.learning_rates(0, steps)",
           ("checkpoint",)),
    Mutant("a resumed run forgets the product of NAdam's momenta", "optimizers/state.py",
           'CARRIED = ("cumulative_l1", "mu_product",', 'CARRIED = ("cumulative_l1",', ("checkpoint",)),
    Mutant("a reduced learning rate is not used", "runs/run.py",
           "self.optimizer.learning_rates(self.steps, steps) * state.acting_factor",
           "self.optimizer.learning_rates(self.steps, steps)", ("callbacks",)),
    Mutant("patience ends one evaluation late", "runs/callbacks.py",
           "if self.waited >= self.patience:", "if self.waited > self.patience:", ("callbacks",)),
    Mutant("the validation cost is divided by the rows, whatever their weights", "runs/evaluation.py",
           "cost /= len(y) if weight is None else float(weight.sum())", "cost /= len(y)",
           ("training", "estimators_mlp", "callbacks")),
    Mutant("an MLP stops an epoch early", "estimators/mlp_stopping.py",
           "if self.count > estimator.n_iter_no_change:", "if self.count >= estimator.n_iter_no_change:",
           ("sklearn_mlp",)),
    Mutant("an MLP that gets worse by less than tol goes on", "estimators/mlp_stopping.py",
           "figure < self.best + self.estimator.tol", "figure < self.best - self.estimator.tol",
           ("estimators_mlp", "estimators_stopping")),
    Mutant("a linear model stops an epoch late", "estimators/sgd_stopping.py",
           "lost = self._count >= estimator.n_iter_no_change", "lost = self._count > estimator.n_iter_no_change",
           ("estimators_sgd",)),
]


def copy_of_the_sources(folder: Path) -> None:
    """The files that Git knows, with the extension and the objects of the last build, all with their times."""
    names = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, check=True, capture_output=True, text=True).stdout
    for name in filter(None, names.split("\0")):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(ROOT / name, folder / name)
    for path in (*ROOT.glob("build/temp*"), ROOT / "fastsgd/engine/_libs"):
        shutil.copytree(path, folder / path.relative_to(ROOT), dirs_exist_ok=True)
    for path in (*ROOT.glob("fastsgd/engine/_kernel.*.so"), ROOT / "fastsgd/engine/_kernel.c"):
        shutil.copy2(path, folder / path.relative_to(ROOT))


def build(folder: Path) -> None:
    result = subprocess.run([sys.executable, "setup.py", "-q", "build_ext", "--inplace"], cwd=folder, text=True,
                            capture_output=True, check=False)
    if result.returncode:
        sys.exit(f"the mutant does not compile:\n{result.stdout}{result.stderr}")


def failure(folder: Path, tests) -> str:
    """How the first of the test files to fail does it; nothing where all pass."""
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider",
               *(f"tests/test_{name}.py" for name in tests)]
    try:
        result = subprocess.run(command, cwd=folder, env={**os.environ, "PYTHONPATH": str(folder)}, text=True,
                                capture_output=True, timeout=MAX_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"no end after {MAX_SECONDS} s"
    if result.returncode in (0, 1):
        return next((line for line in result.stdout.splitlines() if line.startswith("FAILED")), "")
    if result.returncode < 0:
        return f"signal {-result.returncode}"
    return sys.exit(f"pytest did not run:\n{result.stdout}{result.stderr}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--only", default="", help="part of a mutant's file or description")
    chosen = [mutant for mutant in MUTANTS if parser.parse_args().only in f"{mutant.file}: {mutant.fault}"]
    for mutant in chosen:
        count = (ROOT / "fastsgd" / mutant.file).read_text(encoding="utf-8").count(mutant.old)
        if count != 1:
            sys.exit(f"fastsgd/{mutant.file} has this text {count} times, not once:\n{mutant.old}")
    survived, begin = 0, time.monotonic()
    with tempfile.TemporaryDirectory() as name:
        folder, stale = Path(name), False                 # stale: the extension is of other sources
        copy_of_the_sources(folder)
        build(folder)
        wrong = failure(folder, sorted({test for mutant in chosen for test in mutant.tests}))
        if wrong:
            sys.exit(f"without a mutant too: {wrong}")
        for mutant in chosen:
            path = folder / "fastsgd" / mutant.file
            compiled, text = path.suffix in COMPILED, path.read_text(encoding="utf-8")
            path.write_text(text.replace(mutant.old, mutant.new), encoding="utf-8")
            if compiled or stale:
                build(folder)
            stale = compiled
            noticed = failure(folder, mutant.tests)
            survived += not noticed
            print(f"{'killed' if noticed else 'SURVIVED'}  {mutant.file}: {mutant.fault}  {noticed[:110]}", flush=True)
            path.write_text(text, encoding="utf-8")
    print(f"{len(chosen) - survived} of {len(chosen)} mutants were killed; {time.monotonic() - begin:.0f} s")
    sys.exit(survived > 0)


if __name__ == "__main__":
    main()
