//! Files with further links, a few bytes each.

use crate::store::disk::{BLOCK, SharedFile};

/// Inodes in ascending order, as the distance from the one before; blocks of 512 bytes; links.
/// Each number in groups of seven bits, the lowest first (LEB128).
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Packed(Box<[u8]>);

impl Packed {
    pub(super) fn of(mut files: Vec<SharedFile>) -> Self {
        files.sort_unstable_by_key(|file| file.inode);
        let mut out = Vec::new();
        let mut before = 0;
        for file in files {
            for number in [file.inode - before, file.bytes / BLOCK, file.links] {
                push(&mut out, number);
            }
            before = file.inode;
        }
        Self(out.into())
    }

    pub(super) fn files(&self) -> impl Iterator<Item = SharedFile> + '_ {
        let mut bytes = self.0.iter().copied();
        let mut before = 0;
        std::iter::from_fn(move || {
            let inode = before + pull(&mut bytes)?;
            before = inode;
            Some(SharedFile {
                inode,
                bytes: pull(&mut bytes)? * BLOCK,
                links: pull(&mut bytes)?,
            })
        })
    }
}

fn push(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push(0x80 | number.to_le_bytes()[0]);
        number >>= 7;
    }
    out.push(number.to_le_bytes()[0]);
}

fn pull(bytes: &mut impl Iterator<Item = u8>) -> Option<u64> {
    let mut number = 0;
    for shift in (0..).step_by(7) {
        let byte = bytes.next()?;
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    Some(number)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_packed_comes_out_again_by_inode(
            numbers in prop::collection::vec((any::<u64>(), 0..u64::MAX / BLOCK, any::<u64>()), 0..20)
        ) {
            let mut files: Vec<SharedFile> = numbers
                .into_iter()
                .map(|(inode, blocks, links)| SharedFile { inode, links, bytes: blocks * BLOCK })
                .collect();
            let packed = Packed::of(files.clone());
            files.sort_by_key(|file| file.inode);
            prop_assert_eq!(packed.files().collect::<Vec<_>>(), files);
        }
    }

    #[test]
    fn a_file_takes_few_bytes() {
        let files = (1..=1000).map(|n| SharedFile {
            inode: 10_000_000 + n * 37,
            links: 3,
            bytes: 24 * 1024,
        });
        assert!(Packed::of(files.collect()).0.len() < 3005);
    }
}
