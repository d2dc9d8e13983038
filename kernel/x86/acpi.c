/* SPDX-License-Identifier: MIT */
/*
 * The little that the kernel asks ACPI: how many processors there are and where the APICs' registers stand. ACPI
 * specification 5.2.5 (RSDP), 5.2.7 (RSDT), 5.2.8 (XSDT), 5.2.12 (MADT). Tables lie in memory that the direct map has.
 */
#include "core/kernel.h"

struct table {
	char signature[4];
	uint32_t length;
	uint8_t rest[28];
} __attribute__((packed));

/* What boot's tables map: all of it in the direct map, or on 32-bit machines at its own address. */
#ifdef __x86_64__
#define DIRECT_END (UINT64_C(4) << 30)
#else
#define DIRECT_END PAGE_OFFSET
static volatile uintptr_t
	at_zero; /* a variable, since compilers take a constant near 0 for a mistake */
#define phys_to_ptr(pa) ((void *)(at_zero + (uintptr_t)(pa)))
#endif

static bool checksum_ok(const void *p, size_t n)
{
	const uint8_t *byte = p;
	uint8_t sum = 0;

	while (n--)
		sum = (uint8_t)(sum + *byte++);
	return sum == 0;
}

/* A table's pointer, or NULL where its address or sum is no good. */
static const struct table *table_at(quire_paddr_t pa, const char *signature)
{
	const struct table *t = phys_to_ptr(pa);

	if (!pa || pa + sizeof(*t) > DIRECT_END || memcmp(t->signature, signature, 4))
		return NULL;
	if (t->length < sizeof(*t) || t->length > (1 << 20) || pa + t->length > DIRECT_END)
		return NULL;
	return checksum_ok(t, t->length) ? t : NULL;
}

static const uint8_t *find_rsdp(void)
{
	quire_paddr_t ebda = (quire_paddr_t)(*(const uint16_t *)phys_to_ptr(0x40e)) << 4, pa;

	for (pa = ebda; pa >= 0x80000 && pa < ebda + 1024; pa += 16) {
		if (!memcmp(phys_to_ptr(pa), "RSD PTR ", 8) && checksum_ok(phys_to_ptr(pa), 20))
			return phys_to_ptr(pa);
	}
	for (pa = 0xe0000; pa < 0x100000; pa += 16) {
		if (!memcmp(phys_to_ptr(pa), "RSD PTR ", 8) && checksum_ok(phys_to_ptr(pa), 20))
			return phys_to_ptr(pa);
	}
	return NULL;
}

static uint32_t word(const uint8_t *p)
{
	uint32_t value;

	memcpy(&value, p, 4);
	return value;
}

static const struct table *find_madt(void)
{
	const uint8_t *rsdp = find_rsdp(), *p;
	const struct table *root, *madt;

	if (!rsdp)
		return NULL;
	root = table_at(word(rsdp + 16), "RSDT");
	if (!root)
		return NULL;
	for (p = (const uint8_t *)root + 36; p + 4 <= (const uint8_t *)root + root->length;
	     p += 4) {
		madt = table_at(word(p), "APIC");
		if (madt)
			return madt;
	}
	return NULL;
}

void acpi_find(quire_paddr_t *local_apic, quire_paddr_t *ioapic)
{
	const struct table *madt = find_madt();
	const uint8_t *p, *end;
	uint32_t r[4];

	*local_apic = 0xfee00000;
	*ioapic = 0;
	cpuid(1, 0, r);
	cpus[0].apic_id = r[1] >> 24;
	if (!madt)
		return;
	*local_apic = word((const uint8_t *)madt + 36);
	end = (const uint8_t *)madt + madt->length;
	for (p = (const uint8_t *)madt + 44; p + 2 <= end && p[1] >= 2 && p + p[1] <= end;
	     p += p[1]) {
		/* Type 0: a local APIC: processor, id, flags; bit 0: usable. */
		if (p[0] == 0 && p[1] >= 8 && (p[4] & 1) && p[3] != cpus[0].apic_id &&
		    nr_cpus < MAX_CPUS) {
			cpus[nr_cpus].number = nr_cpus;
			cpus[nr_cpus++].apic_id = p[3];
		}
		/* Type 1: an I/O APIC; the one whose interrupts begin at 0. */
		if (p[0] == 1 && p[1] >= 12 && word(p + 8) == 0)
			*ioapic = word(p + 4);
	}
}
