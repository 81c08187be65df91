//! A window as bytes, so that a restart is not blind for as long as the longest range.
//!
//! After the magic word and the version come the times, then each series: its labels, and its
//! samples as differences of times and of bits, which are small where a value changes little. The
//! last eight bytes are a checksum of all before.

use std::collections::BTreeSet;

use super::{LOOKBACK_MS, Sample, Series, Window};
use crate::labels::Labels;

const MAGIC: &[u8] = b"snowguard-window";
const VERSION: u8 = 1;
const CHECKSUM: usize = 8;

/// Why a kept window is not taken up. The window is then as it was.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RestoreError {
    /// The bytes are not a whole window.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// Another version of the program wrote it.
    #[error("it has version {0}, and this program reads version 1")]
    Version(u8),
    /// The clock went back since.
    #[error(
        "it has samples of {newest_ms} ms, and the clock says {now_ms} ms: the clock went back"
    )]
    Future {
        /// The newest sample, in milliseconds since the Unix epoch.
        newest_ms: i64,
        /// The time now, in milliseconds since the Unix epoch.
        now_ms: i64,
    },
}

use RestoreError::Damaged;

impl Window {
    /// The whole window as bytes, for [`Window::restore`].
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        out.push(VERSION);
        put_time(&mut out, self.newest_ms);
        // What was dropped before is not covered, whatever the retention will be.
        put_time(&mut out, self.since_ms());
        let series = || self.metrics.values().flatten();
        put_length(&mut out, series().count());
        for (labels, samples) in series() {
            out.push(u8::from(self.scraped.contains(labels)));
            put_length(&mut out, labels.iter().count());
            for (name, value) in labels.iter() {
                put_text(&mut out, name);
                put_text(&mut out, value);
            }
            put_samples(&mut out, samples);
        }
        let checksum = checksum(&out);
        out.extend(checksum.to_le_bytes());
        out
    }

    /// Takes up a window that was kept, at `now_ms` (milliseconds since the Unix epoch), and says
    /// how many samples are held. What is older than the retention is left out.
    ///
    /// If nothing was collected for longer than an instant selector looks back, what was before
    /// does not count as coverage: a rule that looks further back than the first collection to
    /// come has no answer yet, and heals nothing.
    ///
    /// # Errors
    /// If the bytes are not a window, or one of the future.
    pub fn restore(&mut self, bytes: &[u8], now_ms: i64) -> Result<usize, RestoreError> {
        let (newest_ms, since_ms, all) = decode(bytes)?;
        if let Some(newest_ms) = newest_ms.filter(|newest_ms| *newest_ms > now_ms) {
            return Err(RestoreError::Future { newest_ms, now_ms });
        }
        self.clear();
        let oldest_ms = now_ms.saturating_sub(self.retention_ms);
        for (labels, scraped, samples) in all {
            if scraped {
                self.scraped.insert(labels.clone());
            }
            let metric = self.metrics.entry(labels.name().to_owned()).or_default();
            metric.insert(labels, samples);
        }
        self.newest_ms = newest_ms;
        let gap_ms = newest_ms.map_or(i64::MAX, |newest_ms| now_ms.saturating_sub(newest_ms));
        self.first_ms = since_ms.filter(|_| gap_ms <= LOOKBACK_MS);
        self.drop_older_than(oldest_ms);
        Ok(self.sample_count())
    }
}

type Decoded = (Option<i64>, Option<i64>, Vec<(Labels, bool, Series)>);

fn decode(bytes: &[u8]) -> Result<Decoded, RestoreError> {
    let body = bytes
        .strip_prefix(MAGIC)
        .ok_or(Damaged("it does not begin as a window does"))?;
    let version = *body.first().ok_or(Damaged("it is cut short"))?;
    if version != VERSION {
        return Err(RestoreError::Version(version));
    }
    let (whole, sum) = bytes
        .split_last_chunk::<CHECKSUM>()
        .ok_or(Damaged("it is cut short"))?;
    if checksum(whole) != u64::from_le_bytes(*sum) {
        return Err(Damaged("the checksum is another one"));
    }
    let mut reader = Reader(&whole[MAGIC.len() + 1..]);
    let newest_ms = reader.time()?;
    let since_ms = reader.time()?;
    let mut all = Vec::new();
    let mut seen = BTreeSet::new();
    for _ in 0..reader.length()? {
        let scraped = reader.byte()? == 1;
        let mut labels = Labels::default();
        for _ in 0..reader.length()? {
            let name = reader.text()?;
            labels = labels.with(name, reader.text()?);
        }
        let samples = reader.samples()?;
        let late = samples
            .back()
            .is_some_and(|last| Some(last.at_ms) > newest_ms);
        if late || !seen.insert(labels.clone()) {
            return Err(Damaged("its series contradict each other"));
        }
        all.push((labels, scraped, samples));
    }
    if !reader.0.is_empty() {
        return Err(Damaged("it goes on after its end"));
    }
    Ok((newest_ms, since_ms, all))
}

