//! The real program on a small host, as an operator and a Prometheus meet it.

#[cfg(test)]
mod deletions;
mod golden;
#[cfg(test)]
mod host;
#[cfg(test)]
mod inputs;
#[cfg(test)]
mod run;
#[cfg(test)]
mod serving;
#[cfg(test)]
mod sources;
#[cfg(test)]
mod weighing;
