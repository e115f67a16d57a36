# SPDX-License-Identifier: GPL-2.0-or-later
"""verify under attack: no packet comes through what it calls proved; see prover.py."""

import time

import prover

RULESETS, PACKETS, SENT, MUTANTS = 12, 800, 150, 25


def test_no_packet_comes_through_random_rulesets_that_are_proved_closed(request, tmp_path):
    seed = request.config.getoption("--seed") or int(time.time())
    tally = prover.run_foreign(seed, RULESETS, PACKETS, SENT, tmp_path)
    print(f"seed {seed}: {tally}")
    assert not tally.wrong, "\n".join(tally.wrong[:5])
    assert tally.worlds == RULESETS and tally.answers["proved"] > 5 and tally.answers["refuted"] > 0


def test_no_edit_that_opens_ringwalls_table_is_called_proved(request, tmp_path):
    seed = request.config.getoption("--seed") or int(time.time())
    tally = prover.run_mutants(seed, MUTANTS, 300, tmp_path)
    print(f"seed {seed}: {tally}")
    assert not tally.wrong, "\n".join(tally.wrong[:5])
    assert tally.worlds == MUTANTS and tally.opened > MUTANTS / 6 and tally.answers["proved"] > 0
