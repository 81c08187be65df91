//! The two spellings of one hash: base 16 in the store database, Nix's base 32 in `.narinfo`.

/// Digits of base 32; `e`, `o`, `u` and `t` are left out (`libutil/hash.cc`).
const DIGITS: &[u8; 32] = b"0123456789abcdfghijklmnpqrsvwxyz";

/// `sha256:` and hexadecimal digits as `sha256:` and base 32; anything else as it is.
pub(super) fn to_base32(hash: &str) -> String {
    match hash.split_once(':') {
        Some((kind, digits)) => match bytes(digits) {
            Some(bytes) => format!("{kind}:{}", encode(&bytes)),
            None => hash.to_owned(),
        },
        None => hash.to_owned(),
    }
}

fn bytes(digits: &str) -> Option<Vec<u8>> {
    if digits.len() != 64 {
        return None;
    }
    (0..32)
        .map(|i| u8::from_str_radix(digits.get(2 * i..2 * i + 2)?, 16).ok())
        .collect()
}

fn encode(bytes: &[u8]) -> String {
    let length = (bytes.len() * 8).div_ceil(5);
    (0..length)
        .rev()
        .map(|n| {
            let (byte, shift) = (n * 5 / 8, n * 5 % 8);
            let low = u16::from(bytes[byte]);
            let high = bytes.get(byte + 1).copied().map_or(0, u16::from);
            char::from(DIGITS[usize::from((low | high << 8) >> shift & 0x1f)])
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_spelt_as_nix_hash_spells_it() {
        // `nix-hash --type sha256 --to-base32`, of the hash of the empty file.
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let expected = "sha256:0mdqa9w1p6cmli6976v4wi0sw9r4p5prkj7lzfd1877wk11c9c73";
        assert_eq!(to_base32(empty), expected);
        assert_eq!(to_base32(expected), expected);
    }
}
