//! The operator's command line: the real program on fixture hosts, and against Nix itself.

#[cfg(test)]
mod bad_input;
#[cfg(test)]
mod breaker;
#[cfg(test)]
mod by_hand;
#[cfg(test)]
mod confirm;
mod facts;
#[cfg(test)]
mod fixture;
mod holds;
#[cfg(test)]
mod incident;
#[cfg(test)]
mod nix_agrees;
#[cfg(test)]
mod plan;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod watchdog_state;
