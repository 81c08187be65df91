//! What deleting the dead frees, found out beside the scrapes.
//!
//! A scrape never waits for a walk through the store: it hands over what is dead now and takes the
//! latest answer along, with the moment that it is about. A thread of the lowest priority walks
//! what is not known yet, for a share of the time, and adds up.

use std::{
    ffi::OsString,
    ops::ControlFlow,
    sync::{Arc, mpsc::TryRecvError},
    time::SystemTime,
};

use snowguard_host::{
    FactError, Layout,
    store::{Analysis, Moment, Reclaimable, RowId, Weights},
};
use tracing::{info, warn};

mod pace;
mod share;
mod worker;

pub use share::Share;
pub(crate) use share::Written;

use worker::{Done, Job, Worker, work};

/// Paths that are handed over at a time: what bounds the memory of their names.
const BATCH: usize = 20_000;

/// Whether the dead are weighed, and how.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weighing {
    /// Not at all: what deleting them frees is not known.
    Off,
    /// Beside the collections, for this share of the time.
    Beside(Share),
    /// Within the collection, which waits for it.
    Within,
}

/// What deleting all that was dead at a moment frees.
#[derive(Debug, Clone)]
pub(crate) struct Answer {
    pub(crate) sum: Arc<Reclaimable>,
    /// The moment that it is about.
    pub(crate) at: SystemTime,
}

/// What an answer depends on.
#[derive(Debug, PartialEq, Eq)]
struct Question {
    rows: Vec<RowId>,
    strays: Vec<OsString>,
    moment: Moment,
}

/// Weighs the dead of one store.
#[derive(Debug)]
pub(crate) struct Weigher {
    weighing: Weighing,
    state: State,
    answer: Option<Answer>,
    /// What the answer answers, if it need not be asked again.
    answered: Option<Question>,
    failing: bool,
}

#[derive(Debug)]
enum State {
    Idle {
        weights: Weights,
        worker: Option<Worker>,
    },
    Working {
        worker: Worker,
        question: Question,
        asked: SystemTime,
    },
}

impl State {
    fn new() -> Self {
        Self::Idle {
            weights: Weights::default(),
            worker: None,
        }
    }
}

impl Weigher {
    pub(crate) fn new(weighing: Weighing) -> Self {
        Self {
            weighing,
            state: State::new(),
            answer: None,
            answered: None,
            failing: false,
        }
    }

    /// Weighs in this way from now on. What is known stays known.
    pub(crate) fn hold_to(&mut self, weighing: Weighing) {
        if weighing == self.weighing {
            return;
        }
        self.weighing = weighing;
        if weighing == Weighing::Off {
            return self.forget();
        }
        // The thread has its share of the time for as long as it lives.
        if let State::Idle { weights, .. } = std::mem::replace(&mut self.state, State::new()) {
            self.state = State::Idle {
                weights,
                worker: None,
            };
        }
    }

    /// Forgets everything and ends what is under way.
    pub(crate) fn forget(&mut self) {
        *self = Self::new(self.weighing);
    }

    /// The latest answer, if there is one yet. What it takes to have a newer one is begun.
    pub(crate) fn look(
        &mut self,
        layout: &Layout,
        store: &Analysis,
        now: SystemTime,
    ) -> Result<Option<Answer>, FactError> {
        if self.weighing == Weighing::Off {
            return Ok(None);
        }
        self.take_up();
        loop {
            let question = Question::of(layout, store)?;
            if self.answered.as_ref() == Some(&question) {
                if let Some(answer) = &mut self.answer {
                    answer.at = now;
                }
                break;
            }
            let done = self.ask(layout, store, question, now);
            // One that could not be read is asked for again, but in the next collection.
            if self.weighing != Weighing::Within || done {
                break;
            }
        }
        Ok(self.answer.clone())
    }

    /// Takes the result of the thread, if there is one.
    fn take_up(&mut self) {
        let State::Working { worker, .. } = &self.state else {
            return;
        };
        let done = match worker.done() {
            Ok(done) => Some(done),
            Err(TryRecvError::Empty) => return,
            Err(TryRecvError::Disconnected) => None,
        };
        let before = std::mem::replace(&mut self.state, State::new());
        let (
            Some(done),
            State::Working {
                worker,
                question,
                asked,
            },
        ) = (done, before)
        else {
            warn!("the thread that weighs the dead broke down; it begins anew");
            return;
        };
        self.conclude(done, question, asked, Some(worker));
    }

    fn conclude(
        &mut self,
        done: Done,
        question: Question,
        asked: SystemTime,
        worker: Option<Worker>,
    ) {
        self.state = State::Idle {
            weights: done.weights,
            worker,
        };
        if let Some(sum) = done.sum {
            self.log(&sum.unread);
            self.answered = sum.unread.is_empty().then_some(question);
            self.answer = Some(Answer {
                sum: Arc::new(sum),
                at: asked,
            });
        }
    }

    /// Asks, unless a question is open. True if there is an answer already.
    fn ask(
        &mut self,
        layout: &Layout,
        store: &Analysis,
        question: Question,
        now: SystemTime,
    ) -> bool {
        let (mut weights, worker) = match std::mem::replace(&mut self.state, State::new()) {
            State::Idle { weights, worker } => (weights, worker),
            working @ State::Working { .. } => {
                self.state = working;
                return false;
            }
        };
        weights.keep(&question.rows, &question.moment, now);
        let mut unknown = (store.dead.iter())
            .map(|id| (store.graph.row(*id), *id))
            .filter(|(row, _)| !weights.has(*row));
        let batch = (unknown.by_ref().take(BATCH))
            .map(|(row, id)| (row, store.graph.name(id).into()))
            .collect();
        let is_all = unknown.next().is_none();
        let job = Job {
            weights,
            unknown: batch,
            strays: is_all.then(|| question.strays.clone()),
            now,
        };
        let share = match self.weighing {
            Weighing::Beside(share) => share,
            Weighing::Within | Weighing::Off => {
                let mut pace = || ControlFlow::<std::convert::Infallible>::Continue(());
                let ControlFlow::Continue(done) = work(layout, job, &mut pace);
                let answered = done.sum.is_some();
                self.conclude(done, question, now, None);
                return answered;
            }
        };
        let worker = worker.map_or_else(|| Worker::start(layout, share), Ok);
        match worker {
            Ok(worker) => {
                worker.give(job);
                self.state = State::Working {
                    worker,
                    question,
                    asked: now,
                };
            }
            Err(error) => warn!(%error, "the dead cannot be weighed: no thread can be started"),
        }
        false
    }

    fn log(&mut self, unread: &[FactError]) {
        if let (false, Some(first)) = (self.failing, unread.first()) {
            let paths = unread.len();
            info!(paths, %first, "not all that is dead can be measured; at least so much is freed");
        }
        self.failing = !unread.is_empty();
    }
}

impl Question {
    fn of(layout: &Layout, store: &Analysis) -> Result<Self, FactError> {
        let mut rows: Vec<RowId> = store.dead.iter().map(|id| store.graph.row(*id)).collect();
        rows.sort_unstable();
        Ok(Self {
            rows,
            strays: store.strays.clone(),
            moment: Moment::of(layout)?,
        })
    }
}

#[cfg(test)]
mod tests;
