"""The parts of `tune`: settings, machine, journal, timing, bench, and main, which joins them."""
