//! Promise 4: "At most one rollback per deploy; never from blindness; never to a generation that
//! was not good." As stories; all other histories are in the simulation.

use std::time::Duration;

use crate::{
    act::switch::SwitchEnd,
    record::Mode,
    rollback::{
        facts::{AlertSeen, SystemSeen},
        machine::Machine,
        policy::Fleet,
        simulation::world::Server,
        simulation::world::{ALERT, Blindness, Call, TICK_MS, World},
        state::State,
        turn::WhenSilent,
    },
};

mod deploys;
mod fleet;
mod reboot;
mod trial;
mod undo;
mod updater;
