//! The base names of all valid paths, compact, and found by name.

use std::{
    collections::HashMap,
    hash::{BuildHasherDefault, Hasher},
};

use super::PathId;

/// All base names in one allocation, found by their hash part.
#[derive(Debug, Default)]
pub(super) struct Names {
    text: String,
    ends: Vec<u32>,
    index: HashMap<u64, u32, BuildHasherDefault<Verbatim>>,
    /// Names whose key stands in `index` for another name already.
    clashes: Vec<(u64, u32)>,
}

impl Names {
    pub(super) fn push(&mut self, name: &str) -> std::result::Result<PathId, String> {
        let id = u32::try_from(self.ends.len()).map_err(|_| "more than 2^32 paths".to_owned())?;
        self.text.push_str(name);
        let end = u32::try_from(self.text.len())
            .map_err(|_| "more than 4 GiB of path names".to_owned())?;
        self.ends.push(end);
        Ok(PathId(id))
    }

    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    pub(super) fn get(&self, id: PathId) -> &str {
        let start = if id.0 == 0 {
            0
        } else {
            self.ends[id.index() - 1]
        };
        &self.text[start as usize..self.ends[id.index()] as usize]
    }

    pub(super) fn build_index(&mut self) {
        self.index.reserve(self.len());
        for position in 0..u32::try_from(self.len()).unwrap_or(u32::MAX) {
            let key = key(self.get(PathId(position)));
            match self.index.entry(key) {
                std::collections::hash_map::Entry::Vacant(slot) => {
                    slot.insert(position);
                }
                std::collections::hash_map::Entry::Occupied(_) => {
                    self.clashes.push((key, position));
                }
            }
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<PathId> {
        let key = key(name);
        let first = PathId(*self.index.get(&key)?);
        if self.get(first) == name {
            return Some(first);
        }
        self.clashes
            .iter()
            .filter(|(other, _)| *other == key)
            .map(|(_, position)| PathId(*position))
            .find(|id| self.get(*id) == name)
    }
}

/// The first characters of the hash part are as good as random; the name is compared after.
fn key(name: &str) -> u64 {
    let mut bytes = [0; 8];
    for (to, from) in bytes.iter_mut().zip(name.bytes()) {
        *to = from;
    }
    let low = u64::from_le_bytes(bytes);
    let mut rest = [0; 8];
    for (to, from) in rest.iter_mut().zip(name.bytes().skip(8)) {
        *to = from;
    }
    low ^ u64::from_le_bytes(rest)
        .rotate_left(29)
        .wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// Keys are random already; the multiplication spreads their fixed high bits.
#[derive(Debug, Default)]
struct Verbatim(u64);

impl Hasher for Verbatim {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = (self.0 ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3);
        }
    }

    fn write_u64(&mut self, key: u64) {
        self.0 = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    }
}
