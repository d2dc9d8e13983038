/* SPDX-License-Identifier: MIT */
/*
 * Time from the time-stamp counter, which is measured once against the PIT (8254, channel 2); the day from the CMOS
 * clock. And chance: a generator seeded by both, RDRAND mixed in where there is one.
 */
#include "core/kernel.h"

#define PIT_HZ 1193182u
#define MEASURE_MS 20u

static uint64_t tsc_at_boot, tsc_khz;
static uint64_t ns_per_tick_32; /* nanoseconds of a tick, 32 bits behind the point */
static uint64_t realtime_at_boot;

/* ---- The counter ----------------------------------------------------------------------------- */

static uint64_t measure_khz(void)
{
	uint32_t count = PIT_HZ * MEASURE_MS / 1000;
	uint64_t begin;

	outb(0x61, (uint8_t)((inb(0x61) & ~2) | 1)); /* gate on, speaker off */
	outb(0x43, 0xb0);			     /* channel 2, both bytes, mode 0 */
	outb(0x42, (uint8_t)count);
	outb(0x42, (uint8_t)(count >> 8));
	begin = rdtsc();
	while (!(inb(0x61) & 0x20))
		;
	return (rdtsc() - begin) / MEASURE_MS;
}

uint64_t clock_ns(void)
{
	uint64_t ticks = rdtsc() - tsc_at_boot;

	/* 64 by 32 bits in two halves: no 128-bit arithmetic on 32-bit machines. */
	return (ticks >> 32) * ns_per_tick_32 + (((ticks & 0xffffffff) * ns_per_tick_32) >> 32);
}

uint64_t clock_tsc_khz(void)
{
	return tsc_khz;
}

/* ---- The day -------------------------------------------------------------------------------------- */

static unsigned cmos(unsigned reg)
{
	unsigned value;

	outb(0x70, (uint8_t)reg);
	value = inb(0x71);
	outb(0x70, 0x0b);
	if (!(inb(0x71) & 4)) /* binary-coded decimal */
		value = (value & 15) + (value >> 4) * 10;
	return value;
}

static uint64_t read_day(void)
{
	static const uint16_t before[] = {0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334};
	unsigned year, month, day;
	uint64_t days;

	do
		outb(0x70, 0x0a);
	while (inb(0x71) & 0x80); /* being updated */
	year = 2000 + cmos(9);
	month = cmos(8);
	day = cmos(7);
	if (month < 1 || month > 12)
		month = 1;
	days = (year - 1970) * 365 + (year - 1969) / 4 + before[month - 1] + day - 1;
	if (month > 2 && year % 4 == 0)
		days++;
	return (((days * 24 + cmos(4)) * 60 + cmos(2)) * 60 + cmos(0)) * NS_PER_SECOND;
}

uint64_t clock_realtime(void)
{
	return realtime_at_boot + clock_ns();
}

void clock_set_realtime(uint64_t ns)
{
	realtime_at_boot = ns - clock_ns();
}

/* ---- Chance ------------------------------------------------------------------------------------------ */

static struct quire_spinlock random_lock; /* irq */
static uint64_t pool[2];

/* xorshift128+, stirred with the counter at each call. */
uint64_t random64(void)
{
	unsigned long flags = quire_spin_lock_irq(Q, &random_lock);
	uint64_t a = pool[0] ^ rdtsc(), b = pool[1], value;
	unsigned char ok = 0;

	if (features.leaf1[2] >> 30 & 1) {
		unsigned long hardware;

		__asm__ volatile("rdrand %0; setc %1" : "=r"(hardware), "=qm"(ok) : : "cc");
		if (ok)
			b ^= hardware;
	}
	pool[0] = b;
	a ^= a << 23;
	pool[1] = a ^ b ^ (a >> 18) ^ (b >> 5);
	value = pool[1] + b;
	quire_spin_unlock_irq(Q, &random_lock, flags);
	return value * 0x9e3779b97f4a7c15ull;
}

void random_bytes(void *buf, size_t n)
{
	char *p = buf;

	while (n) {
		uint64_t value = random64();
		size_t part = n < sizeof(value) ? n : sizeof(value);

		memcpy(p, &value, part);
		p += part;
		n -= part;
	}
}

void clock_init(void)
{
	tsc_khz = measure_khz();
	if (!tsc_khz)
		tsc_khz = 1000000;
	ns_per_tick_32 = (1000000ull << 32) / tsc_khz;
	tsc_at_boot = rdtsc();
	realtime_at_boot = read_day();
	pool[0] = rdtsc() ^ realtime_at_boot;
	pool[1] = 0x9e3779b97f4a7c15ull ^ rdtsc() << 32;
}
