# SPDX-License-Identifier: GPL-2.0-or-later
"""Random policies and packets: oracle == evaluator == kernel; see three_way.py."""

import time

import three_way
from generate import RARE


def test_oracle_evaluator_and_kernel_agree_on_every_packet(request, tmp_path):
    option = request.config.getoption
    seed = option("--seed") if option("--seed") is not None else int(time.time())
    tally, _ = three_way.run(seed, option("--policies"), option("--count"), tmp_path)
    print(f"seed {seed}: {tally}")
    assert not tally.wrong, "\n".join(tally.wrong)
    assert tally.policies == option("--policies") and tally.packets >= option("--count")
    # The packets are worth something only if every kind of answer was among them.
    if tally.packets >= 10000:
        assert {verdict for _, verdict in tally.verdicts} == {"accept", "drop", "reject"}
        missing = {
            "allow",
            "deny",
            "default",
            "protected",
            "essentials",
            "antispoof",
            "invalid",
            "own source",
            "containers",
            "bridged",
            "loopback",
            "established",
            "error of a known connection",
            "an essential that is left out",
        } - set(tally.reasons)
        assert not missing, f"nothing was decided by {missing}"
        unsaid = {"files", *RARE, "antispoof: strict"} - set(tally.words)
        assert not unsaid, f"no policy says {unsaid}"
        # each of these is missing in one of a hundred lots of fifty policies
        assert {"containers: closed", "counters: off", "counters: each"} & set(tally.words)
