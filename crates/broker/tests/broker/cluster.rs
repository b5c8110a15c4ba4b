//! The cluster's identity.

use crate::support::World;

#[test]
fn the_cluster_id_survives_restarts_and_power_cuts() {
    let world = World::new();
    world.clock.advance(1);
    let id = world.broker.cluster_id().to_owned();
    assert_eq!(id.len(), 22);
    let world = world.restart();
    assert_eq!(world.broker.cluster_id(), id);
    let world = world.power_cut();
    assert_eq!(world.broker.cluster_id(), id);
}
