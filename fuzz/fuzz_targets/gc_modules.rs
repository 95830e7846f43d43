#![no_main]
heapwright_fuzz::target!(heapwright_smith::targets::gc_modules::TARGET);
