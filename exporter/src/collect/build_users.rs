//! How full the pool of build users is.

use snowguard_host::{BuildUsers as Pool, Kind as FactKind, Locks, NixConf};

use super::{CollectError, Collector, Context, Name};
use crate::sample::{Family, count, seconds};

/// Stateless.
#[derive(Debug)]
pub(super) struct BuildUsers;

impl Collector for BuildUsers {
    fn name(&self) -> &'static str {
        Name::BuildUsers.as_str()
    }

    fn families(&self) -> &'static [&'static str] {
        &[
            "nix_build_users",
            "nix_build_users_busy",
            "nix_builds_active",
            "nix_builds_waiting_for_user",
            "nix_build_oldest_start_timestamp_seconds",
        ]
    }

    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        let conf = NixConf::read(cx.layout())?;
        let locks = Locks::read(cx.layout())?;
        let pool = Pool::read(cx.layout(), &conf, &locks)?;
        let size = |n: usize| count(u64::try_from(n).unwrap_or(u64::MAX));
        let mut families = vec![
            Family::gauge(
                "nix_build_users",
                "Builds that can run at once: members of the build group, or slots of automatic user ids; 0 if this Nix builds without build users",
                size(pool.users),
            ),
            Family::gauge(
                "nix_build_users_busy",
                "Build users that a build has taken: those whose lock is held, by the kernel's table of locks",
                size(pool.busy()),
            ),
        ];
        // Only root sees whose builds they are, and only while builds have logs; the watchdog
        // publishes these families where the exporter cannot.
        match pool.builds {
            Ok(builds) => families.extend([
                Family::gauge(
                    "nix_builds_active",
                    "Builds that have a build user; absent without root's view of other users' processes",
                    size(builds.active.len()),
                ),
                Family::gauge(
                    "nix_builds_waiting_for_user",
                    "Builds that wait for a build user to be free; absent without root's view of other users' processes",
                    size(builds.waiting.len()),
                ),
            ]),
            Err(error) if matches!(error.kind, FactKind::Denied | FactKind::Missing) => {}
            Err(error) => return Err(error.into()),
        }
        match pool.oldest_start {
            Ok(Some(started)) => families.push(Family::gauge(
                "nix_build_oldest_start_timestamp_seconds",
                "When the oldest process of a busy build user was started, as seconds since 1970; absent if there is none",
                seconds(started),
            )),
            Ok(None) => {}
            Err(error) if error.kind == FactKind::Denied => {}
            Err(error) => return Err(error.into()),
        }
        Ok(families)
    }
}
