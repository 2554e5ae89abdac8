/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/* Pins are called after their interface, and interfaces are renamed. */
#pragma once

/* Gives the pins of interfaces that were renamed their new names. With the lock held. */
void names_follow(void);
