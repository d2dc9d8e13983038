/* SPDX-License-Identifier: MIT */
#ifndef QUIRE_PROC_H
#define QUIRE_PROC_H
#include <quire/vma.h>
#endif
