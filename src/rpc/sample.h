/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* For tests: an interface with a method of every kind, and what has become of its calls. */

#include "rpc/server.h"

#define SAMPLE_WAITING_MAX 64

typedef struct Sample {
        RpcServer *server;
        RpcCall *waiting[SAMPLE_WAITING_MAX]; /* of Wait and Watch */
        size_t n_waiting;
        size_t n_gone; /* that will never be answered */
        size_t n_written;
} Sample;

/* Its context is a Sample. */
extern const RpcInterface sample_interface;
extern const RpcInterface *const sample_interfaces[];

/* Answers all that wait. */
void sample_release(Sample *s);
