//! All that Snowguard can do to a host: one file per verb. Nothing outside this module changes
//! anything but Snowguard's own files.

pub mod activate;
pub mod ballast;
pub mod boot_menu;
pub mod daemon;
pub mod delete_paths;
pub mod drop_reserve;
pub mod hold_updater;
pub mod reboot;
pub mod remove_build_directory;
pub mod remove_build_log;
pub mod remove_generation;
pub mod remove_root;
mod said;
pub mod set_profile;
pub mod stop;
pub mod switch;
pub mod target_root;
