/* SPDX-License-Identifier: MIT */
#ifndef QUIRE_OBJECT_H
#define QUIRE_OBJECT_H
#include <quire/vma.h>
struct quire_objects { struct quire_spinlock lock; };
#endif
