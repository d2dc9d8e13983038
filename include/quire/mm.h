/* SPDX-License-Identifier: MIT */
#ifndef QUIRE_MM_H
#define QUIRE_MM_H
#include <quire/vma.h>
struct quire_mms { struct quire_spinlock lock; };
#endif
