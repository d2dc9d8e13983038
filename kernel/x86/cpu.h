/* SPDX-License-Identifier: MIT */
/* The processor: its registers and instructions, and what each one has for itself. */
#ifndef KERNEL_CPU_H
#define KERNEL_CPU_H

#include <quire/quire.h>

#include "layout.h"
#include "regs.h"

#define MAX_CPUS QUIRE_NR_CPUS

struct thread;

/* One processor's own; found through GS. The first five words are known to assembly (layout.h). */
struct cpu {
	struct cpu *self;
	struct thread *current;
	unsigned long kernel_stack; /* where system calls of the current thread begin: its top */
	unsigned long user_stack;   /* a word for syscall_entry */
	uint32_t preempt;	    /* preemption is off while it is not 0 */
	uint32_t number;
	uint32_t interrupts; /* handlers that run, one inside the other */
	uint32_t resched;    /* another thread should run */
	uint32_t apic_id;
	bool online;
	struct quire_pgtable
		*tables; /* of the space that is loaded; NULL: the kernel's root alone */
	struct thread *idle;
	struct thread *previous; /* who ran before the switch that is under way */
	uint64_t ticks;		 /* timer interrupts */
	uint64_t idle_ticks;
	uint64_t flushes; /* of the TLB, asked for by other processors */
	struct tss *tss;
	uint64_t *gdt;
};

extern struct cpu cpus[MAX_CPUS];
extern unsigned nr_cpus; /* found; those that came up are online */

_Static_assert(offsetof(struct cpu, current) == CPU_CURRENT, "");
_Static_assert(offsetof(struct cpu, kernel_stack) == CPU_KERNEL_STACK, "");
_Static_assert(offsetof(struct cpu, user_stack) == CPU_USER_STACK, "");
_Static_assert(offsetof(struct cpu, preempt) == CPU_PREEMPT, "");

#ifdef __x86_64__
#define PERCPU "%%gs:%c"
#else
#define PERCPU "%%fs:%c"
#endif

/* This processor; means something while preemption is off. */
static inline struct cpu *this_cpu(void)
{
	struct cpu *cpu;

	__asm__ volatile("mov " PERCPU "1, %0" : "=r"(cpu) : "i"(CPU_SELF));
	return cpu;
}

/* This thread; one instruction, so it is right whoever runs. */
static inline struct thread *current(void)
{
	struct thread *thread;

	__asm__ volatile("mov " PERCPU "1, %0" : "=r"(thread) : "i"(CPU_CURRENT));
	return thread;
}

/* ---- Instructions ------------------------------------------------------------------------ */

static inline void outb(uint16_t port, uint8_t value)
{
	__asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port));
}

static inline uint8_t inb(uint16_t port)
{
	uint8_t value;

	__asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
	return value;
}

static inline void outw(uint16_t port, uint16_t value)
{
	__asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port));
}

static inline void cpuid(uint32_t leaf, uint32_t sub, uint32_t out[4])
{
	__asm__ volatile("cpuid"
			 : "=a"(out[0]), "=b"(out[1]), "=c"(out[2]), "=d"(out[3])
			 : "a"(leaf), "c"(sub));
}

static inline uint64_t rdmsr(uint32_t msr)
{
	uint32_t low, high;

	__asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
	return (uint64_t)high << 32 | low;
}

static inline void wrmsr(uint32_t msr, uint64_t value)
{
	__asm__ volatile("wrmsr"
			 :
			 : "c"(msr), "a"((uint32_t)value), "d"((uint32_t)(value >> 32))
			 : "memory");
}

static inline uint64_t rdtsc(void)
{
	uint32_t low, high;

	__asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
	return (uint64_t)high << 32 | low;
}

