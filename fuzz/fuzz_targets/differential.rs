#![no_main]
heapwright_fuzz::target!(heapwright_fuzz::differential::TARGET);
