/* SPDX-License-Identifier: MIT */
/*
 * One processor made ready: what it can, its descriptor tables, its control registers. Intel SDM vol. 3A: 2.5 (control
 * registers), 3.4 (segments), 7.7 (the TSS of 64-bit mode), 12.12 (the page attribute table).
 */
#include "x86/cpu.h"

#include "core/kernel.h"

struct cpu cpus[MAX_CPUS];
unsigned nr_cpus = 1;
struct cpu_features features;

/* ---- What it can ------------------------------------------------------------------------- */

void cpu_detect(void)
{
	uint32_t r[4], leaf7[4] = {0}, extended[4] = {0};
	unsigned i;

	cpuid(0, 0, r);
	memcpy(features.vendor, &r[1], 4);
	memcpy(features.vendor + 4, &r[3], 4);
	memcpy(features.vendor + 8, &r[2], 4);
	if (r[0] >= 7)
		cpuid(7, 0, leaf7);
	cpuid(1, 0, features.leaf1);
	cpuid(0x80000000, 0, r);
	if (r[0] >= 0x80000001)
		cpuid(0x80000001, 0, extended);
	for (i = 0; r[0] >= 0x80000004 && i < 3; i++) {
		cpuid(0x80000002 + i, 0, extended + 0);
		memcpy(features.name + 16 * i, extended, 16);
	}
	if (r[0] >= 0x80000001)
		cpuid(0x80000001, 0, extended);
	cpuid(0x40000000, 0, r);
	features.interpreted = (features.leaf1[2] >> 31 & 1) && !memcmp(&r[1], "TCGT", 4);
	features.nx = extended[3] >> 20 & 1;
	features.huge = extended[3] >> 26 & 1;
	features.pge = features.leaf1[3] >> 13 & 1;
	features.smep = leaf7[1] >> 7 & 1;
	features.smap = leaf7[1] >> 20 & 1;
	features.umip = leaf7[2] >> 2 & 1;
	features.stepping = features.leaf1[0] & 15;
	features.model = (features.leaf1[0] >> 4 & 15) | (features.leaf1[0] >> 12 & 0xf0);
	features.family = (features.leaf1[0] >> 8 & 15);
	if (features.family == 15)
		features.family += features.leaf1[0] >> 20 & 0xff;
}

/* ---- The whole -------------------------------------------------------------------------------- */

/* Entry 1 write-combining, as Quire's formats and Linux have it; the others as they are at reset. */
#define PAT_VALUE 0x0007040600070106ull

void cpu_init(struct cpu *cpu)
{
	unsigned long cr4 = read_cr4() | CR4_DE | CR4_OSFXSR | CR4_OSXMMEXCPT;

	cpu->self = cpu;
	segments_load(cpu);
	wrmsr(MSR_PAT, PAT_VALUE);
	if (features.pge)
		cr4 |= CR4_PGE;
	if (features.smep)
		cr4 |= CR4_SMEP;
	if (features.smap)
		cr4 |= CR4_SMAP;
	if (features.umip)
		cr4 |= CR4_UMIP;
	write_cr4(cr4);
	__asm__ volatile("fninit");
}
