//! What a daemon says while it works: log lines and activities, until it is done or has failed
//! (`libstore/worker-protocol`, `processStderr`; the same from 2.3 to 2.35 and in Lix).

use std::io::{Read, Write};

use super::wire::{Wire, WireError};

const NEXT: u64 = 0x6f6c_6d67;
const LAST: u64 = 0x616c_7473;
const ERROR: u64 = 0x6378_7470;
const START_ACTIVITY: u64 = 0x5354_5254;
const STOP_ACTIVITY: u64 = 0x5354_4f50;
const RESULT: u64 = 0x5253_4c54;

/// More fields than any activity has.
const FIELDS: u64 = 1024;
/// More traces than any error has.
const TRACES: u64 = 4096;

/// How a piece of work ended.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Work {
    /// Its answer follows.
    Done,
    /// It failed; what Nix says.
    Failed(Vec<u8>),
}

impl<S: Read + Write> Wire<S> {
    /// Reads until the work has ended. Each line of the log is told.
    pub(super) fn work(
        &mut self,
        minor: u64,
        line: &mut dyn FnMut(&[u8]),
    ) -> Result<Work, WireError> {
        loop {
            match self.number()? {
                NEXT => line(&self.text()?),
                LAST => return Ok(Work::Done),
                ERROR => return Ok(Work::Failed(self.error(minor)?)),
                START_ACTIVITY => {
                    self.number()?;
                    self.number()?;
                    self.number()?;
                    line(&self.text()?);
                    self.fields()?;
                    self.number()?;
                }
                STOP_ACTIVITY => {
                    self.number()?;
                }
                RESULT => {
                    self.number()?;
                    self.number()?;
                    self.fields()?;
                }
                other => return Err(WireError::Malformed(format!("a frame {other:#x}"))),
            }
        }
    }

    fn fields(&mut self) -> Result<(), WireError> {
        for _ in 0..self.count(FIELDS)? {
            match self.number()? {
                0 => {
                    self.number()?;
                }
                1 => {
                    self.text()?;
                }
                other => return Err(WireError::Malformed(format!("a field of kind {other}"))),
            }
        }
        Ok(())
    }

    fn error(&mut self, minor: u64) -> Result<Vec<u8>, WireError> {
        if minor < 26 {
            let message = self.text()?;
            self.number()?;
            return Ok(message);
        }
        self.text()?;
        self.number()?;
        self.text()?;
        let message = self.text()?;
        self.number()?;
        for _ in 0..self.count(TRACES)? {
            self.number()?;
            self.text()?;
        }
        Ok(message)
    }
}
