//! Facts against what Nix itself says and does, with each Nix of the lab.

#[cfg(test)]
mod build_users;
#[cfg(test)]
mod daemon;
#[cfg(test)]
mod generations;
#[cfg(test)]
mod http_cache;
#[cfg(test)]
mod lab;
#[cfg(test)]
mod private;
#[cfg(test)]
mod settings;
#[cfg(test)]
mod substitution;
