#![no_main]
heapwright_fuzz::target!(heapwright_smith::targets::api::TARGET);
