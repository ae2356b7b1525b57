"""What the machine offers: cores, memory, and the fastest floating-point type."""
