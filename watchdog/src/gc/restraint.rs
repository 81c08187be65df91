//! Restraint: when a collection that is asked for is not begun, although a plan could be made.
//!
//! A budget of collections for each day, a breaker that opens when they bring nothing, and a
//! spread of their beginnings over a fleet. Pure: what was done is a parameter, and so is the
//! time. A clock that was set back makes what was recorded in its future as old as now.

use std::{collections::BTreeMap, time::Duration};

use serde::{Deserialize, Serialize};

use super::{
    plan::{Reason, Refusal},
    policy::{Policy, Space},
    run::{End, Report},
};

const DAY_MS: i64 = 86_400_000;

/// The name of the document that the history is kept as.
pub const KEPT: &str = "gc-history";

/// What was done, as far as it bears on what is done next. Outlives a restart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct History {
    /// When the collections of the last 24 hours that acted, or ended the watchdog, ended;
    /// milliseconds since the epoch.
    ended_ms: Vec<i64>,
    /// Collections in a row that acted and brought next to nothing.
    fruitless: u32,
    /// When the last of them ended.
    fruitless_at_ms: i64,
    /// By alert, when what was done or planned for it ended and did not help.
    resting_ms: BTreeMap<String, i64>,
    /// The newest of `ended_ms` is of a collection that goes on. Not on disk: after a restart none
    /// does, and what ended the watchdog has been one.
    #[serde(skip)]
    goes_on: bool,
}

/// A breaker that is open: no collection begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breaker {
    /// So many collections in a row brought next to nothing.
    pub fruitless: u32,
    /// When the next one may begin, milliseconds since the epoch.
    pub until_ms: i64,
}

/// What asks for a collection.
#[derive(Debug, Clone, Copy)]
pub struct Asked<'a> {
    /// The incident, the same on every host that has the same trouble at the same time.
    pub incident: &'a str,
    /// Since when it asks, milliseconds since the epoch.
    pub since_ms: i64,
    /// What tells this host from others, such as its machine id.
    pub host: &'a str,
    /// No time is to be lost: half of what trips the alert is gone, too.
    pub is_urgent: bool,
}

impl History {
    /// Makes what was recorded in the future, by a clock that was set back since, as old as now,
    /// and forgets what is older than a day. To be called before anything is asked.
    pub fn settle(&mut self, now_ms: i64) {
        self.fruitless_at_ms = self.fruitless_at_ms.min(now_ms);
        self.resting_ms
            .values_mut()
            .for_each(|ended| *ended = (*ended).min(now_ms));
        self.ended_ms
            .iter_mut()
            .for_each(|ended| *ended = (*ended).min(now_ms));
        self.ended_ms
            .retain(|ended| now_ms.saturating_sub(*ended) < DAY_MS);
    }

    /// Why a collection that is asked for does not begin now.
    pub fn refusal(&self, policy: &Policy, asked: Asked<'_>, now_ms: i64) -> Option<Refusal> {
        let refused = |reason, detail| Some(Refusal { reason, detail });
        if let Some(breaker) = self.breaker(policy)
            && now_ms < breaker.until_ms
        {
            let detail = format!(
                "the last {} collections freed next to nothing: something else holds the space (a \
                 snapshot, deleted files that are open) or fills it as fast; the next try is a day \
                 after the last, or after `snowguard release`",
                breaker.fruitless
            );
            return refused(Reason::Breaker, detail);
        }
        if let Some(refusal) = self.spent(policy) {
            return Some(refusal);
        }
        let wait = spread(policy.jitter, asked.host, asked.incident);
        let begins_ms = asked.since_ms.min(now_ms).saturating_add(wait);
        if !asked.is_urgent && now_ms < begins_ms {
            let seconds = (begins_ms - now_ms + 999) / 1000;
            let detail =
                format!("it begins in {seconds} s, so that a fleet does not begin at once");
            return refused(Reason::Jitter, detail);
        }
        None
    }

    /// Why no collection begins any more within these 24 hours, nor is gone on with.
    pub fn spent(&self, policy: &Policy) -> Option<Refusal> {
        let today = self.ended_ms.len();
        (today >= policy.max_runs_per_day).then(|| Refusal {
            reason: Reason::Budget,
            detail: format!(
                "{today} collections were carried out within the last 24 hours, which is all that \
                 `gc.max_runs_per_day` allows"
            ),
        })
    }

