//! Generations of every profile.

use std::{os::unix::ffi::OsStrExt as _, path::Path};

use snowguard_host::Profile;

use super::{CollectError, Collector, Context, Name};
use crate::sample::{Family, Kind, count, seconds};

/// At most so many profiles that lie in homes have samples.
const OF_USERS: usize = 32;

/// Stateless.
#[derive(Debug)]
pub(super) struct Generations;

impl Collector for Generations {
    fn name(&self) -> &'static str {
        Name::Generations.as_str()
    }

    fn families(&self) -> &'static [&'static str] {
        &[
            "nix_profile_generations",
            "nix_profile_current_generation",
            "nix_profile_current_generation_created_timestamp_seconds",
            "nix_profile_oldest_generation_created_timestamp_seconds",
            "nix_profiles_unreadable",
            "nix_profiles_left_out",
        ]
    }

    fn collect(&mut self, cx: &Context<'_>) -> Result<Vec<Family>, CollectError> {
        let profiles = cx.everybodys_profiles()?;
        let (shown, left_out) = shown(&profiles.profiles);
        let mut generations = Family::of(
            Kind::Gauge,
            "nix_profile_generations",
            "Generations of the profile, by its links",
        );
        let mut current = Family::of(
            Kind::Gauge,
            "nix_profile_current_generation",
            "Number of the generation that the profile points at; absent if it points at none",
        );
        let mut current_created = Family::of(
            Kind::Gauge,
            "nix_profile_current_generation_created_timestamp_seconds",
            "When the link of the profile's current generation was made, as seconds since 1970",
        );
        let mut oldest_created = Family::of(
            Kind::Gauge,
            "nix_profile_oldest_generation_created_timestamp_seconds",
            "When the oldest of the links of the profile's generations was made, as seconds since 1970",
        );
        for profile in shown {
            let label = || vec![("profile", label_value(&profile.name))];
            let number = u64::try_from(profile.generations.len()).unwrap_or(u64::MAX);
            generations.push(label(), count(number));
            if let Some(number) = profile.current {
                current.push(label(), count(number));
            }
            if let Some(generation) = profile.current_generation() {
                current_created.push(label(), seconds(generation.id.created));
            }
            if let Some(oldest) = profile.generations.iter().map(|g| g.id.created).min() {
                oldest_created.push(label(), seconds(oldest));
            }
        }
        let unreadable = Family::gauge(
            "nix_profiles_unreadable",
            "Profiles and directories of profiles that could not be read; their generations are not counted",
            count(u64::try_from(profiles.unreadable.len()).unwrap_or(u64::MAX)),
        );
        Ok(vec![
            generations,
            current,
            current_created,
            oldest_created,
            unreadable,
            Family::gauge(
                "nix_profiles_left_out",
                "Profiles of users without samples: beyond thirty-two, those with the fewest generations",
                count(u64::try_from(left_out).unwrap_or(u64::MAX)),
            ),
        ])
    }
}

/// Those that have samples, and how many have none. Users can make as many profiles as they like.
fn shown(profiles: &[Profile]) -> (Vec<&Profile>, usize) {
    let is_users = |profile: &&Profile| profile.name.is_absolute();
    let (mut users, mut shown): (Vec<_>, Vec<_>) = profiles.iter().partition(is_users);
    users.sort_by_key(|profile| std::cmp::Reverse(profile.generations.len()));
    let left_out = users.len().saturating_sub(OF_USERS);
    users.truncate(OF_USERS);
    shown.extend(users);
    shown.sort_by(|a, b| a.name.cmp(&b.name));
    (shown, left_out)
}

/// The name of the profile. Bytes that are not UTF-8 are written as `\xff`, so that two names
/// never become one label: two samples with the same labels spoil a page.
pub(super) fn label_value(name: &Path) -> String {
    let mut out = String::new();
    for chunk in name.as_os_str().as_bytes().utf8_chunks() {
        out.push_str(chunk.valid());
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _, path::Path};

    use snowguard_host::Profile;

    use super::{OF_USERS, label_value, shown};

    #[test]
    fn users_cannot_make_samples_without_a_bound_nor_push_out_those_of_the_host() {
        let profile = |name: String| Profile {
            link: name.clone().into(),
            name: name.into(),
            current: None,
            generations: Vec::new(),
        };
        let users = (0..100).map(|n| profile(format!("/home/u/.local/state/nix/profiles/{n}")));
        let all: Vec<_> = users.chain([profile("system".to_owned())]).collect();
        let (shown, left_out) = shown(&all);
        assert_eq!((shown.len(), left_out), (OF_USERS + 1, 100 - OF_USERS));
        assert_eq!(shown[OF_USERS].name, Path::new("system"));
    }

    #[test]
    fn two_profiles_never_get_the_same_label() {
        let names: [&[u8]; 3] = [b"a\xff", b"a\xfe", "a\u{fffd}".as_bytes()];
        let mut labels: Vec<_> = names
            .iter()
            .map(|name| label_value(Path::new(OsStr::from_bytes(name))))
            .collect();
        labels.dedup();
        assert_eq!(labels, ["a\\xff", "a\\xfe", "a\u{fffd}"]);
    }
}
