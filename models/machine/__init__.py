"""Resources of the machine: cores, memory, and the fastest floating-point type."""