    /// A collection begins. That counts as one until it is known how it ended: it may end the
    /// watchdog, as by all the memory that it takes, and would do so for ever.
    pub fn begun(&mut self, now_ms: i64) {
        self.called_off();
        self.settle(now_ms);
        self.ended_ms.push(now_ms);
        self.goes_on = true;
    }

    /// What has begun was stopped for something else, and did not fail: it counts for nothing.
    pub fn called_off(&mut self) {
        if std::mem::take(&mut self.goes_on) {
            self.ended_ms.pop();
        }
    }

    /// A collection ended.
    pub fn ended(&mut self, policy: &Policy, report: &Report, now_ms: i64) {
        self.called_off();
        match &report.end {
            End::Refused(_) | End::Observed => return,
            End::Reached => self.fruitless = 0,
            End::Short(_) => {
                if brought_next_to_nothing(policy, report) {
                    self.fruitless = self.fruitless.saturating_add(1);
                    self.fruitless_at_ms = now_ms;
                } else {
                    self.fruitless = 0;
                }
            }
        }
        self.settle(now_ms);
        self.ended_ms.push(now_ms);
    }

    /// An operator has looked: everything begins anew.
    pub fn release(&mut self) {
        *self = Self::default();
    }

    /// The breaker, if it is open; beyond its time one collection is tried, and closes or opens it
    /// again.
    pub fn breaker(&self, policy: &Policy) -> Option<Breaker> {
        (policy.breaker > 0 && self.fruitless >= policy.breaker).then(|| Breaker {
            fruitless: self.fruitless,
            until_ms: self.fruitless_at_ms.saturating_add(DAY_MS),
        })
    }

    /// What was done or planned for an alert did not help it, and would not a moment later either.
    pub fn rest(&mut self, policy: &Policy, alert: &str, now_ms: i64) {
        let cooldown = millis(policy.cooldown);
        self.resting_ms
            .retain(|_, ended| now_ms.saturating_sub(*ended) < cooldown);
        self.resting_ms.insert(alert.to_owned(), now_ms);
    }

    /// Until when nothing is planned for an alert, if it is not yet then.
    pub fn rests_until(&self, policy: &Policy, alert: &str, now_ms: i64) -> Option<i64> {
        let ended = self.resting_ms.get(alert)?;
        let until_ms = ended.saturating_add(millis(policy.cooldown));
        (now_ms < until_ms).then_some(until_ms)
    }

    /// The alerts for which nothing is planned now, with when that ends.
    pub fn resting(&self, policy: &Policy, now_ms: i64) -> impl Iterator<Item = (&str, i64)> {
        let names = self.resting_ms.keys();
        names.filter_map(move |name| Some((&**name, self.rests_until(policy, name, now_ms)?)))
    }

    /// The limits are others now, which may help where those before did not.
    pub fn rest_no_more(&mut self) {
        self.resting_ms.clear();
    }
}

fn millis(span: Duration) -> i64 {
    i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

/// Less than the minimum gain of what was promised, in bytes and in inodes.
fn brought_next_to_nothing(policy: &Policy, report: &Report) -> bool {
    let Space { bytes, files } = report.promised;
    let little = |freed: u64, promised: u64| {
        let share = u64::from(policy.minimum_gain_percent.max(1));
        freed.saturating_mul(100) < promised.saturating_mul(share) || promised == 0
    };
    little(report.freed.bytes, bytes) && little(report.freed.files, files)
}

/// A wait below `within`, in milliseconds: the same each time for one host and incident, and
/// evenly spread over hosts.
pub(crate) fn spread(within: Duration, host: &str, incident: &str) -> i64 {
    let within = u64::try_from(within.as_millis()).unwrap_or(u64::MAX);
    if within == 0 {
        return 0;
    }
    // FNV-1a, and its bits mixed: neighbouring names must not begin one after the other.
    let bytes = host.bytes().chain([0]).chain(incident.bytes());
    let mut hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    hash ^= hash >> 32;
    hash = hash.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    hash ^= hash >> 32;
    i64::try_from(hash % within).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
