//! Single turns of the driver, in made-up time.

use super::bench::{Bench, deliveries};
use crate::driver::Settings;

#[test]
fn a_driver_whose_settlements_find_no_room_waits_between_its_tries() {
    let mut bench = Bench::new(Settings::default());
    let mut stream = bench.subscribe("a", "c", false);
    bench.append(&[(1, "chat:1")]);
    bench.settle_down();
    let mut stream = stream.try_recv().unwrap().unwrap();
    assert_eq!(deliveries(&mut stream).len(), 1);
    bench.full = true;
    // The lease runs out. The dispatcher's own records are tried again and again.
    bench.pass(30_000);
    let tries = bench.commits;
    for _ in 0..4 {
        bench.pass(250);
    }
    assert_eq!(bench.commits, tries + 4);
}
