# SPDX-License-Identifier: MIT
"""How the tests boot a kernel: the machine that they all have."""
import subprocess


def run(kernel, initramfs, append, memory, cpus, processor, timeout):
    """Everything that came out of the serial port, and QEMU's status: 33 is success; "timeout"."""
    command = ["qemu-system-x86_64", "-M", "pc", "-cpu", processor, "-m", memory, "-smp", str(cpus), "-display", "none",
               "-no-reboot", "-nic", "none", "-monitor", "none", "-serial", "stdio", "-kernel", kernel,
               "-initrd", initramfs, "-append", "debugexit " + append, "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, timeout=timeout)
        return done.stdout.decode(errors="replace").replace("\r", ""), done.returncode
    except subprocess.TimeoutExpired as late:
        return (late.stdout or b"").decode(errors="replace").replace("\r", ""), "timeout"
