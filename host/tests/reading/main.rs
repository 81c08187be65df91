//! How facts are read: what a user without rights is told, and what reading leaves undone.

#[cfg(test)]
use snowguard_host::Layout;

#[cfg(test)]
#[path = "../../src/store/fixture.rs"]
mod fixture;
#[cfg(test)]
mod quiet;
#[cfg(test)]
mod unprivileged;
