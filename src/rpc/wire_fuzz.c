/* SPDX-License-Identifier: GPL-2.0-or-later */

/* The input is what a client sends, in pieces whose length its first byte says. All that is taken
 * out goes the way of a call: envelope, method, parameters, and back into bytes. */

#include "rpc/sample.h"

#include "rpc/envelope.h"
#include "rpc/wire.h"

#define LIMIT ((size_t)4096)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was decoded and encoded is the same again. */
static void go_round(json_t *message) {
        size_t size;
        char *bytes = rpc_wire_encode(message, &size);
        json_t *again;
        RpcWire w;

        if (!bytes)
                return;
        rpc_wire_init(&w, 8 * size); /* so that no number of values is too many */
        if (rpc_wire_push(&w, bytes, size) < 0 || rpc_wire_next(&w, &again) != 1 ||
            !json_equal(message, again))
                abort();
        json_decref(again);
        rpc_wire_done(&w);
        free(bytes);
}

static void go_in(json_t *message) {
        const RpcInterface *interface;
        const RpcMethod *method;
        RpcEnvelope envelope;
        RpcFieldError e;
        void *parameters;

        (void)rpc_envelope_read_reply(message, &envelope, &e); /* only that it ends */
        if (rpc_envelope_read_call(message, &envelope, &e) < 0)
                return;
        interface = rpc_interface_find(sample_interfaces, envelope.method);
        method = interface ? rpc_method_find(interface, envelope.method) : NULL;
        parameters = method ? malloc(MAX(method->in_size, (size_t)1)) : NULL;
        if (!parameters)
                return;
        if (rpc_fields_decode(method->in, envelope.parameters, parameters, method->in_size, &e) ==
            0)
                rpc_fields_done(method->in, parameters);
        free(parameters);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
        size_t piece = size > 0 ? (size_t)data[0] + 1 : 1;
        json_t *message;
        RpcWire w;
        int r = 0;

        rpc_wire_init(&w, LIMIT);
        for (size_t at = 1; at < size && r >= 0; at += piece) {
                r = rpc_wire_push(&w, data + at, MIN(piece, size - at));
                if (r < 0)
                        break;
                for (;;) {
                        r = rpc_wire_next(&w, &message);
                        if (r <= 0)
                                break;
                        go_in(message);
                        go_round(message);
                        json_decref(message);
                }
        }
        if (w.capacity > LIMIT + ((size_t)64 << 10) + 1 || ((r < 0) != (w.error[0] != 0)))
                abort();
        rpc_wire_done(&w);
        return 0;
}
