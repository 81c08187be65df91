//! How much of the past an expression reads.

use super::parts::Part;
use super::{At, Expr, RangeOf, When};
use crate::window::LOOKBACK_MS;

/// How much of the past an expression reads.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Reach {
    /// What must have been collected for the answer to be whole: ranges and offsets.
    pub(crate) needed_ms: i64,
    /// What can have a part in the answer: the lookback of instant selectors too.
    pub(crate) read_ms: i64,
}

impl Reach {
    fn or(self, other: Self) -> Self {
        Self {
            needed_ms: self.needed_ms.max(other.needed_ms),
            read_ms: self.read_ms.max(other.read_ms),
        }
    }
}

impl Expr {
    /// From the time at which the whole expression is evaluated.
    pub(crate) fn reach(&self) -> Reach {
        self.part().reach(0)
    }
}

impl Part<'_> {
    /// `past_ms` is how long before the whole expression this part is evaluated at the earliest:
    /// what the subqueries around it reach back.
    fn reach(self, past_ms: i64) -> Reach {
        let mut reach = Reach::default();
        match self {
            Part::Selector(selector) => {
                let needed_ms = selector.when.past_ms(past_ms);
                reach = Reach {
                    needed_ms: needed_ms.max(0),
                    read_ms: needed_ms.saturating_add(LOOKBACK_MS).max(0),
                };
            }
            Part::Range(range) => {
                let span_ms = range.when().past_ms(past_ms).saturating_add(range.range_ms);
                match &range.of {
                    RangeOf::Samples(_) => {
                        reach = Reach {
                            needed_ms: span_ms.max(0),
                            read_ms: span_ms.max(0),
                        };
                    }
                    RangeOf::Subquery { of, .. } => reach = Part::Vector(of).reach(span_ms),
                }
            }
            Part::Scalar(_) | Part::Vector(_) => {
                self.each(&mut |part| reach = reach.or(part.reach(past_ms)));
            }
        }
        reach
    }
}

impl When {
    fn past_ms(self, past_ms: i64) -> i64 {
        match self.at {
            At::Now => past_ms.saturating_add(self.offset_ms),
            // Whatever the subqueries around it.
            At::Start | At::End => self.offset_ms,
            // No span before the evaluation holds it: no rule is loaded that has this.
            At::Fixed(_) => i64::MAX,
        }
    }
}
