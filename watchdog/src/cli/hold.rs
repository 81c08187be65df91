//! `snowguard hold`: an operator wants nothing collected until `snowguard release`.

use snowguard_watchdog::{act::ballast::Ballast, gc::hold};

use super::{Host, arguments, failure::Failure, page::Page};

pub(super) fn run(
    host: &Host,
    asked: &arguments::Hold,
    page: &mut Page<'_>,
) -> Result<(), Failure> {
    let settings = host.settings()?;
    let state_dir = host.layout.inside(&settings.state_dir);
    if asked.dry_run {
        return page.line("Collections would be held until `snowguard release`");
    }
    if !nix::unistd::geteuid().is_root() {
        return Err(Failure::NotRoot("hold collections"));
    }
    let why = asked.reason.as_deref().unwrap_or_default();
    let ballast = Ballast::of(&host.layout, settings.gc.ballast.0);
    let held = ballast.giving_way(&state_dir, || hold::hold(&state_dir, why));
    held.map_err(|source| Failure::Io {
        attempt: "hold collections",
        path: hold::path_in(&state_dir),
        source,
        cure: "free some space or an inode on its file system, or make it writable",
    })?;
    page.line(
        "Held: no collection is begun, and one that goes on ends at the watchdog's next look. A \
         disk that fills up is not freed until `snowguard release`",
    )
}
