"""Teams of threads that are called over and over: does a worker or its caller ever sleep through its wake-up?

    python tests/soak/teams.py --count 100000
    python tests/soak/teams.py --count 100000 --arm       # under QEMU; needs ziglang and qemu-user-static

The engine's team.c alone, compiled into a program whose calls do nothing but meet at three barriers. A wake-up that is
lost leaves the program asleep. QEMU 7.2 lets a load overtake an atomic store of Arm's, which no CPU does.
"""
from __future__ import annotations

import argparse
import os
import shlex
import signal
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

ENGINE = Path(__file__).resolve().parents[2] / "fastsgd" / "engine" / "csrc"
SILENT_SECONDS = 20                      # between two hundreds of calls
PROGRAM = """
#define _POSIX_C_SOURCE 200809L
#include "fastsgd.h"
#include <stdlib.h>
#include <unistd.h>
static void meet(void *job, fs_team *team, int rank) {
    (void)job;
    (void)rank;
    for (int i = 0; i < 3; i++)
        fs_team_barrier(team);
}
int main(int words, char **word) {
    const long count = words > 2 ? atol(word[1]) : 0;
    fs_team_prepare();
    for (long call = 0; call < count; call++) {
        if (call % 100 == 0)
            alarm((unsigned)atol(word[2]));
        fs_team_run(2 + (int)(call % 4), meet, NULL);
    }
    return 0;
}
"""


def call_teams(count: int, compiler: Sequence[str], emulator: Sequence[str] = ()) -> None:
    """Calls teams of 2 to 5 threads in turn. RuntimeError where no call returns for a while."""
    alone = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}     # sanitizers, for example
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "calls.c"), Path(folder, "calls")
        source.write_text(PROGRAM)
        subprocess.run([*compiler, "-O2", f"-I{ENGINE}", "-o", program, source, ENGINE / "team.c",
                        *ENGINE.glob("os_*.c"), "-lpthread", "-ldl"], check=True, env=alone)
        ended = subprocess.run([*emulator, program, str(count), str(SILENT_SECONDS)], env=alone).returncode
    if ended == -signal.SIGALRM:
        raise RuntimeError(f"no call returned for {SILENT_SECONDS} s: a wake-up was lost")
    if ended:
        raise RuntimeError(f"the program ended with exit code {ended}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="of calls (%(default)s)")
    parser.add_argument("--arm", action="store_true", help="compiled for Arm, by Zig, and run under QEMU")
    options = parser.parse_args()
    compiler, emulator = shlex.split(os.environ.get("CC", "cc")), []
    if options.arm:
        compiler = [sys.executable, "-m", "ziglang", "cc", "-target", "aarch64-linux-musl", "-static"]
        emulator = ["qemu-aarch64-static"]
    try:
        call_teams(options.count, compiler, emulator)
    except (RuntimeError, OSError, subprocess.CalledProcessError) as error:
        sys.exit(f"teams.py: {error}")
    print(f"{options.count:,} calls, and all returned")


if __name__ == "__main__":
    main()
