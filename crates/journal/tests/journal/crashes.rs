//! A crash at every call that changes the disk, then again at every one during recovery.

use fleuve_base::fs_memory::Unsynced;

use crate::faults::{Promised, check, workload};
use crate::support::World;

#[test]
fn a_crash_at_every_change_and_at_every_change_of_the_recovery() {
    let mut crashes = 0;
    for first in 1.. {
        let world = World::new();
        world.fs.halt_at(first);
        let mut promised = Promised::default();
        let finished = workload(&world, &mut promised).is_ok();
        for unsynced in [Unsynced::Kept, Unsynced::Lost, Unsynced::Torn(first), Unsynced::Torn(first + 1_000_000)] {
            let crashed = world.crashed(unsynced);
            check(&crashed.crashed(Unsynced::Kept), &promised, &format!("crash at {first}, {unsynced:?}"));
            for second in 1.. {
                let again = crashed.crashed(Unsynced::Kept);
                again.fs.halt_at(second);
                let opened = again.open().is_ok();
                let what = format!("crash at {first}, {unsynced:?}, then at {second} of the recovery");
                check(&again.crashed(Unsynced::Torn(second)), &promised, &what);
                crashes += 1;
                if opened {
                    break;
                }
            }
        }
        if finished {
            break;
        }
    }
    assert!(crashes > 1000, "only {crashes} crashes");
}
