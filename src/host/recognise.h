/* SPDX-License-Identifier: GPL-2.0-or-later */
#pragma once

/* Which of the catalogue's services a port that is listened at is: a guess, by its number and by
 * what its program is called. */

#include "host/survey.h"

/* The service at that port (`number`: the port itself, or where it ends): the one that the process
 * is called like, or the only one that has the port, or that has no other. NULL if there is none,
 * or too many. */
const Service *recognise_service(const Policy *catalogue, const SurveyPort *port, uint16_t number);
/* A program that is called like an internal service, at whatever port; or NULL. */
const Service *recognise_program(const Policy *catalogue, const SurveyPort *port);
/* The only service that means these ports of the protocol ("tcp") and nothing else; or NULL. */
const Service *recognise_exact(const Policy *catalogue, const char *protocol, Range ports);
const RangeSet *recognise_ports(const Service *service, uint8_t proto);