/// FNV-1a of 64 bits: against a disk that lost a part, not against an attacker.
fn checksum(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// Seven bits in a byte, the least first; the highest bit says that more follow.
fn put(out: &mut Vec<u8>, mut number: u64) {
    loop {
        let seven = u8::try_from(number & 0x7f).unwrap_or_default();
        number >>= 7;
        if number == 0 {
            out.push(seven);
            return;
        }
        out.push(seven | 0x80);
    }
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    put(out, u64::try_from(length).unwrap_or(u64::MAX));
}

/// Small numbers of either sign become small ones.
fn put_signed(out: &mut Vec<u8>, number: i64) {
    put(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend(text.as_bytes());
}

fn put_time(out: &mut Vec<u8>, at_ms: Option<i64>) {
    out.push(u8::from(at_ms.is_some()));
    if let Some(at_ms) = at_ms {
        put_signed(out, at_ms);
    }
}

fn put_samples(out: &mut Vec<u8>, samples: &Series) {
    put_length(out, samples.len());
    let (mut at_ms, mut step_ms, mut bits) = (0_i64, 0_i64, 0_u64);
    for sample in samples {
        let step = sample.at_ms.wrapping_sub(at_ms);
        put_signed(out, step.wrapping_sub(step_ms));
        let next = sample.value.to_bits();
        // What two values share is at the head of their bits.
        put(out, (next ^ bits).swap_bytes());
        (at_ms, step_ms, bits) = (sample.at_ms, step, next);
    }
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn byte(&mut self) -> Result<u8, RestoreError> {
        let (byte, rest) = self.0.split_first().ok_or(Damaged("it is cut short"))?;
        self.0 = rest;
        Ok(*byte)
    }

    fn number(&mut self) -> Result<u64, RestoreError> {
        let mut number = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(Damaged("a number has no end"))
    }

    /// A count of things, each of which takes at least one byte.
    fn length(&mut self) -> Result<usize, RestoreError> {
        let length = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if length > self.0.len() {
            return Err(Damaged("it is cut short"));
        }
        Ok(length)
    }

    fn signed(&mut self) -> Result<i64, RestoreError> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    fn text(&mut self) -> Result<String, RestoreError> {
        let length = self.length()?;
        let (text, rest) = self.0.split_at(length);
        self.0 = rest;
        let text = std::str::from_utf8(text).map_err(|_| Damaged("a label is no text"))?;
        Ok(text.to_owned())
    }

    fn time(&mut self) -> Result<Option<i64>, RestoreError> {
        Ok(match self.byte()? {
            0 => None,
            _ => Some(self.signed()?),
        })
    }

    fn samples(&mut self) -> Result<Series, RestoreError> {
        let mut samples = Series::new();
        let (mut at_ms, mut step_ms, mut bits) = (0_i64, 0_i64, 0_u64);
        for index in 0..self.length()? {
            step_ms = step_ms.wrapping_add(self.signed()?);
            if index > 0 && step_ms <= 0 {
                return Err(Damaged("its samples are out of order"));
            }
            at_ms = at_ms.wrapping_add(step_ms);
            bits ^= self.number()?.swap_bytes();
            samples.push_back(Sample {
                at_ms,
                value: f64::from_bits(bits),
            });
        }
        Ok(samples)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    const NOW: i64 = 1_700_000_000_000;

    fn window(ticks: i64) -> Window {
        let mut window = Window::new(Duration::from_secs(3600));
        for tick in 0..ticks {
            let wave = f64::from(u32::try_from(tick % 7).unwrap());
            let mut samples = vec![
                (Labels::metric("a").with("l", "é\"\n"), 1e9 - wave),
                (Labels::metric("b"), f64::NAN),
            ];
            if tick % 3 == 0 {
                samples.push((Labels::metric("c"), f64::NEG_INFINITY));
            }
            window
                .append_scrape(NOW - (ticks - 1 - tick) * 15_000, samples)
                .unwrap();
        }
        window
    }

    fn shown(window: &Window) -> String {
        let series = window.series(None).map(|(labels, samples)| {
            let samples = samples.iter().map(|s| (s.at_ms, s.value.to_bits()));
            format!("{labels} {:?}", samples.collect::<Vec<_>>())
        });
        let series = series.collect::<Vec<_>>();
        format!(
            "{series:?} {:?} {:?} {:?}",
            window.newest_ms, window.first_ms, window.scraped
        )
    }

    fn restored(bytes: &[u8], now_ms: i64) -> Result<Window, RestoreError> {
        let mut window = Window::new(Duration::from_secs(3600));
        window.restore(bytes, now_ms).map(|_| window)
    }

    #[test]
    fn what_was_kept_is_taken_up_bit_for_bit() {
        let before = window(200);
        let after = restored(&before.to_bytes(), NOW + 1000).unwrap();
        assert_eq!(shown(&after), shown(&before));
        let empty = Window::new(Duration::from_secs(3600));
        assert_eq!(
            shown(&restored(&empty.to_bytes(), NOW).unwrap()),
            shown(&empty)
        );
    }

    #[test]
    fn a_series_that_is_gone_after_the_restart_ends_then() {
        let mut after = restored(&window(4).to_bytes(), NOW + 1000).unwrap();
        after
            .append_scrape(NOW + 15_000, [(Labels::metric("b"), 1.0)])
            .unwrap();
        let (_, samples) = after.series(Some("a")).next().unwrap();
        assert!(samples.back().unwrap().is_stale());
    }

    #[test]
    fn a_short_gap_is_covered_and_a_long_one_is_not() {
        let bytes = window(200).to_bytes();
        let covers = |gap_ms: i64| {
            let mut window = restored(&bytes, NOW + gap_ms).unwrap();
            window.append_scrape(NOW + gap_ms + 1, []).unwrap();
            window.covers(NOW - 600_000)
        };
        assert!(covers(LOOKBACK_MS));
        assert!(!covers(LOOKBACK_MS + 1));
    }

    #[test]
    fn what_is_older_than_the_retention_is_left_out() {
        let bytes = window(200).to_bytes();
        let after = restored(&bytes, NOW + 3_600_000).unwrap();
        assert_eq!(after.sample_count(), 3, "{}", shown(&after));
        assert_eq!(restored(&bytes, NOW + 4_000_000).unwrap().sample_count(), 0);
    }

    #[test]
    fn a_window_of_the_future_or_of_another_version_is_refused() {
        let mut bytes = window(5).to_bytes();
        let future = RestoreError::Future {
            newest_ms: NOW,
            now_ms: NOW - 1,
        };
        assert_eq!(restored(&bytes, NOW - 1).unwrap_err(), future);
        bytes[MAGIC.len()] = 2;
        assert_eq!(restored(&bytes, NOW).unwrap_err(), RestoreError::Version(2));
    }

    #[test]
    fn a_window_is_refused_wherever_it_is_cut_or_changed() {
        let bytes = window(5).to_bytes();
        for cut in 0..bytes.len() {
            assert!(restored(&bytes[..cut], NOW).is_err(), "cut at {cut}");
            let mut changed = bytes.clone();
            changed[cut] ^= 0x10;
            assert!(restored(&changed, NOW).is_err(), "changed at {cut}");
        }
    }

    #[test]
    fn an_hour_of_a_host_takes_little_room() {
        let mut window = Window::new(Duration::from_secs(3600));
        for tick in 0..240_i32 {
            let samples = (0..250).map(|index| {
                let value = f64::from(index) * 1e6 + f64::from(tick % (index + 1)) * 4096.0;
                (
                    Labels::metric("metric").with("index", index.to_string()),
                    value,
                )
            });
            window
                .append_scrape(i64::from(tick) * 15_000, samples)
                .unwrap();
        }
        let length = window.to_bytes().len();
        assert!(
            length < 400_000,
            "{length} bytes for {}",
            window.sample_count()
        );
    }

    proptest! {
        #[test]
        fn no_bytes_take_the_reader_down(tail in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut bytes = [MAGIC, &[VERSION], &tail].concat();
            let sum = checksum(&bytes);
            bytes.extend(sum.to_le_bytes());
            let _ = restored(&bytes, NOW);
        }
    }
}
