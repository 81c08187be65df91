//! What old generations keep: how much keeping fewer of them would free.
//!
//! A collector of its own: the links of the generations are read without the database, this is not.

use snowguard_host::{System, store::Holdings};

use super::{CollectError, Collector, Context, Name, generations::label_value};
use crate::sample::{Family, Kind, count};

/// How many of the newest generations are kept: the values of the label `keep`. The default of
/// `gc.keep_generations` is among them.
const KEEP: [usize; 4] = [1, 3, 5, 10];

/// At most so many profiles: of more, those that hold most.
const PROFILES: usize = 16;

/// Stateless.
#[derive(Debug)]
pub(super) struct Reclaimable;

impl Collector for Reclaimable {
    fn name(&self) -> &'static str {
        Name::Reclaimable.as_str()
    }

    fn families(&self) -> &'static [&'static str] {
        &[
            "nix_profile_reclaimable_nar_bytes",
            "nix_profiles_reclaimable_left_out",
        ]
    }

    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        let (store, profiles) = (cx.analysis()?, cx.everybodys_profiles()?);
        let system = System::read(cx.layout(), profiles)?;
        let holdings = Holdings::of(
            &store.graph,
            store.keep,
            &store.roots,
            profiles,
            &system.stay(),
        );
        let mut held = holdings.profiles;
        // The profile that boots the host is never left out.
        held.sort_by_key(|profile| {
            let bytes = profile.keeping(1).nar_bytes;
            (
                profile.name.as_os_str() != "system",
                std::cmp::Reverse(bytes),
            )
        });
        let left_out = held.len().saturating_sub(PROFILES);
        held.truncate(PROFILES);
        held.sort_by(|a, b| a.name.cmp(&b.name));
        let mut reclaimable = Family::of(
            Kind::Gauge,
            "nix_profile_reclaimable_nar_bytes",
            "NAR bytes of what would die if only so many of the profile's newest generations were kept, besides those that are running, booted or boot default; an upper bound where nix_store_dead_complete is 0",
        );
        for profile in &held {
            for keep in KEEP {
                let labels = vec![
                    ("profile", label_value(&profile.name)),
                    ("keep", keep.to_string()),
                ];
                reclaimable.push(labels, count(profile.keeping(keep).nar_bytes));
            }
        }
        let left_out = Family::gauge(
            "nix_profiles_reclaimable_left_out",
            "Profiles without nix_profile_reclaimable_nar_bytes: beyond sixteen, those whose old generations hold least",
            count(u64::try_from(left_out).unwrap_or(u64::MAX)),
        );
        Ok(vec![reclaimable, left_out])
    }
}
