//! Structured logs on standard error: logfmt for people and journals, JSON for collectors.

use std::{
    fmt::{self, Write as _},
    io,
    sync::atomic::{AtomicBool, Ordering::Relaxed},
};

use tracing::{
    Event, Level, Subscriber,
    field::{Field, Visit},
};
use tracing_subscriber::{
    fmt::{
        FmtContext,
        format::{FormatEvent, FormatFields, Writer},
        time::{FormatTime, SystemTime},
    },
    registry::LookupSpan,
};

/// The least important messages that are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogLevel {
    /// Everything.
    Debug,
    /// What an operator may want to know.
    Info,
    /// What an operator should look at.
    Warn,
    /// What stops the program.
    Error,
}

/// How messages are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// `key=value`, one message on a line.
    Logfmt,
    /// One JSON object on a line.
    Json,
}

/// Sends the messages of this process to standard error. Only the first call has an effect.
pub fn init(level: LogLevel, format: LogFormat) {
    let level = match level {
        LogLevel::Debug => Level::DEBUG,
        LogLevel::Info => Level::INFO,
        LogLevel::Warn => Level::WARN,
        LogLevel::Error => Level::ERROR,
    };
    let base = tracing_subscriber::fmt()
        .with_max_level(level)
        .with_writer(|| Line);
    // An error means that somebody was first.
    let _ = match format {
        LogFormat::Logfmt => base.event_format(Logfmt).try_init(),
        LogFormat::Json => base.json().flatten_event(true).try_init(),
    };
}

/// Whether a line is drawn on the terminal that the next one takes the place of.
static IS_DRAWN: AtomicBool = AtomicBool::new(false);
/// To the beginning of the line, and nothing there any more.
const CLEAR: &str = "\r\u{1b}[K";

/// Draws a line on the terminal, such as how far something is, until the next message or drawn
/// line takes its place. An empty one takes the last away.
pub fn draw(line: &str) {
    let was_drawn = IS_DRAWN.swap(!line.is_empty(), Relaxed);
    if was_drawn || !line.is_empty() {
        put(&mut io::stderr(), &format!("{CLEAR}{line}"));
    }
}

/// A terminal that is gone takes nothing away from the work.
fn put(out: &mut impl io::Write, text: &str) {
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Standard error, one message at a time, each on a line of its own. Nobody there to read it is no
/// failure.
struct Line;

impl io::Write for Line {
    fn write(&mut self, message: &[u8]) -> io::Result<usize> {
        let was_drawn = IS_DRAWN.swap(false, Relaxed);
        put(&mut io::stderr(), &told(message, was_drawn));
        Ok(message.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// A message in the place of what is drawn.
fn told(message: &[u8], was_drawn: bool) -> String {
    let clear = if was_drawn { CLEAR } else { "" };
    clear.to_owned() + &String::from_utf8_lossy(message)
}

struct Logfmt;

impl<S, N> FormatEvent<S, N> for Logfmt
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        writer.write_str("time=")?;
        SystemTime.format_time(&mut writer)?;
        write!(writer, " level={}", event.metadata().level())?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        writeln!(writer, "{}{}", fields.message, fields.others)
    }
}

/// ` key=value` for each field, the message first.
#[derive(Default)]
struct Fields {
    message: String,
    others: String,
}

impl Visit for Fields {
    fn record_str(&mut self, field: &Field, value: &str) {
        let (key, out) = match field.name() {
            "message" => ("msg", &mut self.message),
            key => (key, &mut self.others),
        };
        let is_plain = !value.is_empty()
            && value
                .chars()
                .all(|c| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '=' | '\\'));
        // Writing to a String cannot fail. Quoted, a line feed cannot forge a second message.
        let _ = if is_plain {
            write!(out, " {key}={value}")
        } else {
            write!(out, " {key}={value:?}")
        };
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Gone;

    impl io::Write for Gone {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_message_takes_the_place_of_a_line_that_is_drawn_and_of_nothing_else() {
        assert_eq!(told(b"m\n", true), "\r\u{1b}[Km\n");
        assert_eq!(told(b"m\n", false), "m\n");
    }

    #[test]
    fn a_reader_who_is_gone_ends_nothing() {
        put(&mut Gone, "a message");
    }
}
