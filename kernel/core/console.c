/* SPDX-License-Identifier: MIT */
/*
 * Bytes out of and into the machine: a 16550 at the first serial port's address, VGA's text memory at 0xb8000, and a
 * PC keyboard for who has no serial line. What a terminal makes of them is fs/tty.c's business.
 */
#include "core/console.h"

#include "core/kernel.h"
#include "fs/tty.h"

#define COM1 0x3f8
#define COLUMNS 80u
#define ROWS 25u

static struct quire_spinlock lock;
static bool no_lock;
static unsigned row, column;
static unsigned escape; /* in a terminal's escape sequence, which the screen leaves out */

static volatile uint16_t *screen(void)
{
	return (volatile uint16_t *)phys_to_ptr(0xb8000);
}

static bool vga_usable;

/* ---- Out ----------------------------------------------------------------------------------- */

static void serial_byte(char c)
{
	unsigned patience = 100000;

	while (!(inb(COM1 + 5) & 0x20) && --patience)
		cpu_relax();
	outb(COM1, (uint8_t)c);
}

static void scroll(void)
{
	volatile uint16_t *s = screen();
	unsigned i;

	for (i = 0; i < COLUMNS * (ROWS - 1); i++)
		s[i] = s[i + COLUMNS];
	for (; i < COLUMNS * ROWS; i++)
		s[i] = 0x0720;
	row = ROWS - 1;
}

static void screen_byte(char c)
{
	if (escape) {
		if (escape == 1 && c == '[')
			escape = 2;
		else if (escape == 1 || (c >= '@' && c <= '~'))
			escape = 0;
		return;
	}
	switch (c) {
	case '\033':
		escape = 1;
		return;
	case '\n':
		column = 0;
		row++;
		break;
	case '\r':
		column = 0;
		return;
	case '\b':
		column -= column > 0;
		return;
	case '\t':
		column = (column + 8) & ~7u;
		break;
	default:
		if ((unsigned char)c >= ' ')
			screen()[row * COLUMNS + column++] = (uint16_t)(0x0700 | (unsigned char)c);
	}
	if (column >= COLUMNS) {
		column = 0;
		row++;
	}
	if (row >= ROWS)
		scroll();
}

void console_write(const char *text, size_t n)
{
	unsigned long flags = irq_save();

	if (!no_lock)
		quire_spin_lock_raw(Q, &lock);
	for (; n; n--, text++) {
		if (*text == '\n')
			serial_byte('\r');
		serial_byte(*text);
		if (vga_usable)
			screen_byte(*text);
	}
	if (!no_lock)
		quire_spin_unlock_raw(Q, &lock);
	irq_restore(flags);
}

void console_break_lock(void)
{
	no_lock = true;
}

/* ---- In ------------------------------------------------------------------------------------ */

/* Scan codes of set 1 by number: a US keyboard, without and with shift. */
static const char plain_keys[] =
	"\0\0331234567890-=\b\tqwertyuiop[]\r\0asdfghjkl;'`\0\\zxcvbnm,./\0*\0 ";
static const char shift_keys[] =
	"\0\033!@#$%^&*()_+\b\tQWERTYUIOP{}\r\0ASDFGHJKL:\"~\0|ZXCVBNM<>?\0*\0 ";

static void keyboard_interrupt(void)
{
	static bool shift, control;
	uint8_t code = inb(0x60);
	bool released = code & 0x80;
	char c;

	code &= 0x7f;
	if (code == 0x2a || code == 0x36)
		shift = !released;
	else if (code == 0x1d)
		control = !released;
	else if (!released && code < sizeof(plain_keys) - 1) {
		c = shift ? shift_keys[code] : plain_keys[code];
		if (control)
			c &= 0x1f;
		if (c)
			tty_input(c);
	}
}

void console_interrupt(unsigned irq)
{
	if (irq == 1) {
		keyboard_interrupt();
		return;
	}
	while (inb(COM1 + 5) & 1)
		tty_input((char)inb(COM1));
}

/* ---- Coming up -------------------------------------------------------------------------------- */

void console_init(void)
{
	unsigned i;

	outb(COM1 + 1, 0);    /* no interrupts yet */
	outb(COM1 + 3, 0x80); /* the divisor's turn: 115200 baud */
	outb(COM1 + 0, 1);
	outb(COM1 + 1, 0);
	outb(COM1 + 3, 0x03); /* 8 bits, no parity, one stop bit */
	outb(COM1 + 2, 0xc7); /* FIFO */
	outb(COM1 + 4, 0x0b);
	/* A screen keeps what is written to it; without one nothing answers. */
	screen()[0] = 0x0720;
	vga_usable = screen()[0] == 0x0720;
	for (i = 0; vga_usable && i < COLUMNS * ROWS; i++)
		screen()[i] = 0x0720;
}

void console_init_input(void)
{
	ioapic_route(4, VECTOR_IRQ_FIRST + 4, cpus[0].apic_id);
	ioapic_route(1, VECTOR_IRQ_FIRST + 1, cpus[0].apic_id);
	while (inb(0x64) & 1)
		(void)inb(0x60);
	outb(COM1 + 1, 1); /* received data */
	while (inb(COM1 + 5) & 1)
		(void)inb(COM1);
}
