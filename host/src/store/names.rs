//! The base names of all valid paths, compact, and found by name.

use super::{PathId, moved::Moved};

/// All base names in one allocation, and a table of their places by their hash part.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: String,
    ends: Vec<u32>,
    /// Open addressing, linear probing, never more than five eighths full. A slot holds the high
    /// half of the name's key and its position, so that growing needs no look at the names.
    slots: Vec<u64>,
    /// How many names the slots lead to.
    indexed: usize,
}

const EMPTY: u64 = u64::MAX;

impl PartialEq for Names {
    /// The same names at the same places; the table follows from them.
    fn eq(&self, other: &Self) -> bool {
        self.ends == other.ends && self.text == other.text
    }
}

impl Names {
    /// Adds a name, which is found after the next [`Names::index`]. The caller adds each once.
    pub(super) fn push(&mut self, name: &str) -> std::result::Result<PathId, String> {
        // The last number is left out: with it a slot could look empty.
        let position = u32::try_from(self.ends.len())
            .ok()
            .filter(|position| *position != u32::MAX)
            .ok_or("more than 2^32 paths")?;
        let end = u32::try_from(self.text.len() + name.len())
            .map_err(|_| "more than 4 GiB of path names")?;
        self.text.push_str(name);
        self.ends.push(end);
        Ok(PathId(position))
    }

    /// Makes room for about this many names; what it does not use costs nothing.
    pub(super) fn reserve(&mut self, names: usize) {
        self.text.reserve(names * 52);
        self.ends.reserve(names);
    }

    /// Lets the names be found that were added since the last time. All at once, so that the
    /// processor need not wait for one before it looks for the next.
    pub(super) fn index(&mut self) {
        let needed = (self.len() * 8 / 5 + 1).next_power_of_two().max(64);
        if self.slots.len() < needed {
            let old = std::mem::replace(&mut self.slots, vec![EMPTY; needed]);
            for slot in old.into_iter().filter(|slot| *slot != EMPTY) {
                self.place(slot);
            }
        }
        for position in self.indexed..self.len() {
            let position = u32::try_from(position).unwrap_or(u32::MAX);
            let tag = tag(self.get(PathId(position)).as_bytes());
            self.place(u64::from(tag) << 32 | u64::from(position));
        }
        self.indexed = self.len();
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, id: PathId) -> &str {
        &self.text[self.span(id)]
    }

    fn span(&self, id: PathId) -> std::ops::Range<usize> {
        let start = match id.index().checked_sub(1) {
            Some(before) => self.ends[before],
            None => 0,
        };
        start as usize..self.ends[id.index()] as usize
    }

    pub(super) fn find(&self, name: &[u8]) -> Option<PathId> {
        if self.slots.is_empty() {
            return None;
        }
        let tag = tag(name);
        let mut at = self.home(tag);
        loop {
            let slot = self.slots[at];
            if slot == EMPTY {
                return None;
            }
            if slot >> 32 == u64::from(tag) {
                let id = position_of(slot);
                if self.get(id).as_bytes() == name {
                    return Some(id);
                }
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }

    /// Finds many names, and calls `found` with each in turn. The table and the names are far
    /// apart in memory: some dozens are fetched at a time instead of one after the other.
    pub(super) fn find_each<'n, T>(
        &self,
        mut names: impl Iterator<Item = (T, &'n [u8])>,
        mut found: impl FnMut(T, &'n [u8], Option<PathId>),
    ) {
        const AT_ONCE: usize = 32;
        let mut batch = Vec::with_capacity(AT_ONCE);
        loop {
            batch.extend(names.by_ref().take(AT_ONCE).map(|(what, name)| {
                let slot = self.slots.get(self.home(tag(name))).copied();
                (what, name, slot.unwrap_or(EMPTY), 0..0)
            }));
            if batch.is_empty() {
                return;
            }
            for (_, name, slot, span) in &mut batch {
                if *slot >> 32 == u64::from(tag(name)) && *slot != EMPTY {
                    *span = self.span(position_of(*slot));
                }
            }
            for (what, name, slot, span) in batch.drain(..) {
                let same = !span.is_empty() && self.text.as_bytes()[span] == *name;
                let id = if same {
                    Some(position_of(slot))
                } else if slot == EMPTY {
                    None
                } else {
                    self.find(name)
                };
                found(what, name, id);
            }
        }
    }

    /// Drops the names that are not kept; those that are keep their order. Of the others nothing
    /// is left, so that the same name can be added again.
    pub(super) fn retain(&mut self, moved: &Moved) {
        let (mut start, mut end, mut to) = (0, 0, 0);
        let mut text = std::mem::take(&mut self.text).into_bytes();
        for from in 0..self.ends.len() {
            let name = start..self.ends[from] as usize;
            start = name.end;
            if moved.at(from).is_some() {
                text.copy_within(name.clone(), end);
                end += name.len();
                self.ends[to] = u32::try_from(end).unwrap_or(u32::MAX);
                to += 1;
            }
        }
        text.truncate(end);
        // Whole names of a text: it is one.
        self.text = String::from_utf8(text).unwrap_or_default();
        self.ends.truncate(to);
        let slots = self.slots.len();
        let old = std::mem::replace(&mut self.slots, vec![EMPTY; slots]);
        for slot in old.into_iter().filter(|slot| *slot != EMPTY) {
            if let Some(id) = moved.to(position_of(slot)) {
                self.place(slot >> 32 << 32 | u64::from(id.0));
            }
        }
        self.indexed = to;
    }

    /// Gives back what growing reserved.
    pub(super) fn shrink(&mut self) {
        self.text.shrink_to_fit();
        self.ends.shrink_to_fit();
    }

    fn place(&mut self, slot: u64) {
        let mut at = self.home(u32::try_from(slot >> 32).unwrap_or(0));
        while self.slots[at] != EMPTY {
            at = (at + 1) & (self.slots.len() - 1);
        }
        self.slots[at] = slot;
    }

    /// Where the search for a tag begins: its highest bits. The length is a power of two.
    fn home(&self, tag: u32) -> usize {
        (tag >> (32 - self.slots.len().trailing_zeros().min(32))) as usize
    }
}

fn position_of(slot: u64) -> PathId {
    PathId(u32::try_from(slot & u64::from(u32::MAX)).unwrap_or(u32::MAX))
}

/// The high half of the key.
pub(super) fn tag(name: &[u8]) -> u32 {
    u32::try_from(key(name) >> 32).unwrap_or(0)
}

/// The first 16 characters of the hash part are as good as random; the name is compared after.
/// The multiplications spread them into the high bits.
pub(super) fn key(name: &[u8]) -> u64 {
    let word = |from: usize| {
        let mut word = [0; 8];
        match name.get(from..from + 8) {
            Some(whole) => word.copy_from_slice(whole),
            None => word
                .iter_mut()
                .zip(name.iter().skip(from))
                .for_each(|(to, from)| *to = *from),
        }
        u64::from_le_bytes(word)
    };
    (word(0).wrapping_mul(0x9e37_79b9_7f4a_7c15) ^ word(8))
        .rotate_left(29)
        .wrapping_mul(0xd6e8_feb8_6659_fd93)
}
