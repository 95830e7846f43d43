//! A bug planted in a collector's declaration is found by the script that is there to find it.

use heapwright::{Collector, Registration};
use heapwright_collectors::generational;
use heapwright_fuzzing::samples::faulty::{Fault, Faulty};
use heapwright_gc_heap::{Barriers, BulkBarrier, Spec};
use heapwright_wast::{Options, Summary, run_script};

/// The generational collector as it would be if its author had forgotten bulk stores.
static WITHOUT_BULK_BARRIER: Spec = Spec {
    name: "without-bulk-barrier",
    barriers: Barriers { bulk: BulkBarrier::None, ..generational::SPEC.barriers },
    ..generational::SPEC
};

static PLANTED: Registration =
    Registration { spec: &WITHOUT_BULK_BARRIER, create: || declaring(&WITHOUT_BULK_BARRIER) };

static SOUND: Registration = Registration { spec: &generational::SPEC, create: || declaring(&generational::SPEC) };

fn declaring(spec: &'static Spec) -> Box<dyn heapwright_gc_heap::Collector> {
    Box::new(Faulty { spec, inner: Box::<generational::Generational>::default(), fault: Fault::Declaration })
}

fn run(registration: &'static Registration) -> Summary {
    let script = include_str!("../../../tests/scripts/gc/bulk-stores-into-old.wast");
    let options = Options { collector: Collector::from_registration(registration), ..Options::default() };
    run_script(&options, "gc/bulk-stores-into-old.wast", script).unwrap()
}

#[test]
fn a_missing_bulk_barrier_is_found() {
    let sound = run(&SOUND);
    assert!(sound.failed == 0 && sound.skipped == 0 && sound.passed > 10, "{sound:?}");
    let planted = run(&PLANTED);
    println!("{} of {} directives fail", planted.failed, planted.failed + planted.passed);
    assert!(planted.failed > 0);
}