#define CONTROL_REGISTER(name)                                                                     \
	static inline unsigned long read_##name(void)                                              \
	{                                                                                          \
		unsigned long value;                                                               \
                                                                                                   \
		__asm__ volatile("mov %%" #name ", %0" : "=r"(value));                             \
		return value;                                                                      \
	}                                                                                          \
	static inline void write_##name(unsigned long value)                                       \
	{                                                                                          \
		__asm__ volatile("mov %0, %%" #name : : "r"(value) : "memory");                    \
	}
CONTROL_REGISTER(cr0)
CONTROL_REGISTER(cr2)
CONTROL_REGISTER(cr3)
CONTROL_REGISTER(cr4)

static inline void invlpg(uint64_t addr)
{
	__asm__ volatile("invlpg (%0)" : : "r"((uintptr_t)addr) : "memory");
}

static inline void irq_enable(void)
{
	__asm__ volatile("sti" : : : "memory");
}

static inline void irq_disable(void)
{
	__asm__ volatile("cli" : : : "memory");
}

/*
 * QEMU before 8.0: CMPXCHG8B leaves an operand's bits, IF and NT among them, in what PUSHF and interrupts push, until the
 * next instruction that sets flags. 32-bit kernels, which live by CMPXCHG8B, put one before PUSHF; see trap_return, too.
 */
#ifdef __i386__
#define SETTLE_FLAGS "test %%esp, %%esp; "
#else
#define SETTLE_FLAGS ""
#endif

static inline unsigned long irq_save(void)
{
	unsigned long flags;

	__asm__ volatile(SETTLE_FLAGS "pushf; pop %0; cli" : "=r"(flags) : : "memory", "cc");
	return flags;
}

static inline void irq_restore(unsigned long flags)
{
	__asm__ volatile("push %0; popf" : : "r"(flags) : "memory", "cc");
}

static inline bool irqs_are_on(void)
{
	unsigned long flags;

	__asm__ volatile(SETTLE_FLAGS "pushf; pop %0" : "=r"(flags) : : "memory", "cc");
	return (flags & FLAGS_IF) != 0;
}

/* Sleep until an interrupt; interrupts come on with the last instruction before. */
static inline void cpu_halt(void)
{
	__asm__ volatile("sti; hlt" : : : "memory");
}

/* ---- Bits of registers --------------------------------------------------------------------- */

#define MSR_EFER 0xc0000080u
#define MSR_STAR 0xc0000081u
#define MSR_LSTAR 0xc0000082u
#define MSR_SFMASK 0xc0000084u
#define MSR_FS_BASE 0xc0000100u
#define MSR_GS_BASE 0xc0000101u
#define MSR_KERNEL_GS_BASE 0xc0000102u
#define MSR_PAT 0x277u
#define MSR_APIC_BASE 0x1bu

#define CR4_DE (1ul << 3)
#define CR4_PGE (1ul << 7)
#define CR4_OSFXSR (1ul << 9)
#define CR4_OSXMMEXCPT (1ul << 10)
#define CR4_UMIP (1ul << 11)
#define CR4_LA57 (1ul << 12)
#define CR4_SMEP (1ul << 20)
#define CR4_SMAP (1ul << 21)

/* ---- What the kernel asks of this folder ----------------------------------------------------- */

/* What the processor can; of all of them alike. */
struct cpu_features {
	bool interpreted; /* QEMU without a hypervisor */
	bool nx, smep, smap, umip, pge;
	bool huge;	  /* leaves of 1 GiB */
	bool five_levels; /* boot64.S has turned them on */
	uint32_t leaf1[4];
	char name[49];
	unsigned family, model, stepping;
	char vendor[13];
};
extern struct cpu_features features;

/*
 * One turn of a loop that waits for another processor. QEMU's interpreter takes PAUSE as a wish to leave the processor, which
 * costs a thousand times what it saves.
 */
static inline void cpu_relax(void)
{
	if (features.interpreted)
		__asm__ volatile("" : : : "memory");
	else
		__asm__ volatile("pause" : : : "memory");
}

/* Once, on the boot processor; then on each with its struct cpu, whose number and apic_id are set. */
void cpu_detect(void);
void cpu_init(struct cpu *cpu);

/* Its descriptor tables, and what system calls need (segments64.c, segments32.c). */
void segments_load(struct cpu *cpu);
#ifdef __x86_64__
static inline void segments_set_root(struct cpu *cpu, unsigned long root)
{
}
#else
/* A double fault finds the kernel in these tables. */
void segments_set_root(struct cpu *cpu, unsigned long root);
#endif
void load_gs(unsigned long selector); /* 32 bits */

/* The stack that exceptions from user mode, and system calls, begin on. */
void cpu_set_kernel_stack(struct cpu *cpu, unsigned long top);

/* Entries of the IDT: once. */
void trap_init(void);

/* user_copy() and user_clear() of entry64.S. */
unsigned long user_copy(void *to, const void *from, unsigned long n);
unsigned long user_clear(void *to, unsigned long n);
int64_t user_cmpxchg32(uint32_t *word, uint32_t *old, uint32_t new);

/* ---- Interrupts (apic.c, smp.c) ---------------------------------------------------------------- */

enum vector {
	VECTOR_IRQ_FIRST = 0x20, /* ISA interrupt n is this plus n */
	VECTOR_TIMER = 0xf0,
	VECTOR_RESCHED,
	VECTOR_FLUSH,
	VECTOR_STOP,
	VECTOR_SPURIOUS = 0xff,
};

void apic_map(quire_paddr_t local);	    /* the registers, once there is ioremap */
void apic_init(struct cpu *cpu, bool boot); /* this processor's, with its timer at HZ */
void apic_eoi(void);
void apic_send(unsigned apic_id, unsigned vector); /* any context */
void apic_send_others(unsigned vector);
void apic_start_ap(unsigned apic_id, quire_paddr_t entry);
void ioapic_init(quire_paddr_t base);
void ioapic_route(unsigned irq, unsigned vector, unsigned apic_id);

/* What ACPI's tables say: processors into cpus[], nr_cpus. Without them one processor. */
void acpi_find(quire_paddr_t *local_apic, quire_paddr_t *ioapic);

void smp_start(void);
void smp_stop_others(void);

void power_off(void) __attribute__((noreturn));
/* The status that QEMU's isa-debug-exit device makes of it, if there is one: 2 * code + 1; else power_off(). */
void debug_exit(unsigned code) __attribute__((noreturn));

#endif
