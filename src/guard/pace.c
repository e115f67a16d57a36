/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "guard/pace.h"

#include "base/util.h"

static void make_up(Pace *p, uint64_t now) {
        uint64_t made = now > p->seen_usec ? (now - p->seen_usec) / PACE_SHARE : 0;

        p->spent_usec -= MIN(p->spent_usec, made);
        p->seen_usec = MAX(p->seen_usec, now);
}

void pace_spend(Pace *p, uint64_t now, uint64_t usec) {
        make_up(p, now);
        p->spent_usec += usec;
}

bool pace_is_over(Pace *p, uint64_t now, uint64_t more) {
        make_up(p, now);
        return p->spent_usec + more > PACE_BURST_USEC;
}

void pace_shut(Pace *p, uint64_t now) {
        bool again = p->end_usec != 0 && now - p->end_usec < PACE_RELAPSE_USEC;

        p->calm_usec = again ? MIN(2 * p->calm_usec, PACE_CALM_MAX) : PACE_CALM_USEC;
        p->since_usec = p->change_usec = now;
        p->right_usec = 0;
        p->n_changes = 0;
        p->n_shut++;
}

void pace_open(Pace *p, uint64_t now) {
        p->since_usec = 0;
        p->end_usec = now;
}

void pace_note(Pace *p, uint64_t now) {
        if (!pace_is_shut(p))
                return;
        p->change_usec = now;
        p->n_changes++;
        if (p->right_usec != 0)
                p->calm_usec = MIN(2 * p->calm_usec, PACE_CALM_MAX);
        p->right_usec = 0;
}

uint64_t pace_wait(const Pace *p, uint64_t now) {
        uint64_t end = p->change_usec + p->calm_usec;

        return end > now ? end - now : 0;
}

uint64_t pace_right(Pace *p, uint64_t now) {
        uint64_t end;

        if (p->right_usec == 0)
                p->right_usec = now;
        end = p->right_usec + p->calm_usec;
        return end > now ? end - now : 0;
}
